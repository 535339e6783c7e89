use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use ingest::{Ingest, LeadSink, RETRY_AFTER};
use lead::SystemClock;
use runtime::aws::{AwsConfig, Secrets};
use runtime::{ConfigError, Variables};
use secrecy::{ExposeSecret as _, SecretString};
use sources::{Senders, Sources, SourcesError};
use tokio::sync::Mutex;

/// The time limit for one try at Secrets Manager; three of them end within the function's ten seconds.
const SECRET_TRY: Duration = Duration::from_secs(1);

/// The variable of the unnamed sender.
const WEBHOOK_SECRETS: &str = "WEBHOOK_SECRETS";

/// The longest wait before the second try; twice that before the third.
const SECRET_BACKOFF: Duration = Duration::from_millis(50);

/// Authenticates webhooks by the secrets in `WEBHOOK_SECRETS`, or in the secret that `WEBHOOK_SECRETS_ARN`
/// names, which may be rotated while the process runs.
///
/// With a sources file the secret is a JSON object with the variables that the file names, such as
/// `{"DEMO_FORM_SECRETS": ".."}`. Without one it is the secrets of the only sender, separated by commas.
pub(crate) struct WebhookAuth {
    sources: Sources,
    source: Source,
    sink: Arc<dyn LeadSink>,
    /// The current handler, with the text of the secrets that it was made from.
    current: Mutex<Option<(SecretString, Arc<Ingest>)>>,
}

enum Source {
    Environment(SecretString),
    Manager { secrets: Box<Secrets>, arn: String },
}

impl WebhookAuth {
    pub(crate) fn new(
        variables: &Variables<'_>,
        aws: &AwsConfig,
        sink: Arc<dyn LeadSink>,
    ) -> Result<Self, ConfigError> {
        let source = match (variables.secret("WEBHOOK_SECRETS"), variables.text("WEBHOOK_SECRETS_ARN")) {
            (Some(secrets), _) => Source::Environment(secrets),
            (None, Some(arn)) => {
                let secrets =
                    Secrets::new(&runtime::aws::with_short_timeouts(aws, SECRET_TRY, SECRET_BACKOFF))?;
                Source::Manager { secrets: Box::new(secrets), arn }
            }
            (None, None) => {
                let problem = "must be set: without it anyone could post leads";
                return Err(ConfigError::new("WEBHOOK_SECRETS_ARN", problem));
            }
        };
        let file = variables.file("SOURCES_FILE");
        let sources = file.map_or_else(|| Ok(Sources::unnamed()), |file| file.parse(Sources::parse))?;
        Ok(Self { sources, source, sink, current: Mutex::default() })
    }

    pub(crate) async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let ingest = match self.ingest(false).await {
            Ok(ingest) => ingest,
            Err(error) => {
                tracing::error!(error, "webhook secrets unavailable");
                return unavailable();
            }
        };
        let answer = ingest.handle(request.clone()).await;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return answer;
        }
        // The sender may have a newer secret than this process.
        match self.ingest(true).await {
            Ok(now) if !Arc::ptr_eq(&now, &ingest) => now.handle(request).await,
            _ => answer,
        }
    }

    async fn ingest(&self, force_refresh: bool) -> Result<Arc<Ingest>, String> {
        let text = match &self.source {
            Source::Environment(text) => text.clone(),
            Source::Manager { secrets, arn } => {
                let read =
                    if force_refresh { secrets.force_refresh(arn).await } else { secrets.get(arn).await };
                read.map_err(|error| error.to_string())?
            }
        };
        let mut current = self.current.lock().await;
        if let Some((known, ingest)) = current.as_ref()
            && known.expose_secret() == text.expose_secret()
        {
            return Ok(Arc::clone(ingest));
        }
        let ingest = match (self.senders(text.expose_secret()), current.as_ref()) {
            (Ok(senders), _) => Arc::new(Ingest::new(senders, Arc::clone(&self.sink), Arc::new(SystemClock))),
            // The secret was overwritten with an invalid value: the previous secrets stay in force.
            (Err(error), Some((_, ingest))) => {
                tracing::error!(%error, "the new webhook secrets cannot be used");
                return Ok(Arc::clone(ingest));
            }
            (Err(error), None) => return Err(error.to_string()),
        };
        *current = Some((text, Arc::clone(&ingest)));
        Ok(ingest)
    }
}

impl WebhookAuth {
    /// The senders with the secrets of a text: a JSON object by variable, or those of the unnamed sender.
    fn senders(&self, text: &str) -> Result<Senders, SourcesError> {
        match serde_json::from_str::<HashMap<String, String>>(text) {
            Ok(named) => {
                let has_unnamed = named.contains_key(WEBHOOK_SECRETS);
                let sources = self.sources.clone();
                let sources = if has_unnamed { sources.with_unnamed() } else { sources };
                Senders::new(&sources, |variable| named.get(variable).map(|text| text.as_str().into()))
            }
            Err(_) => {
                Senders::new(&self.sources, |variable| (variable == WEBHOOK_SECRETS).then(|| text.into()))
            }
        }
    }
}

/// The answer that [`Ingest`] gives when the sink is unavailable.
fn unavailable() -> Response<Bytes> {
    let body = r#"{"status":"unavailable","error":"unavailable","message":"send it again later"}"#;
    let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    answer
}
