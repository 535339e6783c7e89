//! An in-memory sink with switchable faults, and a handler over it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use ingest::{Acceptance, Ingest, LeadSink, QuarantinedBody, SinkError};
use intake::Authenticator;
use lead::{Clock as _, DeliveryId, LeadEvent, ManualClock};
use sources::Senders;

/// The token of every authenticated request.
pub(crate) const TOKEN: &str = "a-token-for-the-tests";

/// The key of senders that sign.
const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The faults of the sink.
#[derive(Clone, Copy, Default)]
pub(crate) enum Fault {
    /// No fault.
    #[default]
    None,
    /// Every call fails.
    Fails,
    /// Every call hangs.
    Hangs,
}

/// Keeps leads and rejected bodies in memory.
#[derive(Default)]
pub(crate) struct MemorySink {
    fault: Fault,
    accepted: Mutex<HashMap<DeliveryId, LeadEvent>>,
    quarantined: Mutex<HashMap<String, (QuarantinedBody, usize)>>,
}

impl MemorySink {
    async fn fail(&self) -> Result<(), SinkError> {
        match self.fault {
            Fault::None => Ok(()),
            Fault::Fails => Err(SinkError::new("the disk is full")),
            Fault::Hangs => std::future::pending().await,
        }
    }
}

#[async_trait]
impl LeadSink for MemorySink {
    async fn accept(&self, event: &LeadEvent) -> Result<Acceptance, SinkError> {
        self.fail().await?;
        let mut accepted = self.accepted.lock().expect("no test panics while holding it");
        Ok(match accepted.insert(event.delivery_id(), event.clone()) {
            None => Acceptance::Accepted,
            Some(_) => Acceptance::Duplicate,
        })
    }

    async fn quarantine(&self, item: &QuarantinedBody) -> Result<(), SinkError> {
        self.fail().await?;
        let mut quarantined = self.quarantined.lock().expect("no test panics while holding it");
        quarantined.entry(item.id.clone()).or_insert_with(|| (item.clone(), 0)).1 += 1;
        Ok(())
    }
}

/// A handler and its sink.
pub(crate) struct Fixture {
    ingest: Ingest,
    sink: Arc<MemorySink>,
}

impl Fixture {
    /// A fixture at 2026-01-01T00:00:00Z, with [`TOKEN`] and [`KEY`] as the secrets.
    pub(crate) fn new(fault: Fault) -> Self {
        let sink = Arc::new(MemorySink { fault, ..MemorySink::default() });
        let authenticator = Authenticator::new([TOKEN.into(), KEY.into()]).expect("both are long enough");
        let clock = Arc::new(ManualClock::default());
        Self { ingest: Ingest::new(Senders::unnamed(authenticator), sink.clone(), clock), sink }
    }

    /// Sends any request, and checks the properties that every answer has.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let response = self.ingest.handle(request).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_slice(response.body()).expect("an answer is JSON");
        let fields = body.as_object().expect("an answer is an object");
        assert!(fields.contains_key("status"));
        assert!(fields.values().all(serde_json::Value::is_string), "an answer is flat: {body}");
        response
    }

    /// Posts a body with valid credentials.
    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Response<Bytes> {
        self.send(request(body)).await
    }

    /// The leads on the queue.
    pub(crate) fn accepted(&self) -> Vec<LeadEvent> {
        self.sink.accepted.lock().expect("no test panics while holding it").values().cloned().collect()
    }

    /// The quarantined bodies, each with its number of receipts.
    pub(crate) fn quarantined(&self) -> Vec<(QuarantinedBody, usize)> {
        self.sink.quarantined.lock().expect("no test panics while holding it").values().cloned().collect()
    }
}

/// A POST with valid credentials.
pub(crate) fn request(body: impl Into<Bytes>) -> Request<Bytes> {
    Request::post("/leads").header("X-RevenueFlow-Token", TOKEN).body(body.into()).expect("a valid request")
}

/// A POST that is signed with [`KEY`] at the time of the fixture's clock.
pub(crate) fn signed(id: &str, body: &'static str) -> Request<Bytes> {
    let sent = ManualClock::default().now().as_second();
    let webhook = standardwebhooks::Webhook::new(KEY).expect("a valid key");
    let signature = webhook.sign(id, sent, body.as_bytes()).expect("it can be signed");
    Request::post("/leads")
        .header("webhook-id", id)
        .header("webhook-timestamp", sent.to_string())
        .header("webhook-signature", signature)
        .body(body.into())
        .expect("a valid request")
}

/// The body of an answer.
pub(crate) fn json(response: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).expect("an answer is JSON")
}
