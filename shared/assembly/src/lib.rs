//! From a configuration to the pipeline, for whatever runs it.

mod ai;
mod crm;
mod enrichment;

pub use ai::{ai_model, analyst, check_budget};
pub use crm::{hubspot, mapping as crm_mapping};

use std::sync::Arc;

use analysis::Icp;
use anyhow::Context as _;
use database::Database;
use lead::Clock;
use pipeline::{Pipeline, Rejected};
use routing::Routing;
use runtime::aws::AwsConfig;
use runtime::{Config, RejectedLeads};
use store::Store;

/// The pipeline as configured, on a migrated database. `aws`: for Bedrock.
///
/// # Errors
///
/// When `ICP_FILE`, `ROUTING_FILE`, `CRM_MAPPING_FILE` or `CRM_ALLOW_FILE` cannot be read.
pub fn pipeline(
    config: &Config,
    database: &Database,
    clock: &Arc<dyn Clock>,
    aws: Option<&AwsConfig>,
) -> anyhow::Result<Pipeline> {
    let icp = icp(config)?;
    let store = Store::new(database.clone(), Arc::clone(clock)).with_retry_window(config.retry_window);
    Ok(Pipeline {
        analyst: ai::guarded(config, &icp, aws, &store, clock)?,
        enrichment: enrichment::waterfall(config, &store, clock)?,
        guard: crm::guard(config, database, &store, clock)?,
        routing: routing(config)?,
        rejected: match config.crm.rejected_leads {
            RejectedLeads::Hold => Rejected::Hold,
            RejectedLeads::Bare => Rejected::Bare,
        },
        icp,
        store,
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

/// Who gets a lead: from `ROUTING_FILE`, or the built-in rules.
///
/// # Errors
///
/// When the file cannot be read or is no routing; names it, the line and the rule.
pub fn routing(config: &Config) -> anyhow::Result<Routing> {
    let Some(file) = &config.routing_file else { return Ok(Routing::default_config()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("ROUTING_FILE: {}", file.display()))?;
    Routing::parse(&text).with_context(|| format!("ROUTING_FILE: {}", file.display()))
}
