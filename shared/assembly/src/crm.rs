use std::sync::Arc;

use crm::{CrmProvider, Executor, Guard, HubSpotCrm, Ledger, Limits, MockCrm, Salesforce, Settings};
use database::Database;
use lead::Clock;
use store::{SharedLimits, Steps};

/// The configured guard with its CRM executor.
pub(crate) fn guard(
    settings: &Settings,
    database: &Database,
    steps: &Steps,
    limits: &Arc<SharedLimits>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Guard> {
    let mapping = Arc::new(settings.mapping()?);
    let executor: Arc<dyn Executor> = match &settings.provider {
        CrmProvider::Mock => {
            let crm = MockCrm::new(database.clone(), Arc::clone(clock));
            Arc::new(crm.with_mapping(Arc::clone(&mapping)))
        }
        CrmProvider::Salesforce(org) => Arc::new(Salesforce::new(org.clone(), Arc::clone(&mapping))?),
        CrmProvider::HubSpot(account) => {
            Arc::new(HubSpotCrm::new(account.clone(), Arc::clone(&mapping), Arc::clone(clock))?)
        }
    };
    let steps = Arc::new(steps.clone());
    Ok(Guard::new(
        executor,
        Arc::clone(&steps) as Arc<dyn Ledger>,
        steps,
        Arc::clone(limits) as Arc<dyn Limits>,
        Arc::clone(clock),
        settings.guard(mapping)?,
    ))
}
