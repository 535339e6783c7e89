use std::sync::Arc;

use anyhow::{Context as _, ensure};
use crm::{CrmMode, Executor, Guard, GuardSettings, LimitSettings, Mapping, MockCrm};
use database::Database;
use lead::Clock;
use runtime::{Config, CrmConfig, CrmProvider};
use store::{SharedLimits, Store};

/// The way to the CRM, as configured.
pub(crate) fn guard(
    config: &Config,
    database: &Database,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Guard> {
    let mapping = Arc::new(mapping(&config.crm)?);
    let executor: Arc<dyn Executor> = match config.crm.provider {
        CrmProvider::Mock => {
            let crm = MockCrm::new(database.clone(), Arc::clone(clock));
            Arc::new(crm.with_mapping(Arc::clone(&mapping)))
        }
    };
    let limits = LimitSettings {
        per_lead: config.crm.limits.per_lead,
        per_account: config.crm.limits.per_account,
        global: config.crm.limits.global,
        ..LimitSettings::default()
    };
    let settings = GuardSettings {
        keep_old_values: config.crm.keep_old_values,
        mode: match config.crm.mode {
            runtime::CrmMode::Shadow => CrmMode::Shadow,
            runtime::CrmMode::Live => CrmMode::Live,
        },
        mapping,
        ..GuardSettings::default()
    };
    Ok(Guard::new(
        executor,
        Arc::new(store.clone()),
        Arc::new(store.clone()),
        Arc::new(SharedLimits::new(store.clone(), limits)),
        Arc::clone(clock),
        settings,
    ))
}

/// The mapping of the CRM that is written to: from `CRM_MAPPING_FILE`, or the built-in one.
///
/// # Errors
///
/// When the file cannot be read or is for another CRM; names it and the line.
pub fn mapping(config: &CrmConfig) -> anyhow::Result<Mapping> {
    let provider = match config.provider {
        CrmProvider::Mock => "mock",
    };
    let Some(file) = &config.mapping_file else {
        return Mapping::default_for(provider).with_context(|| format!("there is no mapping for {provider}"));
    };
    let place = || format!("CRM_MAPPING_FILE: {}", file.display());
    let text = std::fs::read_to_string(file).with_context(place)?;
    let mapping = Mapping::parse(&text).with_context(place)?;
    ensure!(
        mapping.crm() == provider,
        "{}: it is for `{}`, and CRM_PROVIDER is {provider}",
        place(),
        mapping.crm()
    );
    Ok(mapping)
}
