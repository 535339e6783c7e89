use std::time::Duration;

use http_client::{HttpSettings, Url};
use secrecy::SecretString;

/// Address, credentials and write behaviour of a Salesforce org.
#[derive(Clone, Debug)]
pub struct SalesforceSettings {
    /// The My Domain URL of the org, such as `https://acme.my.salesforce.com`.
    pub url: Url,
    /// The credentials of the app.
    pub credentials: SalesforceCredentials,
    /// The version of the API, such as `67.0`.
    pub api_version: String,
    /// Whether the org's assignment rules choose the owner of a lead.
    pub auto_assign: AutoAssign,
    /// Whether to save a record despite the alert of a duplicate rule. A blocking rule refuses the record
    /// regardless.
    pub allow_duplicates: bool,
    /// The share of the org's calls in 24 hours, in percent, from which leads wait.
    pub usage_percent: u8,
    /// The path of the Apex class that converts leads, below `/services/apexrest/`, if there is one.
    pub convert_path: Option<String>,
    /// Limits of each call.
    pub http: HttpSettings,
    /// The timeout of the composite call with the account search. `Website` has no index, so the search is
    /// slow in an org with many accounts.
    pub account_wait: Duration,
    /// The wait before the first retry of a locked record. It doubles with each retry. A factor from 1 to 2,
    /// derived from the lead's id, spreads the retries of different leads.
    pub lock_backoff: Duration,
}

/// The credentials of an app.
#[derive(Clone, Debug)]
pub enum SalesforceCredentials {
    /// OAuth 2.0 client credentials flow: the app acts as its configured run-as user.
    ClientSecret {
        /// The consumer key.
        client_id: String,
        /// The consumer secret.
        client_secret: SecretString,
    },
    /// OAuth 2.0 JWT bearer flow: the app acts as a user that approved it.
    Jwt {
        /// The consumer key.
        client_id: String,
        /// The name of the user.
        username: String,
        /// The private key of the app's certificate, in PEM.
        private_key: SecretString,
        /// `https://login.salesforce.com`, or `https://test.salesforce.com` for a sandbox.
        audience: String,
    },
}

/// The use of the org's assignment rules, which run for every saved lead unless a header disables them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutoAssign {
    /// No rule runs: the owner is the one in the mapping, or the creator of the lead.
    Never,
    /// The org's active rule chooses the owner.
    ActiveRule,
    /// The rule with this id chooses the owner.
    Rule(String),
}

impl SalesforceSettings {
    /// The default API version.
    pub const API_VERSION: &str = "67.0";

    /// The default settings.
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
    /// The value of the `Sforce-Auto-Assign` header.
    pub(super) fn header(&self) -> &str {
        match self {
            Self::Never => "FALSE",
            Self::ActiveRule => "TRUE",
            Self::Rule(id) => id,
        }
    }
}
