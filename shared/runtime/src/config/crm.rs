mod hubspot;
mod salesforce;

use std::path::PathBuf;

pub use self::hubspot::{HubSpotConfig, HubSpotLogin};
pub use self::salesforce::{SalesforceConfig, SalesforceLogin};
use crate::{ConfigError, Variables};

/// The most actions a minute that can be asked for: as good as no limit.
const MOST: u32 = 1_000_000;

/// Which CRM is written to, and how.
#[derive(Clone, Debug)]
pub struct CrmConfig {
    /// `CRM_PROVIDER`, or what `ENV` stands for.
    pub provider: CrmProvider,
    /// `SALESFORCE_*`; none where another CRM is written to.
    pub salesforce: Option<SalesforceConfig>,
    /// `HUBSPOT_*`; none where another CRM is written to.
    pub hubspot: Option<HubSpotConfig>,
    /// `CRM_LIMIT_PER_LEAD`, `CRM_LIMIT_PER_ACCOUNT`, `CRM_LIMIT_GLOBAL`.
    pub limits: Limits,
    /// `REJECTED_LEADS`.
    pub rejected_leads: RejectedLeads,
    /// `CRM_MODE`.
    pub mode: CrmMode,
    /// `CRM_MAPPING_FILE`; none for the CRM's built-in mapping.
    pub mapping_file: Option<PathBuf>,
    /// `CRM_ALLOW_FILE`: which actions and fields are let through; none for the built-in allow-list.
    pub allow_file: Option<PathBuf>,
    /// `CRM_KEEP_OLD_VALUES`: whether what a plan overwrites is read first and kept.
    pub keep_old_values: bool,
}

/// Whether plans for the CRM are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmMode {
    /// They are made, checked against the CRM, and kept.
    Shadow,
    /// They are carried out.
    Live,
}

/// Which CRM is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmProvider {
    /// Tables of the database.
    Mock,
    /// Salesforce.
    Salesforce,
    /// `HubSpot`.
    HubSpot,
}

/// What becomes of a lead whose analysis was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedLeads {
    /// It is held for a person.
    Hold,
    /// It is written to the CRM with no field derived by the AI.
    Bare,
}

/// CRM actions a minute.
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
            // Tables of our own need no protection.
            CrmProvider::Mock => [MOST; 3],
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
                per_lead: variables.number("CRM_LIMIT_PER_LEAD", per_lead, 1..=MOST)?,
                per_account: variables.number("CRM_LIMIT_PER_ACCOUNT", per_account, 1..=MOST)?,
                global: variables.number("CRM_LIMIT_GLOBAL", global, 1..=MOST)?,
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

/// `CRM_PROVIDER` wins; `ENV=MOCK` is the original system's way to ask for the mock.
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
    fn a_real_crm_is_protected_by_default_and_the_mock_where_it_is_asked_for() {
        let hubspot = [("CRM_PROVIDER", "hubspot"), ("HUBSPOT_ACCESS_TOKEN", "x")];
        assert_eq!(limits(&hubspot), Limits { per_lead: 10, per_account: 100, global: 1_000 });
        assert_eq!(limits(&[]), Limits { per_lead: MOST, per_account: MOST, global: MOST });
        assert_eq!(limits(&[("CRM_LIMIT_GLOBAL", "7")]).global, 7);
    }
}
