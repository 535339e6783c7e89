use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request};
use intake::MAX_BODY_BYTES;
use jiff::Timestamp;
use lead::{Arrival, Clock, FieldNote, LeadEvent, SenderName, TraceContext};
use sources::{Authenticated, Received, Senders};

use crate::outcome::{Outcome, Unread};
use crate::{Acceptance, LeadSink, QuarantinedBody, SinkError};

/// The time limit of a sink: well under the 30 s after which Marketo hangs up without an answer.
pub const SINK_TIMEOUT: Duration = Duration::from_secs(10);

/// The handler of `POST /leads` and `POST /leads/{source}`. Needs a tokio runtime with its timer.
pub struct Ingest {
    senders: Senders,
    sink: Arc<dyn LeadSink>,
    clock: Arc<dyn Clock>,
}

impl Ingest {
    /// A handler that receives the leads of `senders` and sends them to `sink`.
    pub fn new(senders: Senders, sink: Arc<dyn LeadSink>, clock: Arc<dyn Clock>) -> Self {
        Self { senders, sink, clock }
    }

    /// Answers one request. The lead joins the trace in the request's extensions, a
    /// [`TraceContext`]; the request's own trace headers are ignored.
    ///
    /// The caller reads the body, and must stop reading shortly after [`MAX_BODY_BYTES`].
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        // Not the clock, which has the time of day in milliseconds: this only measures.
        let started = Instant::now();
        let (sender, outcome) = self.receive(&request).await;
        outcome.record(sender.as_ref(), request.body().len(), started.elapsed());
        outcome.response()
    }

    /// Answers a request with a body that the caller could not read completely.
    pub fn refuse_unread(&self, why: Unread) -> Response<Bytes> {
        let outcome = Outcome::Unread(why);
        outcome.record(None, 0, Duration::ZERO);
        outcome.response()
    }

    /// Refuses a request without valid credentials in its head. None where the body is needed to decide.
    /// Requests without a secret never have their body buffered.
    pub fn refuse_head(&self, head: &request::Parts) -> Option<Response<Bytes>> {
        let now = self.clock.now();
        let refusal = self.senders.precheck(head.uri.path(), head.uri.query(), &head.headers, now).err()?;
        let outcome = Outcome::from(refusal);
        outcome.record(None, 0, Duration::ZERO);
        Some(outcome.response())
    }

    /// The source of a request, as far as it is known, and the outcome.
    async fn receive(&self, request: &Request<Bytes>) -> (Option<SenderName>, Outcome) {
        let (uri, headers, body) = (request.uri(), request.headers(), request.body());
        if request.method() != Method::POST {
            return (None, Outcome::MethodNotAllowed);
        }
        // Before authentication, because the check is free, while a signature covers every byte.
        if body.len() > MAX_BODY_BYTES {
            return (None, Outcome::TooLarge);
        }
        let now = self.clock.now();
        match self.senders.authenticate(uri.path(), uri.query(), headers, body, now) {
            Ok(authenticated) => {
                let outcome = self.receive_from(&authenticated, request, now).await;
                (Some(authenticated.source.name().clone()), outcome)
            }
            Err(refusal) => (None, refusal.into()),
        }
    }

    async fn receive_from(
        &self,
        from: &Authenticated<'_>,
        request: &Request<Bytes>,
        now: Timestamp,
    ) -> Outcome {
        let (headers, body) = (request.headers(), request.body());
        match from.source.read(body, Some(headers)) {
            Ok(None) => Outcome::Ignored(from.source.status()),
            Ok(Some(received)) => {
                count(&received.parsed.notes);
                let trace = request.extensions().get::<TraceContext>().copied();
                let arrival = arrival(from, &received);
                let event = LeadEvent::new(received.parsed.lead, now)
                    .with_notes(received.parsed.notes)
                    .sent_by(received.sender)
                    .with_arrival(arrival)
                    .traced(trace);
                self.accept(&event, from.source.status()).await
            }
            Err(rejection) => {
                let name = from.source.name().clone();
                let item = QuarantinedBody::new(name, headers, body.clone(), rejection.clone(), now);
                self.quarantine(&item).await;
                Outcome::Rejected(rejection)
            }
        }
    }

    async fn accept(&self, event: &LeadEvent, status: StatusCode) -> Outcome {
        let id = event.lead_id.clone();
        match with_timeout(self.sink.accept(event)).await {
            Ok(Acceptance::Accepted) => Outcome::Accepted(id, status),
            Ok(Acceptance::Duplicate) => Outcome::Duplicate(id, status),
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

/// The identity of a delivery: the signed id of the message, or the sender's id of the submission if the
/// request proved itself. Ids of different sources do not meet.
fn arrival(from: &Authenticated<'_>, received: &Received) -> Arrival {
    let name = from.source.name();
    match (&from.message_id, &received.id) {
        (Some(id), _) if *name == SenderName::unnamed() => Arrival::webhook(id.as_str()),
        (Some(id), _) => Arrival::webhook(&format!("{name}:{}", id.as_str())),
        (None, Some(id)) if from.is_proved => Arrival::webhook(&format!("{name}:{id}")),
        (None, _) => Arrival::Time,
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
