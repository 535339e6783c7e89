use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::{Overflow, OverflowObject, Parts};
use janitor::dead_letter;
use lead::{Failure, FailureClass, LeadEvent, SenderName};
use queue::LeadQueue;
use serde::Deserialize;
use store::QuarantineItem;
use tokio::time::{Instant, timeout};

use crate::drain::{Drained, drain};

/// Objects of the overflow bucket per listing.
const PAGE: i32 = 1_000;

/// The time limit for one object.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The error code of an overflow object without a readable lead; an operator finds it in the quarantine.
const UNREADABLE: &str = "unreadable_overflow";

/// Moves the leads of the overflow bucket to the queue, and everything else to the quarantine. A lead that
/// the queue will never accept is dead-lettered with that reason. Starts no object after `until`.
pub(crate) async fn take(
    parts: &Parts,
    queue: &dyn LeadQueue,
    overflow: &Overflow,
    until: Instant,
) -> anyhow::Result<Drained> {
    let list = async |after: Option<String>| overflow.list(after.as_deref(), PAGE).await;
    let take = async |key: String| {
        let taken = timeout(OBJECT_TIMEOUT, take_one(parts, queue, overflow, &key)).await;
        taken.context("no answer in time").flatten()
    };
    let drained = Box::pin(drain(list, take, until)).await?;
    metrics::counter!("revenueflow_overflow_taken_total").increment(drained.taken);
    metrics::counter!("revenueflow_overflow_failures_total").increment(drained.failed);
    Ok(drained)
}

async fn take_one(
    parts: &Parts,
    queue: &dyn LeadQueue,
    overflow: &Overflow,
    key: &str,
) -> anyhow::Result<()> {
    let object = overflow.get(key).await?;
    if key.starts_with("quarantine/") {
        quarantine(parts, &object).await?;
    } else {
        match serde_json::from_slice(&object.content).ok().filter(LeadEvent::is_consistent) {
            Some(event) => send(parts, queue, &event).await?,
            None => keep(parts, &object, "not a lead event").await?,
        }
    }
    // After a crash before this line the lead is sent again, which is a duplicate.
    overflow.delete(key).await
}

async fn send(parts: &Parts, queue: &dyn LeadQueue, event: &LeadEvent) -> anyhow::Result<()> {
    match queue.send(event).await.map_err(Failure::from) {
        Ok(_) => Ok(()),
        Err(failure) if failure.class() == FailureClass::Permanent => {
            dead_letter(&parts.store, event, &failure)
                .await
                .context("an overflowed lead cannot be dead-lettered yet")
        }
        Err(failure) => bail!("an overflowed lead cannot be sent yet: {failure}"),
    }
}

/// The format that `ingest` writes.
#[derive(Deserialize)]
struct Quarantined {
    id: String,
    #[serde(default = "SenderName::unnamed")]
    sender: SenderName,
    error: String,
    field: Option<String>,
    message: String,
    content_type: Option<String>,
    received_at: jiff::Timestamp,
    body: String,
}

async fn quarantine(parts: &Parts, object: &OverflowObject) -> anyhow::Result<()> {
    let read: Option<Quarantined> = serde_json::from_slice(&object.content).ok();
    let Some((item, body)) = read.and_then(|item| STANDARD.decode(&item.body).ok().map(|body| (item, body)))
    else {
        return keep(parts, object, "not a quarantined body").await;
    };
    let item = QuarantineItem {
        id: &item.id,
        sender: item.sender.as_str(),
        error: &item.error,
        field: item.field.as_deref(),
        message: &item.message,
        content_type: item.content_type.as_deref(),
        body: &body,
        received_at: item.received_at,
    };
    Ok(parts.store.quarantine(&item).await?)
}

/// Keeps an unreadable object as it is.
async fn keep(parts: &Parts, object: &OverflowObject, message: &str) -> anyhow::Result<()> {
    let OverflowObject { key, content } = object;
    let unknown = SenderName::unnamed();
    tracing::error!(key, error = UNREADABLE, message, "unreadable overflow object quarantined");
    let item = QuarantineItem {
        id: key,
        sender: unknown.as_str(),
        error: UNREADABLE,
        field: None,
        message,
        content_type: None,
        body: content,
        received_at: parts.clock.now(),
    };
    Ok(parts.store.quarantine(&item).await?)
}
