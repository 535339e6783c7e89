//! The HTTP client of the span exporter, and log lines for an unavailable collector.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_client::{Http, HttpSettings, Reply};
use lead::{Dependency, Failure};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

/// Limit for sending one batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is read from a collector, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The HTTP client of the exporter. The exporter blocks a thread of its own, while the connection runs on the
/// Tokio runtime.
pub(super) struct Collector {
    http: Http,
    runtime: Handle,
    /// Whether the last batch failed. Only changes are logged, not every batch.
    is_unavailable: AtomicBool,
}

/// Shows no fields: the headers of the requests may hold a secret.
impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    pub(super) fn new(runtime: Handle) -> Result<Self, Failure> {
        let settings = HttpSettings { timeout: TIMEOUT, max_body: MAX_ANSWER, ..HttpSettings::default() };
        let http = Http::new(Dependency::new("otlp"), settings)?;
        Ok(Self { http, runtime, is_unavailable: AtomicBool::new(false) })
    }

    fn log_change(&self, sent: &Result<Reply, Failure>) {
        let problem = match sent {
            Ok(reply) if reply.status.is_success() => None,
            Ok(reply) => Some(format!("HTTP {}", reply.status.as_u16())),
            Err(failure) => Some(failure.code.to_string()),
        };
        let was_unavailable = self.is_unavailable.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_unavailable => {
                tracing::warn!(problem, "trace collector unavailable, spans are dropped");
            }
            None if was_unavailable => tracing::info!("trace collector available again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let call = self.http.request(head.method, head.uri.to_string().parse()?);
        let (http, call) = (self.http.clone(), call.headers(head.headers).body(body));
        let sent = self.runtime.spawn(async move { http.send(call).await }).await?;
        self.log_change(&sent);
        let reply = sent?;
        let mut response = Response::new(reply.body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        Ok(response)
    }
}
