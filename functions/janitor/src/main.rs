//! The function on a schedule: a round of the janitor, and what only the cloud has: the mapping that stops consumption,
//! and the bucket that takes what the queue could not.

mod function;

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use cloud::{Cloud, Mapping, Overflow};
use function::{chaser, probes, switch, take};
use janitor::{Janitor, Place};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use queue::LeadQueue;
use runtime::Variables;
use serde_json::{Value, json};

/// A delivery that is open and perhaps in no queue is sent again once in this time.
const RESEND_AFTER: Duration = Duration::from_secs(15 * 60);

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
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| {
        let done = Box::pin(round(&house)).await;
        house.cloud.flush();
        done.map_err(|error| Error::from(format!("{error:#}")))
    }))
    .await
}

/// Does every chore; one that fails does not keep the others from being done.
async fn round(house: &House) -> anyhow::Result<Value> {
    let parts = house.cloud.parts().await?;
    let queue: Arc<dyn LeadQueue> = Arc::new(parts.queue(RESEND_AFTER)?);
    let probes = probes(&parts.pipeline, house.cloud.refused());
    let janitor = Janitor::new(parts.store.clone(), Arc::clone(&queue), probes, Arc::clone(&parts.clock))
        .going_on_from(&house.place)
        .chasing(chaser(&parts.pipeline))
        .keeping_quarantine(parts.config.quarantine_keep, parts.config.quarantine_rows);
    let round =
        Box::pin(janitor.round()).await.map_err(|failure| anyhow!("{}: {}", failure.code, failure.message));
    // After the probes, which end pauses.
    let switched = Box::pin(switch(&parts, house.mapping.as_ref())).await;
    let taken = match &house.overflow {
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
        "overdue": round.overdue,
        "reassigned": round.reassigned,
        "responded": round.responded,
        "forgotten": round.forgotten,
        "paused": switched?,
        "overflow": taken?,
        "swept": swept?,
    }))
}
