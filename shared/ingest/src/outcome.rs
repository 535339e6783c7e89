use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use intake::{AuthError, Rejection};
use lead::{LeadId, SenderName};
use serde::Serialize;
use sources::Refusal;

use crate::SinkError;

/// The `Retry-After` of an unavailable sink, in whole seconds.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The reason that a body could not be read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The body is longer than [`intake::MAX_BODY_BYTES`].
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
    /// The connection broke, or the body violates HTTP's framing.
    Broken,
}

/// The outcome of one request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Accepted(LeadId, StatusCode),
    Duplicate(LeadId, StatusCode),
    /// An event that is not a lead.
    Ignored(StatusCode),
    Rejected(Rejection),
    TooLarge,
    Unread(Unread),
    Unauthorized(AuthError),
    UnknownPath,
    MethodNotAllowed,
    Unavailable(LeadId, SinkError),
}

/// The body of every answer except a rejection, which has its own type.
#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lead_id: Option<&'a LeadId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

impl<'a> Answer<'a> {
    fn taken(status: &'static str, lead_id: &'a LeadId) -> Self {
        Self { status, lead_id: Some(lead_id), error: None, message: None }
    }

    fn refused(status: &'static str, error: &'static str, message: &'static str) -> Self {
        Self { status, lead_id: None, error: Some(error), message: Some(message) }
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownPath => Self::UnknownPath,
            Refusal::Unauthorized(cause) => Self::Unauthorized(cause),
        }
    }
}

impl Outcome {
    /// Writes the log line and the metrics of a request. `sender`: its source, if it proved to be one.
    /// `bytes`: the length of its body.
    pub(crate) fn record(&self, sender: Option<&SenderName>, bytes: usize, elapsed: Duration) {
        let outcome = self.name();
        let source = sender.map_or("", SenderName::as_str);
        metrics::counter!("revenueflow_webhooks_total", "outcome" => self.metric_label()).increment(1);
        if sender.is_some() {
            let labels = [("source", source.to_owned()), ("outcome", self.metric_label().to_owned())];
            metrics::counter!("revenueflow_source_webhooks_total", &labels).increment(1);
        }
        metrics::histogram!("revenueflow_webhook_seconds").record(elapsed.as_secs_f64());
        match self {
            Self::Accepted(id, _) | Self::Duplicate(id, _) => {
                tracing::info!(outcome, source, lead_id = %id, bytes, "webhook");
            }
            Self::Rejected(rejection) => {
                tracing::info!(
                    outcome,
                    source,
                    error = rejection.error,
                    field = rejection.field,
                    bytes,
                    "webhook"
                );
            }
            Self::Unauthorized(cause) => {
                tracing::info!(outcome, error = cause.code(), reason = %cause, bytes, "webhook");
            }
            Self::Ignored(_)
            | Self::TooLarge
            | Self::Unread(_)
            | Self::MethodNotAllowed
            | Self::UnknownPath => {
                tracing::info!(outcome, bytes, "webhook");
            }
            Self::Unavailable(id, cause) => {
                tracing::error!(outcome, source, lead_id = %id, error = %cause, bytes, "webhook");
            }
        }
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        match self {
            Self::Accepted(id, status) | Self::Duplicate(id, status) => {
                json(*status, &Answer::taken(self.name(), id))
            }
            Self::Ignored(status) => {
                let message = "the sources file takes no events of this kind from this sender";
                json(*status, &Answer::refused("ignored", self.name(), message))
            }
            Self::Rejected(rejection) => json(StatusCode::BAD_REQUEST, rejection),
            Self::TooLarge | Self::Unread(Unread::TooLarge) => {
                json(StatusCode::PAYLOAD_TOO_LARGE, &Rejection::body_too_large())
            }
            Self::Unread(Unread::TooSlow) => {
                let message = "the body did not arrive in time; post it again";
                let answer = Answer::refused("rejected", self.name(), message);
                // RFC 9110 15.5.9: the rest of the request is not read.
                let close = HeaderValue::from_static("close");
                with(json(StatusCode::REQUEST_TIMEOUT, &answer), header::CONNECTION, close)
            }
            Self::Unread(Unread::Broken) => {
                let message = "the body could not be read to its end; post it again";
                json(StatusCode::BAD_REQUEST, &Answer::refused("rejected", self.name(), message))
            }
            Self::Unauthorized(_) => {
                let message = "send the token or the signature that is set up for this path, such as a valid \
                     X-RevenueFlow-Token header";
                let answer = Answer::refused("rejected", self.name(), message);
                // RFC 9110 15.5.2 requires a challenge.
                let challenge = HeaderValue::from_static("RevenueFlow");
                with(json(StatusCode::UNAUTHORIZED, &answer), header::WWW_AUTHENTICATE, challenge)
            }
            // Not 404: Typeform switches a webhook off at the first one.
            // <https://www.typeform.com/developers/webhooks/>
            Self::UnknownPath => {
                let message = "no source of leads has this path; the sources file lists the paths";
                json(StatusCode::UNAUTHORIZED, &Answer::refused("rejected", self.name(), message))
            }
            Self::MethodNotAllowed => {
                let answer = Answer::refused("rejected", self.name(), "leads are sent with POST");
                let allowed = HeaderValue::from_static("POST");
                with(json(StatusCode::METHOD_NOT_ALLOWED, &answer), header::ALLOW, allowed)
            }
            Self::Unavailable(..) => {
                let message = "the lead may not have been stored; send it again later";
                let answer = Answer::refused(self.name(), self.name(), message);
                let wait = HeaderValue::from(RETRY_AFTER.as_secs());
                with(json(StatusCode::SERVICE_UNAVAILABLE, &answer), header::RETRY_AFTER, wait)
            }
        }
    }

    /// The label in the metrics. An accepted synthetic lead has its own, so that it does not count as a
    /// sender's.
    fn metric_label(&self) -> &'static str {
        match self {
            Self::Accepted(id, _) | Self::Duplicate(id, _) if id.is_synthetic() => "synthetic",
            _ => self.name(),
        }
    }

    /// The outcome's name in the log and in the answer.
    fn name(&self) -> &'static str {
        match self {
            Self::Accepted(..) => "accepted",
            Self::Duplicate(..) => "duplicate",
            Self::Ignored(_) => "ignored",
            Self::Rejected(_) => "rejected",
            Self::TooLarge | Self::Unread(Unread::TooLarge) => "body_too_large",
            Self::Unread(Unread::TooSlow) => "request_timeout",
            Self::Unread(Unread::Broken) => "incomplete_body",
            Self::Unauthorized(_) => "unauthorized",
            Self::UnknownPath => "unknown_source",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Unavailable(..) => "unavailable",
        }
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("answers hold only texts, which always serialise");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    with(response, header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

fn with(mut response: Response<Bytes>, name: HeaderName, value: HeaderValue) -> Response<Bytes> {
    response.headers_mut().insert(name, value);
    response
}
