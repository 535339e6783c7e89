//! Construction of the pipeline from a configuration, for every program that runs it.

mod ai;
mod config;
mod crm;
mod enrichment;

pub use ai::{ai_model, analyst, check_budget};
pub use config::{
    AiConfig, AiProvider, BedrockConfig, Config, CrmConfig, CrmMode, CrmProvider, EnrichmentConfig,
    EnrichmentSource, GeminiConfig, HubSpotConfig, HubSpotLogin, KeyedConfig, Limits, QueueKind,
    RejectedLeads, SalesforceConfig, SalesforceLogin, SqsConfig, ZoomInfoConfig,
};
pub use crm::{hubspot, mapping as crm_mapping};

use std::sync::Arc;

use analysis::Icp;
use anyhow::Context as _;
use database::Database;
use lead::Clock;
use pipeline::{Pipeline, Rejected};
use routing::Routing;
use runtime::aws::AwsConfig;
use store::Store;

/// The configured pipeline on a migrated database. Bedrock needs `aws`.
///
/// # Errors
///
/// When a configured file cannot be read (`ICP_FILE`, `ROUTING_FILE`, `CRM_MAPPING_FILE`, `CRM_ALLOW_FILE`,
/// `MODELS_FILE`, `PROMPT_FILE`), an address is not a URL, a setting of the analyst or the CRM is missing, or
/// the daily AI budget is below the cost of one call. Names the variable.
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

/// The ideal customer profile: from `ICP_FILE`, or the built-in one.
///
/// # Errors
///
/// When the file cannot be read. Names the file and the line.
pub fn icp(config: &Config) -> anyhow::Result<Icp> {
    let Some(file) = &config.icp_file else { return Ok(Icp::default_config()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("ICP_FILE: {}", file.display()))?;
    Icp::parse(&text).with_context(|| format!("ICP_FILE: {}", file.display()))
}

/// The routing rules: from `ROUTING_FILE`, or the built-in ones.
///
/// # Errors
///
/// When the file cannot be read or is not valid. Names the file, the line and the rule.
pub fn routing(config: &Config) -> anyhow::Result<Routing> {
    let Some(file) = &config.routing_file else { return Ok(Routing::default_config()) };
    let text = std::fs::read_to_string(file).with_context(|| format!("ROUTING_FILE: {}", file.display()))?;
    Routing::parse(&text).with_context(|| format!("ROUTING_FILE: {}", file.display()))
}
