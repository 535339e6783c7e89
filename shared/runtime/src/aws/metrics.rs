use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::Variables;

/// What has been measured, as CloudWatch's embedded metric format has it.
#[derive(Clone, Copy)]
pub struct EmbeddedMetrics(Option<&'static Collector>);

/// Starts collecting metrics: in the namespace `METRICS_NAMESPACE` (default `RevenueFlow`), each with the dimension `stage`
/// from `STAGE` (default `local`) and its own labels. Only the first call of a process counts.
pub fn init_embedded_metrics(variables: &Variables<'_>) -> EmbeddedMetrics {
    let namespace = variables.text("METRICS_NAMESPACE").unwrap_or_else(|| "RevenueFlow".to_owned());
    let stage = variables.text("STAGE").unwrap_or_else(|| "local".to_owned());
    EmbeddedMetrics(Builder::new().cloudwatch_namespace(namespace).with_dimension("stage", stage).init().ok())
}

impl EmbeddedMetrics {
    /// Writes what has been measured since the last time, as log lines on standard output. At the end of each
    /// invocation: afterwards a function may be frozen for ever.
    pub fn flush(self) {
        if let Some(collector) = self.0
            && let Err(error) = collector.flush(std::io::stdout())
        {
            tracing::warn!(%error, "metrics could not be written");
        }
    }
}
