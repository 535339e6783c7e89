use std::time::Duration;

use http_client::{HttpSettings, Url};
use secrecy::SecretString;
use variables::{ConfigError, Variables};

use crate::settings::secure_url;

/// Address, credentials and write behaviour of a Salesforce org.
#[derive(Clone, Debug)]
pub struct SalesforceSettings {
    /// `SALESFORCE_URL`: the My Domain URL of the org, such as `https://acme.my.salesforce.com`. HTTPS, or
    /// HTTP on this machine.
    pub url: Url,
    /// `SALESFORCE_CLIENT_ID`, with `SALESFORCE_CLIENT_SECRET` or the variables of a signed assertion.
    pub credentials: SalesforceCredentials,
    /// `SALESFORCE_API_VERSION`, such as `67.0`.
    pub api_version: String,
    /// `SALESFORCE_AUTO_ASSIGN`: whether the org's assignment rules choose the owner of a lead.
    pub auto_assign: AutoAssign,
    /// `SALESFORCE_DUPLICATES`: whether to save a record despite the alert of a duplicate rule. A blocking
    /// rule refuses the record regardless.
    pub allow_duplicates: bool,
    /// `SALESFORCE_API_USAGE_PERCENT`: the share of the org's calls in 24 hours, in percent, from which leads
    /// wait.
    pub usage_percent: u8,
    /// `SALESFORCE_CONVERT_PATH`: the path of the Apex class that converts leads, below
    /// `/services/apexrest/`, if there is one.
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
        /// `SALESFORCE_USERNAME`.
        username: String,
        /// `SALESFORCE_PRIVATE_KEY`: the private key of the app's certificate, in PEM.
        private_key: SecretString,
        /// `SALESFORCE_AUDIENCE`: `https://login.salesforce.com`, or `https://test.salesforce.com` for a
        /// sandbox.
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

    pub(crate) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        const URL: &str = "SALESFORCE_URL";
        let url = needed(variables, URL)?;
        let own = "must be the org's own address";
        if ["https://login.salesforce.com", "https://test.salesforce.com"]
            .contains(&url.trim_end_matches('/'))
        {
            let problem = format!("{own} (My Domain): the login hosts issue no tokens to apps");
            return Err(ConfigError::new(URL, problem));
        }
        let url = secure_url(URL, &url, &format!("{own}, such as https://acme.my.salesforce.com"))?;
        let credentials = credentials(variables)?;
        Ok(Self {
            api_version: api_version(variables)?,
            auto_assign: auto_assign(variables)?,
            allow_duplicates: variables.choice(
                "SALESFORCE_DUPLICATES",
                &[("allow", true), ("refuse", false)],
                true,
            )?,
            usage_percent: variables.number("SALESFORCE_API_USAGE_PERCENT", 90, 1..=100)?,
            convert_path: variables.text("SALESFORCE_CONVERT_PATH"),
            ..Self::new(url, credentials)
        })
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

fn needed(variables: &Variables<'_>, name: &'static str) -> Result<String, ConfigError> {
    let missing = || ConfigError::new(name, "must be set when CRM_PROVIDER=salesforce");
    variables.text(name).ok_or_else(missing)
}

fn credentials(variables: &Variables<'_>) -> Result<SalesforceCredentials, ConfigError> {
    let client_id = needed(variables, "SALESFORCE_CLIENT_ID")?;
    let (secret, key) =
        (variables.secret("SALESFORCE_CLIENT_SECRET"), variables.secret("SALESFORCE_PRIVATE_KEY"));
    match (secret, key) {
        (Some(client_secret), None) => Ok(SalesforceCredentials::ClientSecret { client_id, client_secret }),
        (None, Some(private_key)) => Ok(SalesforceCredentials::Jwt {
            client_id,
            username: variables.text("SALESFORCE_USERNAME").ok_or_else(|| {
                ConfigError::new("SALESFORCE_USERNAME", "must be set together with SALESFORCE_PRIVATE_KEY")
            })?,
            private_key,
            audience: variables
                .text("SALESFORCE_AUDIENCE")
                .unwrap_or_else(|| "https://login.salesforce.com".to_owned()),
        }),
        (None, None) => {
            let problem =
                "must be set when CRM_PROVIDER=salesforce; or SALESFORCE_PRIVATE_KEY, to log in with a JWT";
            Err(ConfigError::new("SALESFORCE_CLIENT_SECRET", problem))
        }
        (Some(_), Some(_)) => {
            let problem = "must not be set together with SALESFORCE_PRIVATE_KEY: an app uses one of them";
            Err(ConfigError::new("SALESFORCE_CLIENT_SECRET", problem))
        }
    }
}

/// The minimum is 46.0, the first version in which the response of an upsert says whether it created the
/// record.
fn api_version(variables: &Variables<'_>) -> Result<String, ConfigError> {
    let text = variables
        .text("SALESFORCE_API_VERSION")
        .unwrap_or_else(|| SalesforceSettings::API_VERSION.to_owned());
    let version = text.trim_start_matches('v').to_owned();
    let major = version.strip_suffix(".0").and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| (46..=999).contains(&major)) {
        return Ok(version);
    }
    let problem = format!("must be a version from 46.0 on, such as 67.0, not {text:?}");
    Err(ConfigError::new("SALESFORCE_API_VERSION", problem))
}

fn auto_assign(variables: &Variables<'_>) -> Result<AutoAssign, ConfigError> {
    const NAME: &str = "SALESFORCE_AUTO_ASSIGN";
    let Some(text) = variables.text(NAME) else { return Ok(AutoAssign::Never) };
    let is_id = matches!(text.len(), 15 | 18) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match text.to_ascii_lowercase().as_str() {
        "false" => Ok(AutoAssign::Never),
        "true" => Ok(AutoAssign::ActiveRule),
        _ if is_id => Ok(AutoAssign::Rule(text)),
        _ => {
            let problem = format!("must be false, true or the id of an assignment rule, not {text:?}");
            Err(ConfigError::new(NAME, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<SalesforceSettings, ConfigError> {
        let usual = [
            ("SALESFORCE_URL", "https://acme.my.salesforce.com"),
            ("SALESFORCE_CLIENT_ID", "key"),
            ("SALESFORCE_CLIENT_SECRET", "hush"),
        ];
        let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain(usual).collect();
        SalesforceSettings::read(&Variables::from_pairs(&pairs))
    }

    #[test]
    fn address_client_id_and_secret_are_enough() {
        let config = read(&[]).unwrap();
        assert_eq!((config.api_version.as_str(), &config.auto_assign), ("67.0", &AutoAssign::Never));
        assert_eq!((config.allow_duplicates, config.usage_percent), (true, 90));
        assert!(!format!("{config:?}").contains("hush"));
        let jwt = [
            ("SALESFORCE_CLIENT_SECRET", ""),
            ("SALESFORCE_PRIVATE_KEY", "pem"),
            ("SALESFORCE_USERNAME", "a@b.c"),
        ];
        assert!(matches!(read(&jwt).unwrap().credentials, SalesforceCredentials::Jwt { .. }));
        assert_eq!(read(&[("SALESFORCE_API_VERSION", "v68.0")]).unwrap().api_version, "68.0");
    }

    #[test]
    fn error_names_the_variable() {
        for (name, value) in [
            ("SALESFORCE_URL", ""),
            ("SALESFORCE_URL", "http://acme.my.salesforce.com"),
            ("SALESFORCE_URL", "https://login.salesforce.com/"),
            ("SALESFORCE_CLIENT_ID", ""),
            ("SALESFORCE_CLIENT_SECRET", ""),
            ("SALESFORCE_API_VERSION", "45.0"),
            ("SALESFORCE_API_VERSION", "../x"),
            ("SALESFORCE_AUTO_ASSIGN", "maybe"),
            ("SALESFORCE_DUPLICATES", "maybe"),
            ("SALESFORCE_API_USAGE_PERCENT", "0"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().variable, name);
        }
        let both = read(&[("SALESFORCE_PRIVATE_KEY", "pem")]).unwrap_err();
        assert_eq!(both.variable, "SALESFORCE_CLIENT_SECRET");
    }
}
