//! From a configuration to the pipeline, for whatever runs it.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analyst, Icp, Rules};
use anyhow::Context as _;
use crm::{Executor, Guard, GuardSettings, LimitSettings, MockCrm, SlidingWindow};
use database::Database;
use enrichment::{EnrichmentProvider, Fixtures, Waterfall};
use lead::Clock;
use pipeline::{Pipeline, Rejected};
use runtime::{AiProvider, Config, CrmProvider, RejectedLeads};
use store::Store;

/// How long an enrichment provider may take.
const ENRICHMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The pipeline as configured, on a migrated database.
///
/// # Errors
///
/// When `ICP_FILE` cannot be read.
pub fn pipeline(config: &Config, database: &Database, clock: &Arc<dyn Clock>) -> anyhow::Result<Pipeline> {
    let icp = icp(config)?;
    let store = Store::new(database.clone(), Arc::clone(clock));
    let analyst: Arc<dyn Analyst> = match config.ai_provider {
        AiProvider::Rules => Arc::new(Rules::new(icp.clone())),
    };
    let executor: Arc<dyn Executor> = match config.crm_provider {
        CrmProvider::Mock => Arc::new(MockCrm::new(database.clone(), Arc::clone(clock))),
    };
    let limits = LimitSettings {
        per_lead: config.crm_limits.per_lead,
        per_account: config.crm_limits.per_account,
        global: config.crm_limits.global,
        ..LimitSettings::default()
    };
    let guard = Guard::new(
        executor,
        Arc::new(store.clone()),
        Arc::new(store.clone()),
        Arc::new(SlidingWindow::new(limits, Arc::clone(clock))),
        Arc::clone(clock),
        GuardSettings::default(),
    );
    let providers = config.enrichment_providers.iter();
    let providers = providers.map(|_fixtures| Arc::new(Fixtures::built_in()) as Arc<dyn EnrichmentProvider>);
    Ok(Pipeline {
        store,
        enrichment: Waterfall::new(providers.collect(), ENRICHMENT_TIMEOUT, Arc::clone(clock)),
        icp,
        analyst,
        guard,
        rejected: match config.rejected_leads {
            RejectedLeads::Hold => Rejected::Hold,
            RejectedLeads::Bare => Rejected::Bare,
        },
        clock: Arc::clone(clock),
    })
}

/// The ideal customer: from `ICP_FILE`, or the built-in one.
///
/// # Errors
///
/// When the file cannot be read; names it and the line.
pub fn icp(config: &Config) -> anyhow::Result<Icp> {
    let Some(file) = &config.icp_file else { return Ok(Icp::default_config()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("ICP_FILE: {}", file.display()))?;
    Icp::parse(&text).with_context(|| format!("ICP_FILE: {}", file.display()))
}
