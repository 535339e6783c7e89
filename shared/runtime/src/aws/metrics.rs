use metrics_cloudwatch_embedded::{Builder, Collector};

use crate::Variables;

/// The collected metrics, in CloudWatch's embedded metric format.
#[derive(Clone, Copy)]
pub struct EmbeddedMetrics(Option<&'static Collector>);

/// Starts the collection of metrics in the namespace `METRICS_NAMESPACE` (default `RevenueFlow`). Each metric
/// has the dimension `stage` from `STAGE` (default `local`) and its own labels. Only the first call in a
/// process has an effect.
pub fn init_embedded_metrics(variables: &Variables<'_>) -> EmbeddedMetrics {
    let namespace = variables.text("METRICS_NAMESPACE").unwrap_or_else(|| "RevenueFlow".to_owned());
    let stage = variables.text("STAGE").unwrap_or_else(|| "local".to_owned());
    EmbeddedMetrics(Builder::new().cloudwatch_namespace(namespace).with_dimension("stage", stage).init().ok())
}

impl EmbeddedMetrics {
    /// Writes the metrics since the last flush as log lines to standard output. To be called at the end of
    /// each invocation, since Lambda may freeze the function afterwards and never resume it.
    pub fn flush(self) {
        if let Some(collector) = self.0
            && let Err(error) = collector.flush(std::io::stdout())
        {
            tracing::warn!(%error, "metrics could not be written");
        }
    }
}
