use std::sync::Arc;

use http_client::Url;
use variables::{ConfigError, ConfigFile, Variables};

use crate::{AllowList, CrmMode, GuardSettings, HubSpotSettings, LimitSettings, Mapping, SalesforceSettings};

/// Maximum value of the rate limits, in actions per minute. Equivalent to no limit.
const UNLIMITED: u32 = 1_000_000;

/// The CRM and its settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `CRM_PROVIDER`, or the default by `ENV`.
    pub provider: CrmProvider,
    /// `CRM_LIMIT_PER_LEAD`, `CRM_LIMIT_PER_ACCOUNT`, `CRM_LIMIT_GLOBAL`, in actions per minute.
    pub limits: LimitSettings,
    /// `CRM_MODE`.
    pub mode: CrmMode,
    /// `CRM_MAPPING_FILE`. `None` selects the built-in mapping of the CRM.
    pub mapping_file: Option<ConfigFile>,
    /// `CRM_ALLOW_FILE`: the permitted actions and fields. `None` selects the built-in allow-list.
    pub allow_file: Option<ConfigFile>,
    /// `CRM_KEEP_OLD_VALUES`: whether the values that a plan overwrites are read first and stored.
    pub keep_old_values: bool,
}

/// The CRM, with the settings of its executor.
#[derive(Clone, Debug)]
pub enum CrmProvider {
    /// Tables of the database.
    Mock,
    /// Salesforce: `SALESFORCE_*`.
    Salesforce(SalesforceSettings),
    /// `HubSpot`: `HUBSPOT_*`.
    HubSpot(HubSpotSettings),
}

impl Settings {
    /// Reads the settings. Those of a CRM are read only if it is the configured one.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let modes = [("shadow", CrmMode::Shadow), ("live", CrmMode::Live)];
        let provider = CrmProvider::read(variables)?;
        let defaults = match provider {
            // The mock is our own database and needs no protection.
            CrmProvider::Mock => LimitSettings {
                per_lead: UNLIMITED,
                per_account: UNLIMITED,
                global: UNLIMITED,
                ..LimitSettings::default()
            },
            CrmProvider::Salesforce(_) | CrmProvider::HubSpot(_) => LimitSettings::default(),
        };
        Ok(Self {
            provider,
            limits: LimitSettings {
                per_lead: variables.number("CRM_LIMIT_PER_LEAD", defaults.per_lead, 1..=UNLIMITED)?,
                per_account: variables.number(
                    "CRM_LIMIT_PER_ACCOUNT",
                    defaults.per_account,
                    1..=UNLIMITED,
                )?,
                global: variables.number("CRM_LIMIT_GLOBAL", defaults.global, 1..=UNLIMITED)?,
                ..defaults
            },
            mode: variables.choice("CRM_MODE", &modes, CrmMode::Live)?,
            mapping_file: variables.file("CRM_MAPPING_FILE"),
            allow_file: variables.file("CRM_ALLOW_FILE"),
            keep_old_values: variables.choice(
                "CRM_KEEP_OLD_VALUES",
                &[("true", true), ("false", false)],
                true,
            )?,
        })
    }

    /// The field mapping: from the configured file, or the built-in one of the CRM.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is for another CRM. Names the file and the line.
    ///
    /// # Panics
    ///
    /// Never: each CRM has a built-in mapping.
    pub fn mapping(&self) -> Result<Mapping, ConfigError> {
        let provider = self.provider.as_str();
        let Some(file) = &self.mapping_file else {
            return Ok(Mapping::default_for(provider).expect("each CRM has a built-in mapping"));
        };
        file.parse(|text| {
            let mapping = Mapping::parse(text).map_err(|error| error.to_string())?;
            let crm = mapping.crm();
            if crm == provider {
                return Ok(mapping);
            }
            Err(format!("it is for `{crm}`, and CRM_PROVIDER is {provider}"))
        })
    }

    /// The settings of a guard, for an executor with this mapping.
    ///
    /// # Errors
    ///
    /// When the configured allow-list cannot be read. Names the file.
    pub fn guard(&self, mapping: Arc<Mapping>) -> Result<GuardSettings, ConfigError> {
        Ok(GuardSettings {
            allow: match &self.allow_file {
                Some(file) => file.parse(AllowList::parse)?,
                None => AllowList::default(),
            },
            keep_old_values: self.keep_old_values,
            mode: self.mode,
            mapping,
            ..GuardSettings::default()
        })
    }
}

impl CrmProvider {
    /// The name in `CRM_PROVIDER`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::Salesforce(_) => "salesforce",
            Self::HubSpot(_) => "hubspot",
        }
    }

    /// `CRM_PROVIDER` takes precedence. Without it, `ENV=MOCK` selects the mock, as in the original system.
    fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let names = ["mock", "salesforce", "hubspot"].map(|name| (name, name));
        let named = variables.choice("CRM_PROVIDER", &names, "")?;
        let is_mock = variables.choice("ENV", &[("MOCK", true), ("REAL", false)], true)?;
        match named {
            "salesforce" => SalesforceSettings::read(variables).map(Self::Salesforce),
            "hubspot" => HubSpotSettings::read(variables).map(Self::HubSpot),
            "" if !is_mock => Err(ConfigError::new("CRM_PROVIDER", "must be set when ENV=REAL")),
            _ => Ok(Self::Mock),
        }
    }
}

/// The URL of a CRM: HTTPS, or HTTP on this machine. `needed` is the problem with any other.
pub(crate) fn secure_url(variable: &'static str, text: &str, needed: &str) -> Result<Url, ConfigError> {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    if !text.starts_with("https://") && !local.iter().any(|local| text.starts_with(local)) {
        return Err(ConfigError::new(variable, needed));
    }
    text.parse().map_err(|error| ConfigError::new(variable, format!("is not a valid URL: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(pairs: &[(&str, &str)]) -> [u32; 3] {
        let limits = Settings::read(&Variables::from_pairs(pairs)).unwrap().limits;
        [limits.per_lead, limits.per_account, limits.global]
    }

    #[test]
    fn real_crm_is_limited_by_default_and_the_mock_on_request() {
        let hubspot = [("CRM_PROVIDER", "hubspot"), ("HUBSPOT_ACCESS_TOKEN", "x")];
        assert_eq!(limits(&hubspot), [10, 100, 1_000]);
        assert_eq!(limits(&[]), [UNLIMITED; 3]);
        assert_eq!(limits(&[("CRM_LIMIT_GLOBAL", "7")])[2], 7);
    }
}
