use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use ingest::{Ingest, LeadSink, RETRY_AFTER};
use intake::Authenticator;
use lead::SystemClock;
use runtime::aws::{AwsConfig, Secrets};
use runtime::{ConfigError, Variables};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

/// How long Secrets Manager may take for one try; three of them end before the function's ten seconds.
const SECRET_TRY: Duration = Duration::from_secs(1);

/// How long to wait before the second try, at most; twice that before the third.
const SECRET_BACKOFF: Duration = Duration::from_millis(50);

/// Lets in who knows a secret: one of `WEBHOOK_SECRETS`, or of the secret that `WEBHOOK_SECRETS_ARN` names, which may be
/// rotated while we run.
pub(crate) struct Door {
    source: Source,
    sink: Arc<dyn LeadSink>,
    /// With the text of the secrets that it was made of.
    open: Mutex<Option<(SecretString, Arc<Ingest>)>>,
}

enum Source {
    Environment(SecretString),
    Manager { secrets: Box<Secrets>, arn: String },
}

impl Door {
    pub(crate) fn new(
        variables: &Variables<'_>,
        aws: &AwsConfig,
        sink: Arc<dyn LeadSink>,
    ) -> Result<Self, ConfigError> {
        let source = match (variables.secret("WEBHOOK_SECRETS"), variables.text("WEBHOOK_SECRETS_ARN")) {
            (Some(secrets), _) => Source::Environment(secrets),
            (None, Some(arn)) => {
                let secrets = Secrets::new(&runtime::aws::hurried(aws, SECRET_TRY, SECRET_BACKOFF))?;
                Source::Manager { secrets: Box::new(secrets), arn }
            }
            (None, None) => {
                let problem = "must be set: without it anyone could post leads";
                return Err(ConfigError::new("WEBHOOK_SECRETS_ARN", problem));
            }
        };
        Ok(Self { source, sink, open: Mutex::default() })
    }

    pub(crate) async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let ingest = match self.ingest(false).await {
            Ok(ingest) => ingest,
            Err(error) => {
                tracing::error!(error, "no webhook can be told from a stranger's");
                return unavailable();
            }
        };
        let answer = ingest.handle(request.clone()).await;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return answer;
        }
        // Perhaps it knows a secret that is newer than ours.
        match self.ingest(true).await {
            Ok(now) if !Arc::ptr_eq(&now, &ingest) => now.handle(request).await,
            _ => answer,
        }
    }

    async fn ingest(&self, anew: bool) -> Result<Arc<Ingest>, String> {
        let text = match &self.source {
            Source::Environment(text) => text.clone(),
            Source::Manager { secrets, arn } => {
                let read = if anew { secrets.get_anew(arn).await } else { secrets.get(arn).await };
                read.map_err(|error| error.to_string())?
            }
        };
        let mut open = self.open.lock().await;
        if let Some((known, ingest)) = open.as_ref()
            && known.expose_secret() == text.expose_secret()
        {
            return Ok(Arc::clone(ingest));
        }
        let list = text.expose_secret().split(',').map(str::trim).filter(|item| !item.is_empty());
        let made = Authenticator::new(list.map(|item| SecretString::from(item.to_owned())));
        let ingest = match (made, open.as_ref()) {
            (Ok(authenticator), _) => {
                Arc::new(Ingest::new(authenticator, Arc::clone(&self.sink), Arc::new(SystemClock)))
            }
            // Somebody has written nonsense over the secret: who was let in until now still is.
            (Err(error), Some((_, ingest))) => {
                tracing::error!(%error, "the new webhook secrets cannot be used");
                return Ok(Arc::clone(ingest));
            }
            (Err(error), None) => return Err(error.to_string()),
        };
        *open = Some((text, Arc::clone(&ingest)));
        Ok(ingest)
    }
}

/// As [`Ingest`] answers when the sink is away.
fn unavailable() -> Response<Bytes> {
    let body = r#"{"status":"unavailable","error":"unavailable","message":"send it again later"}"#;
    let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
    answer
}
