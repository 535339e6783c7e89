//! The scheduled Lambda function: a janitor round, and the work that only exists in the cloud. It enables or
//! disables the event source mapping, and drains the overflow bucket into the queue.

mod drain;
mod overflow;
mod probes;
mod switch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use cloud::{Cloud, Mapping, Overflow, ends_at};
use drain::Drained;
use janitor::{Checkpoint, Janitor};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use overflow::take;
use probes::probes;
use queue::LeadQueue;
use runtime::Variables;
use serde_json::{Value, json};
use switch::switch;
use tokio::time::{Instant, timeout, timeout_at};

/// An open delivery that may be in no queue is sent again at most once in this time.
const RESEND_AFTER: Duration = Duration::from_secs(15 * 60);

/// The part of the function's time that is reserved for the last steps.
const MARGIN: Duration = Duration::from_secs(10);

/// The limit of the mapping switch and of the sweep, each. With [`MARGIN`], the last two still end in time.
const CHORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the overflow may be drained before the janitor round.
const OVERFLOW_FIRST: Duration = Duration::from_secs(12);

/// Everything that outlives a call, in contrast to the parts that [`Cloud::parts`] renews.
struct State {
    cloud: Cloud,
    mapping: Option<Mapping>,
    overflow: Option<Overflow>,
    checkpoint: Checkpoint,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    let variables = Variables::of_process();
    let state = State {
        mapping: variables.text("EVENT_SOURCE_MAPPING_ID").map(|id| Mapping::new(cloud.aws(), id)),
        overflow: variables.text("OVERFLOW_BUCKET").map(|bucket| Overflow::new(cloud.aws(), bucket)),
        checkpoint: Checkpoint::default(),
        cloud,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let end = ends_at(event.context.deadline());
        // A short test timeout keeps half of its time.
        let margin = MARGIN.min(end.saturating_duration_since(Instant::now()) / 2);
        let done = Box::pin(round(&state, end - margin)).await;
        state.cloud.flush();
        done.map_err(|error| Error::from(format!("{error:#}")))
    }))
    .await
}

/// Runs every chore; one that fails or hangs does not stop the others. Work that keeps leads flowing precedes
/// calls to dependencies.
async fn round(state: &State, end: Instant) -> anyhow::Result<Value> {
    let parts =
        timeout_at(end, Box::pin(state.cloud.parts())).await.context("connections not ready in time")??;
    let queue: Arc<dyn LeadQueue> = Arc::new(parts.queue(RESEND_AFTER)?);
    let take = async |until: Instant| match &state.overflow {
        Some(overflow) => Box::pin(take(&parts, queue.as_ref(), overflow, until)).await,
        None => Ok(Drained::default()),
    };
    let switch = async || {
        let switched = timeout(CHORE_TIMEOUT, Box::pin(switch(&parts, state.mapping.as_ref()))).await;
        switched.context("the mapping was not switched in time").flatten()
    };
    let switched_first = switch().await;
    let taken_first = take((Instant::now() + OVERFLOW_FIRST).min(end)).await;

    let probes = probes(&parts.pipeline, state.cloud.refused());
    let janitor = Janitor::new(parts.store.clone(), Arc::clone(&queue), probes, Arc::clone(&parts.clock))
        .with_checkpoint(&state.checkpoint)
        .with_pipeline(Arc::clone(&parts.pipeline))
        .with_quarantine_retention(parts.config.quarantine_keep, parts.config.quarantine_rows)
        .with_retention(parts.config.retention);
    let round = timeout_at(end, Box::pin(janitor.round())).await.context("the janitor round took too long");

    // Again, because probes end pauses and start new ones.
    let switched = switch().await;
    let taken = match &taken_first {
        Ok(Drained { more: true, .. }) => take(end).await,
        _ => Ok(Drained::default()),
    };
    let swept =
        timeout(CHORE_TIMEOUT, parts.ledger.sweep()).await.context("the ledger was not swept in time");

    let round = round?.map_err(|failure| anyhow!("{}: {}", failure.code, failure.message))?;
    let (paused, _) = (switched?, switched_first?);
    let (first, then) = (taken_first?, taken?);
    let overflow_failed = first.failed + then.failed;
    ensure!(
        overflow_failed == 0,
        "{overflow_failed} objects of the overflow bucket could not be processed and stay in it"
    );
    Ok(json!({
        "resumed": round.resumed,
        "still_down": round.still_down,
        "requeued": round.requeued,
        "second_looks": round.second_looks,
        "enriched_again": round.enriched_again,
        "overdue": round.overdue,
        "reassigned": round.reassigned,
        "responded": round.responded,
        "forgotten": round.forgotten,
        "expired_leads": round.expired_leads,
        "expired_contents": round.expired_contents,
        "expired_dead_letters": round.expired_dead_letters,
        "recounted": round.recounted,
        "paused": paused,
        "overflow": first.taken + then.taken,
        "swept": swept??,
    }))
}
