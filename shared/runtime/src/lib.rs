//! Secrets and telemetry of a process: logs, metrics, and with the feature `aws` the configuration of AWS
//! clients.
//!
//! Secrets are [`secrecy::SecretString`]s, so that no log line, error or `Debug` output shows them.

#[cfg(feature = "aws")]
pub mod aws;
mod telemetry;

/// The collected metrics, which render in Prometheus' text format.
pub use metrics_exporter_prometheus::PrometheusHandle as Metrics;
pub use telemetry::{LogFormat, check_log_filter, init_logs, init_metrics, log_panics};
pub use variables::{ConfigError, Variables};
