use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;

use runtime::{ConfigError, Variables};

const PROVIDERS: &str = "ENRICHMENT_PROVIDERS";
const DAY: Duration = Duration::from_hours(24);

/// The enrichment providers and their settings.
#[derive(Clone, Debug)]
pub struct EnrichmentConfig {
    /// `ENRICHMENT_PROVIDERS`, in the order of the calls, without repetition.
    pub providers: Vec<EnrichmentSource>,
    /// `ENRICHMENT_TIMEOUT_SECONDS`: time limit of a provider call.
    pub timeout: Duration,
    /// `.._TIMEOUT_SECONDS`: time limit of calls to one provider, by its name in `ENRICHMENT_PROVIDERS`.
    pub timeouts: HashMap<&'static str, Duration>,
    /// `ENRICHMENT_KNOWN_DAYS`: cache lifetime of a company that was found.
    pub known_for: Duration,
    /// `ENRICHMENT_UNKNOWN_HOURS`: cache lifetime of a negative answer from a provider.
    pub unknown_for: Duration,
}

/// Bounds of a provider timeout, in seconds.
const TIMEOUTS: RangeInclusive<u64> = 1..=60;
/// The variable for the timeout of a single provider, by the provider's name.
const TIMEOUT_OF: [(&str, &str); 5] = [
    ("zoominfo", "ZOOMINFO_TIMEOUT_SECONDS"),
    ("apollo", "APOLLO_TIMEOUT_SECONDS"),
    ("pdl", "PDL_TIMEOUT_SECONDS"),
    ("hunter", "HUNTER_TIMEOUT_SECONDS"),
    ("clearbit", "CLEARBIT_TIMEOUT_SECONDS"),
];

/// One provider and its settings.
#[derive(Clone, Debug)]
pub enum EnrichmentSource {
    /// Well-known companies, offline.
    Fixtures,
    /// ZoomInfo's GTM API.
    ZoomInfo(ZoomInfoConfig),
    /// Apollo.
    Apollo(KeyedConfig),
    /// People Data Labs.
    PeopleDataLabs {
        /// The address and the key.
        keyed: KeyedConfig,
        /// `PDL_MIN_LIKELIHOOD`, 1 to 10.
        min_likelihood: u8,
    },
    /// Hunter.
    Hunter(KeyedConfig),
    /// Clearbit, for accounts that still have a key.
    Clearbit(KeyedConfig),
}

/// A provider with an API key.
#[derive(Clone, Debug)]
pub struct KeyedConfig {
    /// `.._BASE_URL`.
    pub base_url: String,
    /// `.._API_KEY`.
    pub key: SecretString,
    /// `.._DAILY_CREDITS`. `None` is no limit on our side.
    pub daily_credits: Option<u32>,
}

/// ZoomInfo, which issues access tokens.
#[derive(Clone, Debug)]
pub struct ZoomInfoConfig {
    /// `ZOOMINFO_BASE_URL`.
    pub base_url: String,
    /// `ZOOMINFO_TOKEN_URL`.
    pub token_url: String,
    /// `ZOOMINFO_CLIENT_ID`.
    pub client_id: String,
    /// `ZOOMINFO_CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// `ZOOMINFO_DAILY_CREDITS`. `None` is no limit on our side.
    pub daily_credits: Option<u32>,
}

impl EnrichmentSource {
    /// The provider's name in `ENRICHMENT_PROVIDERS`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fixtures => "fixtures",
            Self::ZoomInfo(_) => "zoominfo",
            Self::Apollo(_) => "apollo",
            Self::PeopleDataLabs { .. } => "pdl",
            Self::Hunter(_) => "hunter",
            Self::Clearbit(_) => "clearbit",
        }
    }

    /// Maximum number of credits per day. `None` is no limit on our side.
    pub fn daily_credits(&self) -> Option<u32> {
        match self {
            Self::Fixtures => None,
            Self::ZoomInfo(zoominfo) => zoominfo.daily_credits,
            Self::PeopleDataLabs { keyed, .. }
            | Self::Apollo(keyed)
            | Self::Hunter(keyed)
            | Self::Clearbit(keyed) => keyed.daily_credits,
        }
    }

    fn read(variables: &Variables<'_>, name: &str) -> Result<Self, ConfigError> {
        let keyed = |names: [&'static str; 3], default_url: &str| {
            let [base_url, key, credits] = names;
            Ok::<_, ConfigError>(KeyedConfig {
                base_url: variables.text(base_url).unwrap_or_else(|| default_url.to_owned()),
                key: variables.secret(key).ok_or_else(|| needed(key, name))?,
                daily_credits: daily_credits(variables, credits)?,
            })
        };
        match name.to_ascii_lowercase().as_str() {
            "fixtures" => Ok(Self::Fixtures),
            "zoominfo" => Ok(Self::ZoomInfo(ZoomInfoConfig {
                base_url: variables
                    .text("ZOOMINFO_BASE_URL")
                    .unwrap_or_else(|| "https://api.zoominfo.com/gtm".to_owned()),
                token_url: variables
                    .text("ZOOMINFO_TOKEN_URL")
                    .unwrap_or_else(|| "https://okta-login.zoominfo.com/oauth2/default/v1/token".to_owned()),
                client_id: variables
                    .text("ZOOMINFO_CLIENT_ID")
                    .ok_or_else(|| needed("ZOOMINFO_CLIENT_ID", name))?,
                client_secret: variables
                    .secret("ZOOMINFO_CLIENT_SECRET")
                    .ok_or_else(|| needed("ZOOMINFO_CLIENT_SECRET", name))?,
                daily_credits: daily_credits(variables, "ZOOMINFO_DAILY_CREDITS")?,
            })),
            "apollo" => Ok(Self::Apollo(keyed(
                ["APOLLO_BASE_URL", "APOLLO_API_KEY", "APOLLO_DAILY_CREDITS"],
                "https://api.apollo.io",
            )?)),
            "pdl" => Ok(Self::PeopleDataLabs {
                keyed: keyed(
                    ["PDL_BASE_URL", "PDL_API_KEY", "PDL_DAILY_CREDITS"],
                    "https://api.peopledatalabs.com",
                )?,
                min_likelihood: variables.number("PDL_MIN_LIKELIHOOD", 6, 1..=10)?,
            }),
            "hunter" => Ok(Self::Hunter(keyed(
                ["HUNTER_BASE_URL", "HUNTER_API_KEY", "HUNTER_DAILY_CREDITS"],
                "https://api.hunter.io",
            )?)),
            "clearbit" => Ok(Self::Clearbit(keyed(
                ["CLEARBIT_BASE_URL", "CLEARBIT_API_KEY", "CLEARBIT_DAILY_CREDITS"],
                "https://company.clearbit.com",
            )?)),
            _ => {
                let known = "knows fixtures, zoominfo, apollo, pdl, hunter and clearbit";
                Err(ConfigError::new(PROVIDERS, format!("{known}, not {name:?}")))
            }
        }
    }
}

impl EnrichmentConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let mut names = variables.list(PROVIDERS);
        if names.is_empty() {
            names.push("fixtures".to_owned());
        }
        let mut providers: Vec<EnrichmentSource> = Vec::with_capacity(names.len());
        for name in &names {
            let provider = EnrichmentSource::read(variables, name)?;
            if providers.iter().any(|known| known.as_str() == provider.as_str()) {
                return Err(ConfigError::new(PROVIDERS, format!("names {} twice", provider.as_str())));
            }
            providers.push(provider);
        }
        let timeout = variables.number("ENRICHMENT_TIMEOUT_SECONDS", 10, TIMEOUTS)?;
        let mut timeouts = HashMap::new();
        for (provider, variable) in TIMEOUT_OF {
            let seconds = variables.number(variable, timeout, TIMEOUTS)?;
            timeouts.insert(provider, Duration::from_secs(seconds));
        }
        Ok(Self {
            providers,
            timeouts,
            timeout: Duration::from_secs(timeout),
            known_for: DAY * variables.number("ENRICHMENT_KNOWN_DAYS", 30, 1..=365)?,
            unknown_for: Duration::from_hours(variables.number(
                "ENRICHMENT_UNKNOWN_HOURS",
                24,
                1..=24 * 30,
            )?),
        })
    }
}

fn needed(variable: &'static str, provider: &str) -> ConfigError {
    ConfigError::new(variable, format!("must be set when {PROVIDERS} names {provider}"))
}

fn daily_credits(variables: &Variables<'_>, name: &'static str) -> Result<Option<u32>, ConfigError> {
    let credits = variables.number(name, 0, 0..=10_000_000)?;
    Ok((credits > 0).then_some(credits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<EnrichmentConfig, ConfigError> {
        EnrichmentConfig::read(&Variables::from_fn(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn providers_keep_their_configured_order() {
        let config = read(&[
            (PROVIDERS, "ZoomInfo, apollo,fixtures"),
            ("ZOOMINFO_CLIENT_ID", "us"),
            ("ZOOMINFO_CLIENT_SECRET", "hush"),
            ("APOLLO_API_KEY", "hush"),
            ("APOLLO_DAILY_CREDITS", "500"),
        ]);
        let config = config.unwrap();
        let names: Vec<_> = config.providers.iter().map(EnrichmentSource::as_str).collect();
        assert_eq!(names, ["zoominfo", "apollo", "fixtures"]);
        let credits: Vec<_> = config.providers.iter().map(EnrichmentSource::daily_credits).collect();
        assert_eq!(credits, [None, Some(500), None]);
        assert!(!format!("{config:?}").contains("hush"));
        assert_eq!(read(&[]).unwrap().providers.len(), 1, "the fixtures");
    }

    #[test]
    fn single_provider_may_have_its_own_timeout() {
        let config = read(&[("ENRICHMENT_TIMEOUT_SECONDS", "7"), ("PDL_TIMEOUT_SECONDS", "30")]).unwrap();
        assert_eq!(config.timeout, Duration::from_secs(7));
        assert_eq!(config.timeouts["pdl"], Duration::from_secs(30));
        assert_eq!(config.timeouts["apollo"], Duration::from_secs(7));
        let problem = read(&[("APOLLO_TIMEOUT_SECONDS", "61")]).unwrap_err().to_string();
        assert_eq!(problem, "APOLLO_TIMEOUT_SECONDS: must be a number from 1 to 60, not \"61\"");
    }

    #[test]
    fn error_names_the_variable() {
        let named = |providers| (PROVIDERS, providers);
        let key = ("PDL_API_KEY", "k");
        for (pairs, line) in [
            (
                &[named("fixtures,oracle")][..],
                "ENRICHMENT_PROVIDERS: knows fixtures, zoominfo, apollo, pdl, hunter and clearbit, not \"oracle\"",
            ),
            (&[named("fixtures,Fixtures")], "ENRICHMENT_PROVIDERS: names fixtures twice"),
            (&[named("apollo")], "APOLLO_API_KEY: must be set when ENRICHMENT_PROVIDERS names apollo"),
            (
                &[named("zoominfo"), ("ZOOMINFO_CLIENT_ID", "us")],
                "ZOOMINFO_CLIENT_SECRET: must be set when ENRICHMENT_PROVIDERS names zoominfo",
            ),
            (
                &[named("pdl"), key, ("PDL_MIN_LIKELIHOOD", "11")],
                "PDL_MIN_LIKELIHOOD: must be a number from 1 to 10, not \"11\"",
            ),
            (
                &[named("pdl"), key, ("PDL_DAILY_CREDITS", "-1")],
                "PDL_DAILY_CREDITS: must be a number from 0 to 10000000, not \"-1\"",
            ),
        ] {
            assert_eq!(read(pairs).unwrap_err().to_string(), line);
        }
    }
}
