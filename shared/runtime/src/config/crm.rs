use crate::{ConfigError, Variables};

/// Which CRM is written to, and how.
#[derive(Clone, Debug)]
pub struct CrmConfig {
    /// `CRM_PROVIDER`, or what `ENV` stands for.
    pub provider: CrmProvider,
    /// `CRM_LIMIT_PER_LEAD`, `CRM_LIMIT_PER_ACCOUNT`, `CRM_LIMIT_GLOBAL`.
    pub limits: Limits,
    /// `REJECTED_LEADS`.
    pub rejected_leads: RejectedLeads,
}

/// Which CRM is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmProvider {
    /// Tables of the database.
    Mock,
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
        let rejected = [("hold", RejectedLeads::Hold), ("bare", RejectedLeads::Bare)];
        Ok(Self {
            provider: provider(variables)?,
            limits: Limits {
                per_lead: variables.number("CRM_LIMIT_PER_LEAD", 10, 1..=1_000_000)?,
                per_account: variables.number("CRM_LIMIT_PER_ACCOUNT", 100, 1..=1_000_000)?,
                global: variables.number("CRM_LIMIT_GLOBAL", 1_000, 1..=1_000_000)?,
            },
            rejected_leads: variables.choice("REJECTED_LEADS", &rejected, RejectedLeads::Hold)?,
        })
    }
}

/// `CRM_PROVIDER` wins; `ENV=MOCK` is the original system's way to ask for the mock.
fn provider(variables: &Variables<'_>) -> Result<CrmProvider, ConfigError> {
    let named = variables.choice("CRM_PROVIDER", &[("mock", Some(CrmProvider::Mock))], None)?;
    match (named, variables.choice("ENV", &[("MOCK", true), ("REAL", false)], true)?) {
        (Some(provider), _) => Ok(provider),
        (None, true) => Ok(CrmProvider::Mock),
        (None, false) => Err(ConfigError::new("CRM_PROVIDER", "must be set when ENV=REAL")),
    }
}
