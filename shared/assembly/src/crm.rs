use std::sync::Arc;

use crm::{Executor, Guard, GuardSettings, LimitSettings, MockCrm, SlidingWindow};
use database::Database;
use lead::Clock;
use runtime::{Config, CrmProvider};
use store::Store;

/// The way to the CRM, as configured.
pub(crate) fn guard(config: &Config, database: &Database, store: &Store, clock: &Arc<dyn Clock>) -> Guard {
    let executor: Arc<dyn Executor> = match config.crm.provider {
        CrmProvider::Mock => Arc::new(MockCrm::new(database.clone(), Arc::clone(clock))),
    };
    let limits = LimitSettings {
        per_lead: config.crm.limits.per_lead,
        per_account: config.crm.limits.per_account,
        global: config.crm.limits.global,
        ..LimitSettings::default()
    };
    Guard::new(
        executor,
        Arc::new(store.clone()),
        Arc::new(store.clone()),
        Arc::new(SlidingWindow::new(limits, Arc::clone(clock))),
        Arc::clone(clock),
        GuardSettings::default(),
    )
}
