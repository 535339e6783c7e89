use secrecy::SecretString;

use runtime::{ConfigError, Variables};

/// Settings of Salesforce, read only if it is the CRM.
#[derive(Clone, Debug)]
pub struct SalesforceConfig {
    /// `SALESFORCE_URL`: the org's own address, HTTPS, or HTTP on this machine.
    pub url: String,
    /// `SALESFORCE_CLIENT_ID`.
    pub client_id: String,
    /// `SALESFORCE_CLIENT_SECRET`, or the variables of a signed assertion.
    pub login: SalesforceLogin,
    /// `SALESFORCE_API_VERSION`, such as `67.0`.
    pub api_version: String,
    /// `SALESFORCE_AUTO_ASSIGN`: `false`, `true`, or the id of an assignment rule.
    pub auto_assign: String,
    /// `SALESFORCE_DUPLICATES`: whether records are saved despite alerts of duplicate rules.
    pub allow_duplicates: bool,
    /// `SALESFORCE_API_USAGE_PERCENT`.
    pub usage_percent: u8,
    /// `SALESFORCE_CONVERT_PATH`.
    pub convert_path: Option<String>,
}

/// The credentials of the app.
#[derive(Clone, Debug)]
pub enum SalesforceLogin {
    /// `SALESFORCE_CLIENT_SECRET`: client credentials.
    Secret(SecretString),
    /// JWT bearer.
    Jwt {
        /// `SALESFORCE_USERNAME`.
        username: String,
        /// `SALESFORCE_PRIVATE_KEY`, PEM.
        private_key: SecretString,
        /// `SALESFORCE_AUDIENCE`.
        audience: String,
    },
}

impl SalesforceConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let needed = |name: &'static str| {
            let missing = || ConfigError::new(name, "must be set when CRM_PROVIDER=salesforce");
            variables.text(name).ok_or_else(missing)
        };
        let url = needed("SALESFORCE_URL")?;
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if !url.starts_with("https://") && !local.iter().any(|local| url.starts_with(local)) {
            let problem = "must be the org's own address, such as https://acme.my.salesforce.com";
            return Err(ConfigError::new("SALESFORCE_URL", problem));
        }
        if ["https://login.salesforce.com", "https://test.salesforce.com"]
            .contains(&url.trim_end_matches('/'))
        {
            let problem =
                "must be the org's own address (My Domain): the login hosts issue no tokens to apps";
            return Err(ConfigError::new("SALESFORCE_URL", problem));
        }
        Ok(Self {
            url,
            client_id: needed("SALESFORCE_CLIENT_ID")?,
            login: login(variables)?,
            api_version: api_version(variables)?,
            auto_assign: auto_assign(variables)?,
            allow_duplicates: variables.choice(
                "SALESFORCE_DUPLICATES",
                &[("allow", true), ("refuse", false)],
                true,
            )?,
            usage_percent: variables.number("SALESFORCE_API_USAGE_PERCENT", 90, 1..=100)?,
            convert_path: variables.text("SALESFORCE_CONVERT_PATH"),
        })
    }
}

fn login(variables: &Variables<'_>) -> Result<SalesforceLogin, ConfigError> {
    let (secret, key) =
        (variables.secret("SALESFORCE_CLIENT_SECRET"), variables.secret("SALESFORCE_PRIVATE_KEY"));
    match (secret, key) {
        (Some(secret), None) => Ok(SalesforceLogin::Secret(secret)),
        (None, Some(private_key)) => Ok(SalesforceLogin::Jwt {
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
    let text = variables.text("SALESFORCE_API_VERSION").unwrap_or_else(|| "67.0".to_owned());
    let version = text.trim_start_matches('v').to_owned();
    let major = version.strip_suffix(".0").and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| (46..=999).contains(&major)) {
        return Ok(version);
    }
    let problem = format!("must be a version from 46.0 on, such as 67.0, not {text:?}");
    Err(ConfigError::new("SALESFORCE_API_VERSION", problem))
}

fn auto_assign(variables: &Variables<'_>) -> Result<String, ConfigError> {
    let text = variables.text("SALESFORCE_AUTO_ASSIGN").unwrap_or_else(|| "false".to_owned());
    let is_id = matches!(text.len(), 15 | 18) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_id || ["true", "false"].contains(&text.to_ascii_lowercase().as_str()) {
        return Ok(text);
    }
    let problem = format!("must be false, true or the id of an assignment rule, not {text:?}");
    Err(ConfigError::new("SALESFORCE_AUTO_ASSIGN", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<SalesforceConfig, ConfigError> {
        let usual = [
            ("SALESFORCE_URL", "https://acme.my.salesforce.com"),
            ("SALESFORCE_CLIENT_ID", "key"),
            ("SALESFORCE_CLIENT_SECRET", "hush"),
        ];
        let pairs: Vec<(&str, &str)> = pairs.iter().copied().chain(usual).collect();
        SalesforceConfig::read(&Variables::from_fn(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn address_client_id_and_secret_are_enough() {
        let config = read(&[]).unwrap();
        assert_eq!((config.api_version.as_str(), config.auto_assign.as_str()), ("67.0", "false"));
        assert_eq!((config.allow_duplicates, config.usage_percent), (true, 90));
        assert!(!format!("{config:?}").contains("hush"));
        let jwt = [
            ("SALESFORCE_CLIENT_SECRET", ""),
            ("SALESFORCE_PRIVATE_KEY", "pem"),
            ("SALESFORCE_USERNAME", "a@b.c"),
        ];
        assert!(matches!(read(&jwt).unwrap().login, SalesforceLogin::Jwt { .. }));
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
