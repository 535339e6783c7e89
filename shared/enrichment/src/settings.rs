use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use lead::{Clock, Failure};
use variables::{ConfigError, Variables};

use crate::{
    Access, Apollo, Clearbit, EnrichmentProvider, Fixtures, Hunter, PeopleDataLabs, Terms, ZoomInfo,
    ZoomInfoAccess,
};

const PROVIDERS: &str = "ENRICHMENT_PROVIDERS";
const DAY: Duration = Duration::from_hours(24);

/// The enrichment providers and their settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ENRICHMENT_PROVIDERS`, in the order of the calls, without repetition.
    pub providers: Vec<ProviderSettings>,
    /// `ENRICHMENT_TIMEOUT_SECONDS`: time limit of a provider call.
    pub timeout: Duration,
    /// `.._TIMEOUT_SECONDS`: time limit of calls to one provider, by its name in `ENRICHMENT_PROVIDERS`.
    pub timeouts: HashMap<&'static str, Duration>,
    /// `ENRICHMENT_KNOWN_DAYS` and `ENRICHMENT_UNKNOWN_HOURS`: lifetime of cached answers.
    pub terms: Terms,
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
pub struct ProviderSettings {
    /// The provider.
    pub source: ProviderAccess,
    /// `.._DAILY_CREDITS`. `None` is no limit on our side.
    pub daily_credits: Option<u32>,
}

/// A provider, with its addresses and credentials.
#[derive(Clone, Debug)]
pub enum ProviderAccess {
    /// Well-known companies, offline.
    Fixtures,
    /// ZoomInfo's GTM API: `ZOOMINFO_*`.
    ZoomInfo(ZoomInfoAccess),
    /// Apollo: `APOLLO_*`.
    Apollo(Access),
    /// People Data Labs: `PDL_*`.
    PeopleDataLabs {
        /// The address and the key.
        access: Access,
        /// `PDL_MIN_LIKELIHOOD`, 1 to 10.
        min_likelihood: u8,
    },
    /// Hunter: `HUNTER_*`.
    Hunter(Access),
    /// Clearbit, for accounts that still have a key: `CLEARBIT_*`.
    Clearbit(Access),
}

impl ProviderSettings {
    fn read(variables: &Variables<'_>, name: &str) -> Result<Self, ConfigError> {
        let needed = |variable| {
            let problem = format!("must be set when {PROVIDERS} names {name}");
            move || ConfigError::new(variable, problem)
        };
        let access = |base_url, default_url, key| {
            Ok::<_, ConfigError>(Access {
                base_url: variables.parsed(base_url, default_url)?,
                key: variables.secret(key).ok_or_else(needed(key))?,
            })
        };
        let (source, credits) = match name.to_ascii_lowercase().as_str() {
            "fixtures" => return Ok(Self { source: ProviderAccess::Fixtures, daily_credits: None }),
            "zoominfo" => {
                let (id, secret) = ("ZOOMINFO_CLIENT_ID", "ZOOMINFO_CLIENT_SECRET");
                let access = ZoomInfoAccess {
                    base_url: variables.parsed("ZOOMINFO_BASE_URL", "https://api.zoominfo.com/gtm")?,
                    token_url: variables.parsed(
                        "ZOOMINFO_TOKEN_URL",
                        "https://okta-login.zoominfo.com/oauth2/default/v1/token",
                    )?,
                    client_id: variables.text(id).ok_or_else(needed(id))?,
                    client_secret: variables.secret(secret).ok_or_else(needed(secret))?,
                };
                (ProviderAccess::ZoomInfo(access), "ZOOMINFO_DAILY_CREDITS")
            }
            "apollo" => {
                let access = access("APOLLO_BASE_URL", "https://api.apollo.io", "APOLLO_API_KEY")?;
                (ProviderAccess::Apollo(access), "APOLLO_DAILY_CREDITS")
            }
            "pdl" => {
                let access = access("PDL_BASE_URL", "https://api.peopledatalabs.com", "PDL_API_KEY")?;
                let min_likelihood = variables.number("PDL_MIN_LIKELIHOOD", 6, 1..=10)?;
                (ProviderAccess::PeopleDataLabs { access, min_likelihood }, "PDL_DAILY_CREDITS")
            }
            "hunter" => {
                let access = access("HUNTER_BASE_URL", "https://api.hunter.io", "HUNTER_API_KEY")?;
                (ProviderAccess::Hunter(access), "HUNTER_DAILY_CREDITS")
            }
            "clearbit" => {
                let access = access("CLEARBIT_BASE_URL", "https://company.clearbit.com", "CLEARBIT_API_KEY")?;
                (ProviderAccess::Clearbit(access), "CLEARBIT_DAILY_CREDITS")
            }
            _ => {
                let known = "knows fixtures, zoominfo, apollo, pdl, hunter and clearbit";
                return Err(ConfigError::new(PROVIDERS, format!("{known}, not {name:?}")));
            }
        };
        let credits = variables.number(credits, 0, 0..=10_000_000)?;
        Ok(Self { source, daily_credits: (credits > 0).then_some(credits) })
    }
}

impl ProviderAccess {
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

    fn client(
        &self,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<dyn EnrichmentProvider>, Failure> {
        Ok(match self.clone() {
            Self::Fixtures => Arc::new(Fixtures::built_in()),
            Self::ZoomInfo(access) => Arc::new(ZoomInfo::new(access, timeout, clock)?),
            Self::Apollo(access) => Arc::new(Apollo::new(access, timeout, clock)?),
            Self::PeopleDataLabs { access, min_likelihood } => {
                Arc::new(PeopleDataLabs::new(access, min_likelihood, timeout, clock)?)
            }
            Self::Hunter(access) => Arc::new(Hunter::new(access, timeout, clock)?),
            Self::Clearbit(access) => Arc::new(Clearbit::new(access, timeout, clock)?),
        })
    }
}

impl Settings {
    /// Reads the settings. Those of a provider are read only if it is in use, except for its timeout.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let mut names = variables.list(PROVIDERS);
        if names.is_empty() {
            names.push("fixtures".to_owned());
        }
        let mut providers: Vec<ProviderSettings> = Vec::with_capacity(names.len());
        for name in &names {
            let provider = ProviderSettings::read(variables, name)?;
            let name = provider.source.as_str();
            if providers.iter().any(|known| known.source.as_str() == name) {
                return Err(ConfigError::new(PROVIDERS, format!("names {name} twice")));
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
            terms: Terms {
                known_for: DAY * variables.number("ENRICHMENT_KNOWN_DAYS", 30, 1..=365)?,
                unknown_for: Duration::from_hours(variables.number(
                    "ENRICHMENT_UNKNOWN_HOURS",
                    24,
                    1..=24 * 30,
                )?),
                ..Terms::default()
            },
        })
    }

    /// The clients of the providers, in the order of the calls.
    ///
    /// # Errors
    ///
    /// When the system has no root certificates.
    pub fn clients(&self, clock: &Arc<dyn Clock>) -> Result<Vec<Arc<dyn EnrichmentProvider>>, Failure> {
        let client = |provider: &ProviderSettings| {
            let timeout = self.timeouts.get(provider.source.as_str()).copied().unwrap_or(self.timeout);
            provider.source.client(timeout, Arc::clone(clock))
        };
        self.providers.iter().map(client).collect()
    }

    /// The daily limits on credits, by the provider's name.
    pub fn credits(&self) -> HashMap<&'static str, u32> {
        let limit = |provider: &ProviderSettings| Some((provider.source.as_str(), provider.daily_credits?));
        self.providers.iter().filter_map(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::read(&Variables::from_pairs(pairs))
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
        let names: Vec<_> = config.providers.iter().map(|provider| provider.source.as_str()).collect();
        assert_eq!(names, ["zoominfo", "apollo", "fixtures"]);
        let credits: Vec<_> = config.providers.iter().map(|provider| provider.daily_credits).collect();
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
            (
                &[named("apollo"), ("APOLLO_BASE_URL", "apollo.io"), ("APOLLO_API_KEY", "k")],
                "APOLLO_BASE_URL: relative URL without a base",
            ),
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
