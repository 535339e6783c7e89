//! Export of spans by OTLP over HTTP, to any OpenTelemetry collector.
//!
//! The exporter and the batch processor are those of OpenTelemetry. They run on a separate thread with a
//! bounded queue: spans that the collector does not accept in time are dropped, and no lead waits for the
//! export. The HTTP client is our own and follows no redirects, so that the headers, which may hold a secret,
//! reach only the configured host.

mod client;
mod settings;
mod span;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor as _};
use runtime::Variables;
use trace::{Finished, Recorder};

use self::client::Collector;
use self::settings::Settings;

/// Limit for sending the last spans when the process stops.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// The running span export of this process.
pub(crate) struct Export(Arc<Batches>);

struct Batches {
    processor: BatchSpanProcessor,
    sampled: f64,
}

impl Recorder for Batches {
    fn samples(&self) -> bool {
        rand::random::<f64>() < self.sampled
    }

    fn record(&self, span: Finished) {
        self.processor.on_end(span::convert(span));
    }
}

impl Export {
    /// Starts the export. Returns `None` if no collector is configured.
    ///
    /// # Errors
    ///
    /// Fails when a variable is invalid. The error quotes no value, which may be a secret.
    pub(crate) fn start(variables: &Variables<'_>) -> anyhow::Result<Option<Self>> {
        let Some(settings) = Settings::read(variables)? else { return Ok(None) };
        let collector = Collector::new(tokio::runtime::Handle::current())?;
        // The exporter reads the variables of the endpoint and the headers itself.
        let exporter = SpanExporter::builder().with_http().with_http_client(collector).build();
        let exporter = exporter
            .ok()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT: cannot create an exporter for this endpoint")?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource(variables));
        let batches = Arc::new(Batches { processor, sampled: settings.sampled });
        trace::install(Arc::clone(&batches) as _);
        tracing::info!(share = settings.sampled, "trace export started");
        Ok(Some(Self(batches)))
    }

    /// Sends the remaining spans, within three seconds.
    pub(crate) async fn finish(self) {
        let flush = move || self.0.processor.shutdown_with_timeout(FLUSH_LIMIT);
        if !matches!(tokio::task::spawn_blocking(flush).await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported");
        }
    }
}

/// The resource attributes of this process, from OpenTelemetry's variables. The service name is `revenueflow`
/// unless a variable sets it.
fn resource(variables: &Variables<'_>) -> Resource {
    let is_named = variables.text("OTEL_SERVICE_NAME").is_some()
        || EnvResourceDetector::new().detect().get(&"service.name".into()).is_some();
    let builder = Resource::builder();
    if is_named { builder } else { builder.with_service_name("revenueflow") }.build()
}
