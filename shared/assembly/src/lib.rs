//! Construction of the pipeline from a configuration, for every program that runs it.

mod ai;
mod config;
mod crm;
mod enrichment;
mod operators;

pub use self::operators::{OperatorsError, credentials};
pub use ai::{analyst, check_budget};
pub use config::Config;
pub use queue::Backend;

use std::sync::Arc;

use analysis::Icp;
use database::Database;
use lead::Clock;
use pipeline::{Pipeline, SourceRules};
use routing::Routing;
use runtime::ConfigError;
use runtime::aws::AwsConfig;
use store::{Acknowledge, SharedLimits, Steps, Store};

/// The configured pipeline on a migrated database. Bedrock needs `aws`.
///
/// # Errors
///
/// When a configured file cannot be read (`ICP_FILE`, `ROUTING_FILE`, `CRM_MAPPING_FILE`, `CRM_ALLOW_FILE`,
/// `MODELS_FILE`, `PROMPT_FILE`), or the daily AI budget is below the cost of one call. Names the variable.
pub fn pipeline(
    config: &Config,
    database: &Database,
    clock: &Arc<dyn Clock>,
    aws: Option<&AwsConfig>,
    queue: Option<Arc<dyn Acknowledge>>,
) -> anyhow::Result<Pipeline> {
    let icp = icp(config)?;
    let store = Store::new(database.clone(), Arc::clone(clock)).with_retry_window(config.retry_window);
    let limits = Arc::new(SharedLimits::new(store.clone(), config.crm.limits));
    let steps = Steps::with(store.clone(), Some(Arc::clone(&limits)), queue);
    Ok(Pipeline {
        analyst: ai::guarded(&config.ai, &icp, aws, &store, clock)?,
        enrichment: enrichment::waterfall(&config.enrichment, &store, clock)?,
        guard: crm::guard(&config.crm, database, &steps, &limits, clock)?,
        routing: Arc::new(routing(config)?),
        rejected: config.rejected,
        sources: SourceRules::new(config.sources.clone(), config.ai.budget_microusd_per_day, config.floods),
        icp,
        steps,
        store,
        clock: Arc::clone(clock),
    })
}

/// The ideal customer profile: from `ICP_FILE`, or the built-in one.
///
/// # Errors
///
/// When the file cannot be read. Names the file and the line.
pub fn icp(config: &Config) -> Result<Icp, ConfigError> {
    config.icp_file.as_ref().map_or_else(|| Ok(Icp::default_config()), |file| file.parse(Icp::parse))
}

/// The routing rules: from `ROUTING_FILE`, or the built-in ones.
///
/// # Errors
///
/// When the file cannot be read or is not valid. Names the file, the line and the rule.
pub fn routing(config: &Config) -> Result<Routing, ConfigError> {
    config
        .routing_file
        .as_ref()
        .map_or_else(|| Ok(Routing::default_config()), |file| file.parse(Routing::parse))
}
