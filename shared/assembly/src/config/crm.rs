mod hubspot;
mod salesforce;

use std::path::PathBuf;

pub use self::hubspot::{HubSpotConfig, HubSpotLogin};
pub use self::salesforce::{SalesforceConfig, SalesforceLogin};
use runtime::{ConfigError, Variables};

/// Maximum value of the rate limits, in actions per minute. Equivalent to no limit.
const UNLIMITED: u32 = 1_000_000;

/// The CRM and its settings.
#[derive(Clone, Debug)]
pub struct CrmConfig {
    /// `CRM_PROVIDER`, or the default by `ENV`.
    pub provider: CrmProvider,
    /// `SALESFORCE_*`. `None` for another CRM.
    pub salesforce: Option<SalesforceConfig>,
    /// `HUBSPOT_*`. `None` for another CRM.
    pub hubspot: Option<HubSpotConfig>,
    /// `CRM_LIMIT_PER_LEAD`, `CRM_LIMIT_PER_ACCOUNT`, `CRM_LIMIT_GLOBAL`.
    pub limits: Limits,
    /// `REJECTED_LEADS`.
    pub rejected_leads: RejectedLeads,
    /// `CRM_MODE`.
    pub mode: CrmMode,
    /// `CRM_MAPPING_FILE`. `None` selects the built-in mapping of the CRM.
    pub mapping_file: Option<PathBuf>,
    /// `CRM_ALLOW_FILE`: the permitted actions and fields. `None` selects the built-in allow-list.
    pub allow_file: Option<PathBuf>,
    /// `CRM_KEEP_OLD_VALUES`: whether the values that a plan overwrites are read first and stored.
    pub keep_old_values: bool,
}

/// The execution mode of CRM plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmMode {
    /// Plans are made, compared with the CRM, and stored.
    Shadow,
    /// Plans are executed.
    Live,
}

/// The CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmProvider {
    /// Tables of the database.
    Mock,
    /// Salesforce.
    Salesforce,
    /// `HubSpot`.
    HubSpot,
}

/// The treatment of a lead whose analysis was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedLeads {
    /// The lead is held for review by a person.
    Hold,
    /// The lead is written to the CRM without any field derived from the analysis.
    Bare,
}

/// Rate limits, in CRM actions per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one lead.
    pub per_lead: u32,
    /// For one company.
    pub per_account: u32,
    /// For all.
    pub global: u32,
}

impl CrmConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let modes = [("shadow", CrmMode::Shadow), ("live", CrmMode::Live)];
        let rejected = [("hold", RejectedLeads::Hold), ("bare", RejectedLeads::Bare)];
        let provider = provider(variables)?;
        let [per_lead, per_account, global] = match provider {
            // The mock is our own database and needs no protection.
            CrmProvider::Mock => [UNLIMITED; 3],
            CrmProvider::Salesforce | CrmProvider::HubSpot => [10, 100, 1_000],
        };
        Ok(Self {
            provider,
            salesforce: match provider {
                CrmProvider::Salesforce => Some(SalesforceConfig::read(variables)?),
                _ => None,
            },
            hubspot: match provider {
                CrmProvider::HubSpot => Some(HubSpotConfig::read(variables)?),
                _ => None,
            },
            limits: Limits {
                per_lead: variables.number("CRM_LIMIT_PER_LEAD", per_lead, 1..=UNLIMITED)?,
                per_account: variables.number("CRM_LIMIT_PER_ACCOUNT", per_account, 1..=UNLIMITED)?,
                global: variables.number("CRM_LIMIT_GLOBAL", global, 1..=UNLIMITED)?,
            },
            rejected_leads: variables.choice("REJECTED_LEADS", &rejected, RejectedLeads::Hold)?,
            mode: variables.choice("CRM_MODE", &modes, CrmMode::Live)?,
            mapping_file: variables.text("CRM_MAPPING_FILE").map(PathBuf::from),
            allow_file: variables.text("CRM_ALLOW_FILE").map(PathBuf::from),
            keep_old_values: variables.choice(
                "CRM_KEEP_OLD_VALUES",
                &[("true", true), ("false", false)],
                true,
            )?,
        })
    }
}

/// `CRM_PROVIDER` takes precedence. Without it, `ENV=MOCK` selects the mock, as in the original system.
fn provider(variables: &Variables<'_>) -> Result<CrmProvider, ConfigError> {
    let providers = [
        ("mock", Some(CrmProvider::Mock)),
        ("salesforce", Some(CrmProvider::Salesforce)),
        ("hubspot", Some(CrmProvider::HubSpot)),
    ];
    let named = variables.choice("CRM_PROVIDER", &providers, None)?;
    match (named, variables.choice("ENV", &[("MOCK", true), ("REAL", false)], true)?) {
        (Some(provider), _) => Ok(provider),
        (None, true) => Ok(CrmProvider::Mock),
        (None, false) => Err(ConfigError::new("CRM_PROVIDER", "must be set when ENV=REAL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(pairs: &[(&str, &str)]) -> Limits {
        let variables = Variables::from_fn(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        CrmConfig::read(&variables).unwrap().limits
    }

    #[test]
    fn real_crm_is_limited_by_default_and_the_mock_on_request() {
        let hubspot = [("CRM_PROVIDER", "hubspot"), ("HUBSPOT_ACCESS_TOKEN", "x")];
        assert_eq!(limits(&hubspot), Limits { per_lead: 10, per_account: 100, global: 1_000 });
        assert_eq!(limits(&[]), Limits { per_lead: UNLIMITED, per_account: UNLIMITED, global: UNLIMITED });
        assert_eq!(limits(&[("CRM_LIMIT_GLOBAL", "7")]).global, 7);
    }
}
