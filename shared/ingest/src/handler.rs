use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use intake::{Authenticator, MAX_BODY_BYTES, Proof, parse_webhook};
use lead::{Arrival, Clock, FieldNote, LeadEvent, TraceContext};

use crate::outcome::{Outcome, Unread};
use crate::{Acceptance, LeadSink, QuarantinedBody, SinkError};

/// The time limit of a sink: well under the 30 s after which Marketo hangs up without an answer.
pub const SINK_TIMEOUT: Duration = Duration::from_secs(10);

/// The handler of `POST /leads`. Needs a tokio runtime with its timer.
pub struct Ingest {
    authenticator: Authenticator,
    sink: Arc<dyn LeadSink>,
    clock: Arc<dyn Clock>,
}

impl Ingest {
    /// A handler that authenticates with `authenticator` and sends leads to `sink`.
    pub fn new(authenticator: Authenticator, sink: Arc<dyn LeadSink>, clock: Arc<dyn Clock>) -> Self {
        Self { authenticator, sink, clock }
    }

    /// Answers one request, regardless of its path. The lead joins the trace in the request's extensions, a
    /// [`TraceContext`]; the request's own trace headers are ignored.
    ///
    /// The caller reads the body, and must stop reading shortly after [`MAX_BODY_BYTES`].
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        // Not the clock, which has the time of day in milliseconds: this only measures.
        let started = Instant::now();
        let outcome = self.receive(&request).await;
        outcome.record(request.body().len(), started.elapsed());
        outcome.response()
    }

    /// Answers a request with a body that the caller could not read completely.
    pub fn refuse_unread(&self, why: Unread) -> Response<Bytes> {
        let outcome = Outcome::Unread(why);
        outcome.record(0, Duration::ZERO);
        outcome.response()
    }

    /// Refuses a request without valid credentials in its head. None where the body is needed to decide.
    /// Requests without a secret never have their body buffered.
    pub fn refuse_head(&self, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let cause = self.authenticator.precheck(headers, self.clock.now()).err()?;
        let outcome = Outcome::Unauthorized(cause);
        outcome.record(0, Duration::ZERO);
        Some(outcome.response())
    }

    async fn receive(&self, request: &Request<Bytes>) -> Outcome {
        let (headers, body) = (request.headers(), request.body());
        if request.method() != Method::POST {
            return Outcome::MethodNotAllowed;
        }
        // Before authentication, because the check is free, while a signature covers every byte.
        if body.len() > MAX_BODY_BYTES {
            return Outcome::TooLarge;
        }
        let now = self.clock.now();
        let proof = match self.authenticator.authenticate(headers, body, now) {
            Ok(proof) => proof,
            Err(cause) => return Outcome::Unauthorized(cause),
        };
        match parse_webhook(body, Some(headers)) {
            Ok(parsed) => {
                count(&parsed.notes);
                let trace = request.extensions().get::<TraceContext>().copied();
                let event = LeadEvent::new(parsed.lead, now).with_notes(parsed.notes).traced(trace);
                self.accept(&match proof {
                    Proof::Signature(id) => event.with_arrival(Arrival::webhook(id.as_str())),
                    Proof::None | Proof::Token => event,
                })
                .await
            }
            Err(rejection) => {
                self.quarantine(&QuarantinedBody::new(headers, body.clone(), rejection.clone(), now)).await;
                Outcome::Rejected(rejection)
            }
        }
    }

    async fn accept(&self, event: &LeadEvent) -> Outcome {
        let id = event.lead_id.clone();
        match with_timeout(self.sink.accept(event)).await {
            Ok(Acceptance::Accepted) => Outcome::Accepted(id),
            Ok(Acceptance::Duplicate) => Outcome::Duplicate(id),
            Err(cause) => Outcome::Unavailable(id, cause),
        }
    }

    /// Keeps a rejected body on a best-effort basis. On failure the sender still gets the reason of the
    /// rejection, because posting the same body again would not help.
    async fn quarantine(&self, item: &QuarantinedBody) {
        if let Err(cause) = with_timeout(self.sink.quarantine(item)).await {
            metrics::counter!("revenueflow_quarantine_failures_total").increment(1);
            tracing::error!(quarantine_id = item.id, error = %cause, "a rejected body was not kept");
        }
    }
}

/// Counts fields that were dropped or cut. Both labels have fixed sets of values.
fn count(notes: &[FieldNote]) {
    for note in notes {
        let field = note.group().to_owned();
        let issue = note.issue.as_str();
        metrics::counter!("revenueflow_intake_fields_total", "field" => field, "issue" => issue).increment(1);
    }
}

async fn with_timeout<T>(call: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
    let late = |_| Err(SinkError::new(format!("no answer within {} s", SINK_TIMEOUT.as_secs())));
    tokio::time::timeout(SINK_TIMEOUT, call).await.unwrap_or_else(late)
}
