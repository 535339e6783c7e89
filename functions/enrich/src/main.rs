//! The function on the lead queue.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use cloud::Cloud;
use enrich::{Processor, Unreachable, received};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use lead::SystemClock;
use queue::Sqs;

/// What recording, moving and answering may take after the work has stopped.
const MARGIN: Duration = Duration::from_secs(10);

/// The time for a batch where nobody says how long it may take.
const UNLIMITED: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    let sqs = cloud.sqs()?;
    // What is wrong with the configuration shows at the deployment, and a first batch finds the connection made.
    if let Err(error) = cloud.parts().await {
        tracing::error!(error = format!("{error:#}"), "not ready: batches are handed back");
    }
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let answer = Box::pin(work(&cloud, &sqs, event)).await;
        cloud.flush();
        Ok::<_, Error>(answer)
    }))
    .await
}

async fn work(cloud: &Cloud, sqs: &Sqs, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let left = time_left(event.context.deadline(), SystemTime::now());
    let sqs = Arc::new(sqs.clone());
    let processor = match cloud.parts().await {
        Ok(parts) => {
            let (pipeline, ledger) = (Arc::clone(&parts.pipeline), Arc::clone(&parts.ledger));
            Processor::new(cloud.refused().heeding(pipeline), sqs, ledger, Arc::clone(&parts.clock))
        }
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "not ready");
            Processor::new(Arc::new(Unreachable), sqs, Arc::new(Unreachable), Arc::new(SystemClock))
        }
    };
    // A short test timeout leaves half of itself.
    let margin = MARGIN.min(left / 2);
    let ids = processor.process(received(event.payload), left.saturating_sub(margin)).await;
    let mut answer = SqsBatchResponse::default();
    answer.set_failures(ids);
    answer
}

/// `cargo lambda watch` gives every call the same deadline, in the first minutes of 1970.
fn time_left(deadline: SystemTime, now: SystemTime) -> Duration {
    if deadline < UNIX_EPOCH + Duration::from_hours(24) {
        return UNLIMITED;
    }
    deadline.duration_since(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_is_none_leaves_time_and_one_that_is_over_leaves_none() {
        let now = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(time_left(now + Duration::from_secs(120), now), Duration::from_secs(120));
        assert_eq!(time_left(now - Duration::from_secs(1), now), Duration::ZERO);
        assert_eq!(time_left(UNIX_EPOCH + Duration::from_secs(600), now), UNLIMITED);
    }
}
