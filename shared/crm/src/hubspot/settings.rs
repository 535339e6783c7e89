use http_client::Url;
use secrecy::SecretString;
use variables::{ConfigError, Variables};

use crate::settings::secure_url;

/// Address, API version and credentials of a `HubSpot` account.
#[derive(Clone, Debug)]
pub struct HubSpotSettings {
    /// `HUBSPOT_BASE_URL`: HTTPS, or HTTP on this machine.
    pub base_url: Url,
    /// `HUBSPOT_API_VERSION`, in every path: a date such as `2026-03`, or `v3` for the undated paths.
    pub version: String,
    /// `HUBSPOT_ACCESS_TOKEN`, or the variables of an OAuth app.
    pub credentials: HubSpotCredentials,
}

/// The credentials of an app. `Debug` redacts the secrets.
#[derive(Clone, Debug)]
pub enum HubSpotCredentials {
    /// `HUBSPOT_ACCESS_TOKEN`: the access token of a private app, which does not expire.
    PrivateApp(SecretString),
    /// An OAuth app.
    OAuth {
        /// `HUBSPOT_CLIENT_ID`.
        client_id: String,
        /// `HUBSPOT_CLIENT_SECRET`.
        client_secret: SecretString,
        /// `HUBSPOT_REFRESH_TOKEN`, of the app's installation. Without one, tokens are requested with the
        /// `client_credentials` grant.
        refresh_token: Option<SecretString>,
    },
}

impl HubSpotSettings {
    pub(crate) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        const URL: &str = "HUBSPOT_BASE_URL";
        let base_url = variables.text(URL).unwrap_or_else(|| "https://api.hubapi.com".to_owned());
        let base_url = secure_url(URL, &base_url, "must be an address that begins with https://")?;
        let version = variables.text("HUBSPOT_API_VERSION").unwrap_or_else(|| "2026-03".to_owned());
        let is_segment = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if version.len() > 20 || !version.chars().all(is_segment) {
            let problem = format!("must be a version such as 2026-03 or v3, not {version:?}");
            return Err(ConfigError::new("HUBSPOT_API_VERSION", problem));
        }
        Ok(Self { base_url, version, credentials: credentials(variables)? })
    }
}

fn credentials(variables: &Variables<'_>) -> Result<HubSpotCredentials, ConfigError> {
    let (token, client_id) = (variables.secret("HUBSPOT_ACCESS_TOKEN"), variables.text("HUBSPOT_CLIENT_ID"));
    match (token, client_id) {
        (Some(_), Some(_)) => {
            let problem = "must not be set together with HUBSPOT_ACCESS_TOKEN: an app uses one of them";
            Err(ConfigError::new("HUBSPOT_CLIENT_ID", problem))
        }
        (Some(token), None) => Ok(HubSpotCredentials::PrivateApp(token)),
        (None, Some(client_id)) => {
            let missing =
                || ConfigError::new("HUBSPOT_CLIENT_SECRET", "must be set together with HUBSPOT_CLIENT_ID");
            Ok(HubSpotCredentials::OAuth {
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

    fn read(pairs: &[(&str, &str)]) -> Result<HubSpotSettings, String> {
        HubSpotSettings::read(&Variables::from_pairs(pairs)).map_err(|error| error.variable.to_owned())
    }

    #[test]
    fn token_is_enough_and_an_oauth_app_needs_its_secret() {
        let config = read(&[("HUBSPOT_ACCESS_TOKEN", "pat-hush")]).unwrap();
        assert!(matches!(config.credentials, HubSpotCredentials::PrivateApp(_)));
        assert_eq!(
            (config.base_url.as_str(), config.version.as_str()),
            ("https://api.hubapi.com/", "2026-03")
        );
        assert!(!format!("{config:?}").contains("hush"));
        let app = [("HUBSPOT_CLIENT_ID", "id"), ("HUBSPOT_CLIENT_SECRET", "hush")];
        assert!(matches!(
            read(&app).unwrap().credentials,
            HubSpotCredentials::OAuth { refresh_token: None, .. }
        ));
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
