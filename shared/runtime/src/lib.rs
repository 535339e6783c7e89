//! Configuration, secrets and telemetry.
//!
//! [`Config`] is read once at start-up from environment variables. A configuration error is one line that
//! names the variable. Secrets are [`secrecy::SecretString`]s, so that no log line, error or `Debug` output
//! shows them.

#[cfg(feature = "aws")]
pub mod aws;
mod config;
mod telemetry;
mod variables;

pub use config::{
    AiConfig, AiProvider, BedrockConfig, Config, CrmConfig, CrmMode, CrmProvider, EnrichmentConfig,
    EnrichmentSource, GeminiConfig, HubSpotConfig, HubSpotLogin, KeyedConfig, Limits, QueueKind,
    RejectedLeads, SalesforceConfig, SalesforceLogin, SqsConfig, ZoomInfoConfig,
};
/// The collected metrics, which render in Prometheus' text format.
pub use metrics_exporter_prometheus::PrometheusHandle as Metrics;
pub use telemetry::{LogFormat, init_logs, init_metrics, log_panics};
pub use variables::{ConfigError, Variables};
