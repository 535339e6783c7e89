use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use intake::{Authenticator, MAX_BODY_BYTES, Proof, parse_webhook};
use lead::{Arrival, Clock, FieldNote, LeadEvent, TraceContext};

use crate::outcome::{Outcome, Unread};
use crate::{Acceptance, LeadSink, QuarantinedBody, SinkError};

/// How long a sink may take. Well under the 30 s after which Marketo hangs up without having learnt anything.
pub const SINK_TIMEOUT: Duration = Duration::from_secs(10);

/// The handler of `POST /leads`. Needs a tokio runtime with its timer.
pub struct Ingest {
    authenticator: Authenticator,
    sink: Arc<dyn LeadSink>,
    clock: Arc<dyn Clock>,
}

impl Ingest {
    /// A handler that lets in whom `authenticator` knows, and hands over to `sink`.
    pub fn new(authenticator: Authenticator, sink: Arc<dyn LeadSink>, clock: Arc<dyn Clock>) -> Self {
        Self { authenticator, sink, clock }
    }

    /// Answers one request, whatever it holds. The path is the caller's matter. The lead becomes part of the trace that the
    /// request's extensions hold as a [`TraceContext`]; the request's own headers are not asked for one.
    ///
    /// The caller reads the body, so it has to stop reading a little after [`MAX_BODY_BYTES`].
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        // Not the clock, which tells the time of day in milliseconds: this measures, and decides nothing.
        let started = Instant::now();
        let outcome = self.receive(&request).await;
        outcome.record(request.body().len(), started.elapsed());
        outcome.response()
    }

    /// Answers a request whose body its caller could not read to the end.
    pub fn refuse_unread(&self, why: Unread) -> Response<Bytes> {
        let outcome = Outcome::Unread(why);
        outcome.record(0, Duration::ZERO);
        outcome.response()
    }

    /// The refusal of a request whose head alone shows that it is not authenticated. None where its body has to be read
    /// first. Whoever knows no secret has no body buffered.
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
        // Before the credentials: it costs nothing, while a signature is over every byte.
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
                    Proof::Signature(id) => event.arriving(Arrival::webhook(id.as_str())),
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
        match in_time(self.sink.accept(event)).await {
            Ok(Acceptance::Accepted) => Outcome::Accepted(id),
            Ok(Acceptance::Duplicate) => Outcome::Duplicate(id),
            Err(cause) => Outcome::Unavailable(id, cause),
        }
    }

    /// Keeps a rejected body where that works. Where it does not, the sender is still told what is wrong with the body:
    /// asking it to post the same again would help no one.
    async fn quarantine(&self, item: &QuarantinedBody) {
        if let Err(cause) = in_time(self.sink.quarantine(item)).await {
            metrics::counter!("revenueflow_quarantine_failures_total").increment(1);
            tracing::error!(quarantine_id = item.id, error = %cause, "a rejected body was not kept");
        }
    }
}

/// Counts fields that were dropped or cut. Both labels are from fixed sets.
fn count(notes: &[FieldNote]) {
    for note in notes {
        let field = note.group().to_owned();
        let issue = note.issue.as_str();
        metrics::counter!("revenueflow_intake_fields_total", "field" => field, "issue" => issue).increment(1);
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
    let late = |_| Err(SinkError::new(format!("no answer within {} s", SINK_TIMEOUT.as_secs())));
    tokio::time::timeout(SINK_TIMEOUT, call).await.unwrap_or_else(late)
}
