use std::time::Duration;

use outbound::{HttpSettings, Url};
use secrecy::SecretString;

/// How Salesforce is reached, and how it is written to.
#[derive(Clone, Debug)]
pub struct SalesforceSettings {
    /// The org's own address (My Domain), such as `https://acme.my.salesforce.com`.
    pub url: Url,
    /// Who we are.
    pub credentials: SalesforceCredentials,
    /// The version of the API, such as `67.0`.
    pub api_version: String,
    /// Whether the org's assignment rules may choose the owner.
    pub auto_assign: AutoAssign,
    /// Whether a record is saved although a duplicate rule alerts. A rule that blocks blocks all the same.
    pub allow_duplicates: bool,
    /// Of the calls that the org may make in 24 hours, how many percent it may have used before leads wait.
    pub usage_percent: u8,
    /// The path of the Apex class that converts leads, below `/services/apexrest/`; none where there is no such class.
    pub convert_path: Option<String>,
    /// Limits of each call.
    pub http: HttpSettings,
    /// How long the search for a company's account may take, together with the questions that it goes with. `Website` has no
    /// index, so that it is slow in an org with many accounts.
    pub account_wait: Duration,
    /// How long to wait before a locked record is tried again; twice as long each time.
    pub lock_backoff: Duration,
}

/// How we log in.
#[derive(Clone, Debug)]
pub enum SalesforceCredentials {
    /// OAuth 2.0 client credentials: the app acts as the user that is set on it.
    ClientSecret {
        /// The consumer key.
        client_id: String,
        /// The consumer secret.
        client_secret: SecretString,
    },
    /// OAuth 2.0 JWT bearer: the app acts as a user who has approved it.
    Jwt {
        /// The consumer key.
        client_id: String,
        /// The user.
        username: String,
        /// The private key of the app's certificate, PEM.
        private_key: SecretString,
        /// `https://login.salesforce.com`, or `https://test.salesforce.com` for a sandbox.
        audience: String,
    },
}

/// Who chooses a lead's owner: the org's assignment rules run for every lead that is written, unless they are told not to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutoAssign {
    /// Whoever wrote the lead, or the mapping.
    Never,
    /// The org's active rule.
    ActiveRule,
    /// The rule with this id.
    Rule(String),
}

impl SalesforceSettings {
    /// The API version used where none is configured.
    pub const API_VERSION: &str = "67.0";

    /// The usual settings.
    pub fn new(url: Url, credentials: SalesforceCredentials) -> Self {
        Self {
            url,
            credentials,
            api_version: Self::API_VERSION.to_owned(),
            auto_assign: AutoAssign::Never,
            allow_duplicates: true,
            usage_percent: 90,
            convert_path: None,
            http: HttpSettings { timeout: Duration::from_secs(20), ..HttpSettings::default() },
            account_wait: Duration::from_secs(8),
            lock_backoff: Duration::from_millis(250),
        }
    }
}

impl AutoAssign {
    /// As the header has it.
    pub(super) fn header(&self) -> &str {
        match self {
            Self::Never => "FALSE",
            Self::ActiveRule => "TRUE",
            Self::Rule(id) => id,
        }
    }
}
