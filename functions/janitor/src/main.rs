//! The function on a schedule: a round of the janitor, and what only the cloud has: the mapping that stops consumption,
//! and the bucket that takes what the queue could not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::{Cloud, Mapping, Overflow, Parts};
use janitor::{Janitor, Probe};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use lead::{Failure, LeadEvent};
use pipeline::Pipeline;
use queue::{LeadQueue, Ledger as _};
use runtime::Variables;
use serde::Deserialize;
use serde_json::{Value, json};
use store::QuarantineItem;

/// A delivery that is open and perhaps in no queue is sent again once in this time.
const RESEND_AFTER: Duration = Duration::from_secs(15 * 60);

/// Objects of the overflow bucket a round.
const BATCH: i32 = 200;

/// What is left of an object that holds no lead: an operator finds it in the quarantine.
const UNREADABLE: &str = "unreadable_overflow";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    let variables = Variables::of_process();
    let mapping = variables.text("EVENT_SOURCE_MAPPING_ID").map(|id| Mapping::new(cloud.aws(), id));
    let overflow = variables.text("OVERFLOW_BUCKET").map(|bucket| Overflow::new(cloud.aws(), bucket));
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| {
        let done = Box::pin(round(&cloud, mapping.as_ref(), overflow.as_ref())).await;
        cloud.flush();
        done.map_err(|error| Error::from(format!("{error:#}")))
    }))
    .await
}

/// Does every chore; one that fails does not keep the others from being done.
async fn round(
    cloud: &Cloud,
    mapping: Option<&Mapping>,
    overflow: Option<&Overflow>,
) -> anyhow::Result<Value> {
    let parts = cloud.parts().await?;
    let queue: Arc<dyn LeadQueue> = Arc::new(parts.queue(RESEND_AFTER)?);
    let probe: Arc<dyn Probe> = Arc::new(CrmProbe(Arc::clone(&parts.pipeline)));
    let probes = vec![(parts.pipeline.guard.dependency().clone(), probe)];
    let janitor = Janitor::new(parts.store.clone(), Arc::clone(&queue), probes, Arc::clone(&parts.clock));
    let round =
        Box::pin(janitor.round()).await.map_err(|failure| anyhow!("{}: {}", failure.code, failure.message));
    // After the probes, which end pauses.
    let switched = Box::pin(switch(&parts, mapping)).await;
    let taken = match overflow {
        Some(overflow) => Box::pin(take(&parts, queue.as_ref(), overflow)).await,
        None => Ok(0),
    };
    let swept = parts.ledger.sweep().await;
    let round = round?;
    Ok(json!({
        "resumed": round.resumed,
        "still_down": round.still_down,
        "requeued": round.requeued,
        "second_looks": round.second_looks,
        "paused": switched?,
        "overflow": taken?,
        "swept": swept?,
    }))
}

/// Stops and starts consumption as the pauses say. Until it is stopped, batches are handed back.
async fn switch(parts: &Parts, mapping: Option<&Mapping>) -> anyhow::Result<bool> {
    let is_paused = !parts.ledger.pauses().await?.is_empty();
    metrics::gauge!("revenueflow_queue_paused").set(f64::from(u8::from(is_paused)));
    if let Some(mapping) = mapping
        && mapping.enable(!is_paused).await?
    {
        tracing::warn!(is_paused, "consumption of the queue is switched");
    }
    Ok(is_paused)
}

/// Puts on the queue what could not be put there, and into the quarantine what is no lead.
async fn take(parts: &Parts, queue: &dyn LeadQueue, overflow: &Overflow) -> anyhow::Result<usize> {
    let mut taken = 0;
    for key in overflow.list("", BATCH).await? {
        let object = overflow.get(&key).await?;
        if key.starts_with("quarantine/") {
            quarantine(parts, &object.content, &key).await?;
        } else {
            match serde_json::from_slice(&object.content).ok().filter(LeadEvent::is_consistent) {
                Some(event) => drop(queue.send(&event).await.context("what overflowed cannot be sent yet")?),
                None => keep(parts, &key, UNREADABLE, "not a lead event", None, &object.content).await?,
            }
        }
        // Dies before: it is sent again, which is a duplicate.
        overflow.delete(&key).await?;
        taken += 1;
    }
    metrics::counter!("revenueflow_overflow_taken_total").increment(taken as u64);
    Ok(taken)
}

/// As `ingest` writes it.
#[derive(Deserialize)]
struct Quarantined {
    id: String,
    error: String,
    field: Option<String>,
    message: String,
    content_type: Option<String>,
    received_at: jiff::Timestamp,
    body: String,
}

async fn quarantine(parts: &Parts, content: &[u8], key: &str) -> anyhow::Result<()> {
    let read: Option<Quarantined> = serde_json::from_slice(content).ok();
    let Some((item, body)) = read.and_then(|item| STANDARD.decode(&item.body).ok().map(|body| (item, body)))
    else {
        return keep(parts, key, UNREADABLE, "not a quarantined body", None, content).await;
    };
    let item = QuarantineItem {
        id: &item.id,
        error: &item.error,
        field: item.field.as_deref(),
        message: &item.message,
        content_type: item.content_type.as_deref(),
        body: &body,
        received_at: item.received_at,
    };
    Ok(parts.store.quarantine(&item).await?)
}

async fn keep(
    parts: &Parts,
    key: &str,
    error: &str,
    message: &str,
    content_type: Option<&str>,
    body: &[u8],
) -> anyhow::Result<()> {
    let received_at = parts.clock.now();
    let item = QuarantineItem { id: key, error, field: None, message, content_type, body, received_at };
    tracing::error!(key, error, "an object of the overflow bucket is kept in quarantine");
    Ok(parts.store.quarantine(&item).await?)
}

struct CrmProbe(Arc<Pipeline>);

#[async_trait]
impl Probe for CrmProbe {
    async fn probe(&self) -> Result<(), Failure> {
        self.0.guard.probe().await
    }
}
