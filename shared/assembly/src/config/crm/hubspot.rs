use secrecy::SecretString;

use runtime::{ConfigError, Variables};

/// Settings of `HubSpot`, read only if it is the CRM.
#[derive(Clone, Debug)]
pub struct HubSpotConfig {
    /// `HUBSPOT_BASE_URL`: HTTPS, or HTTP on this machine.
    pub base_url: String,
    /// `HUBSPOT_API_VERSION`: a date such as `2026-03`, or `v3`.
    pub api_version: String,
    /// `HUBSPOT_ACCESS_TOKEN`, or the variables of an OAuth app.
    pub login: HubSpotLogin,
}

/// The credentials of the app.
#[derive(Clone, Debug)]
pub enum HubSpotLogin {
    /// `HUBSPOT_ACCESS_TOKEN`: the token of a private app.
    Token(SecretString),
    /// An OAuth app.
    OAuth {
        /// `HUBSPOT_CLIENT_ID`.
        client_id: String,
        /// `HUBSPOT_CLIENT_SECRET`.
        client_secret: SecretString,
        /// `HUBSPOT_REFRESH_TOKEN`. If absent, tokens are requested with client credentials.
        refresh_token: Option<SecretString>,
    },
}

impl HubSpotConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let base_url =
            variables.text("HUBSPOT_BASE_URL").unwrap_or_else(|| "https://api.hubapi.com".to_owned());
        let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
        if !base_url.starts_with("https://") && !local.iter().any(|local| base_url.starts_with(local)) {
            return Err(ConfigError::new("HUBSPOT_BASE_URL", "must be an address that begins with https://"));
        }
        let api_version = variables.text("HUBSPOT_API_VERSION").unwrap_or_else(|| "2026-03".to_owned());
        let is_segment = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if api_version.len() > 20 || !api_version.chars().all(is_segment) {
            let problem = format!("must be a version such as 2026-03 or v3, not {api_version:?}");
            return Err(ConfigError::new("HUBSPOT_API_VERSION", problem));
        }
        Ok(Self { base_url, api_version, login: login(variables)? })
    }
}

fn login(variables: &Variables<'_>) -> Result<HubSpotLogin, ConfigError> {
    let (token, client_id) = (variables.secret("HUBSPOT_ACCESS_TOKEN"), variables.text("HUBSPOT_CLIENT_ID"));
    match (token, client_id) {
        (Some(_), Some(_)) => {
            let problem = "must not be set together with HUBSPOT_ACCESS_TOKEN: an app uses one of them";
            Err(ConfigError::new("HUBSPOT_CLIENT_ID", problem))
        }
        (Some(token), None) => Ok(HubSpotLogin::Token(token)),
        (None, Some(client_id)) => {
            let missing =
                || ConfigError::new("HUBSPOT_CLIENT_SECRET", "must be set together with HUBSPOT_CLIENT_ID");
            Ok(HubSpotLogin::OAuth {
                client_id,
                client_secret: variables.secret("HUBSPOT_CLIENT_SECRET").ok_or_else(missing)?,
                refresh_token: variables.secret("HUBSPOT_REFRESH_TOKEN"),
            })
        }
        (None, None) => {
            let problem = "must be set when CRM_PROVIDER=hubspot (or HUBSPOT_CLIENT_ID, for an OAuth app)";
            Err(ConfigError::new("HUBSPOT_ACCESS_TOKEN", problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<HubSpotConfig, String> {
        let variables = Variables::from_fn(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        HubSpotConfig::read(&variables).map_err(|error| error.variable.to_owned())
    }

    #[test]
    fn token_is_enough_and_an_oauth_app_needs_its_secret() {
        let config = read(&[("HUBSPOT_ACCESS_TOKEN", "pat-hush")]).unwrap();
        assert!(matches!(config.login, HubSpotLogin::Token(_)));
        assert_eq!(
            (config.base_url.as_str(), config.api_version.as_str()),
            ("https://api.hubapi.com", "2026-03")
        );
        assert!(!format!("{config:?}").contains("hush"));
        let app = [("HUBSPOT_CLIENT_ID", "id"), ("HUBSPOT_CLIENT_SECRET", "hush")];
        assert!(matches!(read(&app).unwrap().login, HubSpotLogin::OAuth { refresh_token: None, .. }));
    }

    #[test]
    fn error_names_the_variable() {
        let token = ("HUBSPOT_ACCESS_TOKEN", "pat");
        for (pairs, variable) in [
            (&[][..], "HUBSPOT_ACCESS_TOKEN"),
            (&[token, ("HUBSPOT_CLIENT_ID", "id")], "HUBSPOT_CLIENT_ID"),
            (&[("HUBSPOT_CLIENT_ID", "id")], "HUBSPOT_CLIENT_SECRET"),
            (&[token, ("HUBSPOT_BASE_URL", "http://api.hubapi.com")], "HUBSPOT_BASE_URL"),
            (&[token, ("HUBSPOT_API_VERSION", "../v3")], "HUBSPOT_API_VERSION"),
        ] {
            assert_eq!(read(pairs).unwrap_err(), variable);
        }
    }
}
