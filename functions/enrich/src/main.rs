//! The function on the lead queue.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use cloud::Cloud;
use enrich::{Processor, Unreachable, received};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use lead::SystemClock;
use queue::Sqs;

/// What recording, moving and answering may take after the work has stopped.
const MARGIN: Duration = Duration::from_secs(10);

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
    let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
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
