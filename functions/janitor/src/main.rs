//! The function on a schedule: a round of the janitor, and what only the cloud has: the mapping that stops consumption,
//! and the bucket that takes what the queue could not.

mod chaser;
mod drain;
mod overflow;
mod probes;
mod switch;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use chaser::{chaser, enricher};
use cloud::{Cloud, Mapping, Overflow, ends_at};
use drain::Drained;
use janitor::{Janitor, Place};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use overflow::take;
use probes::probes;
use queue::LeadQueue;
use runtime::Variables;
use serde_json::{Value, json};
use switch::switch;
use tokio::time::{Instant, timeout, timeout_at};

/// A delivery that is open and perhaps in no queue is sent again once in this time.
const RESEND_AFTER: Duration = Duration::from_secs(15 * 60);

/// What is kept of the function's time for the last things to do.
const MARGIN: Duration = Duration::from_secs(10);

/// What the switch and the sweep may take each. With [`MARGIN`], the last two still end in time.
const CHORE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the overflow may be emptied before the rest of the round.
const OVERFLOW_FIRST: Duration = Duration::from_secs(12);

/// What there is, beside what [`Cloud::parts`] makes anew now and then.
struct House {
    cloud: Cloud,
    mapping: Option<Mapping>,
    overflow: Option<Overflow>,
    place: Place,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    let variables = Variables::of_process();
    let house = House {
        mapping: variables.text("EVENT_SOURCE_MAPPING_ID").map(|id| Mapping::new(cloud.aws(), id)),
        overflow: variables.text("OVERFLOW_BUCKET").map(|bucket| Overflow::new(cloud.aws(), bucket)),
        place: Place::default(),
        cloud,
    };
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let end = ends_at(event.context.deadline());
        // A short test timeout leaves half of itself.
        let margin = MARGIN.min(end.saturating_duration_since(Instant::now()) / 2);
        let done = Box::pin(round(&house, end - margin)).await;
        house.cloud.flush();
        done.map_err(|error| Error::from(format!("{error:#}")))
    }))
    .await
}

/// Does every chore; one that fails or hangs does not keep the others from being done. What keeps leads flowing comes
/// first, and what asks outside systems after it.
async fn round(house: &House, end: Instant) -> anyhow::Result<Value> {
    let parts = timeout_at(end, Box::pin(house.cloud.parts())).await.context("not ready in time")??;
    let queue: Arc<dyn LeadQueue> = Arc::new(parts.queue(RESEND_AFTER)?);
    let take = async |until: Instant| match &house.overflow {
        Some(overflow) => Box::pin(take(&parts, queue.as_ref(), overflow, until)).await,
        None => Ok(Drained::default()),
    };
    let switch = async || {
        let switched = timeout(CHORE_TIMEOUT, Box::pin(switch(&parts, house.mapping.as_ref()))).await;
        switched.context("the mapping was not switched in time").flatten()
    };
    let switched_first = switch().await;
    let taken_first = take((Instant::now() + OVERFLOW_FIRST).min(end)).await;

    let probes = probes(&parts.pipeline, house.cloud.refused());
    let janitor = Janitor::new(parts.store.clone(), Arc::clone(&queue), probes, Arc::clone(&parts.clock))
        .going_on_from(&house.place)
        .chasing(chaser(&parts.pipeline))
        .enriching(enricher(&parts.pipeline))
        .keeping_quarantine(parts.config.quarantine_keep, parts.config.quarantine_rows);
    let round = timeout_at(end, Box::pin(janitor.round())).await.context("the round took too long");

    // Again, since probes end pauses and begin them anew.
    let switched = switch().await;
    let taken = match &taken_first {
        Ok(Drained { more: true, .. }) => take(end).await,
        _ => Ok(Drained::default()),
    };
    let swept = timeout(CHORE_TIMEOUT, parts.ledger.sweep()).await.context("not swept in time");

    let round = round?.map_err(|failure| anyhow!("{}: {}", failure.code, failure.message))?;
    let (paused, _) = (switched?, switched_first?);
    let (first, then) = (taken_first?, taken?);
    let overflow_failed = first.failed + then.failed;
    ensure!(overflow_failed == 0, "{overflow_failed} objects of the overflow bucket could not be taken");
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
        "recounted": round.recounted,
        "paused": paused,
        "overflow": first.taken + then.taken,
        "swept": swept??,
    }))
}
