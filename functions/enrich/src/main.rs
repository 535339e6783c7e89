//! The function on the lead queue.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use cloud::{Cloud, XRay, ends_at};
use enrich::{Limit, Processor, Times, Trouble, Unreachable, received};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use lead::SystemClock;
use queue::Sqs;
use runtime::Variables;
use tokio::time::{Instant, timeout, timeout_at};

/// What recording, moving and answering may take after the work has stopped.
const MARGIN: Duration = Duration::from_secs(10);

/// What making connections may take before the first batch: Lambda allows 10 s for all that comes before it.
const FIRST_PARTS: Duration = Duration::from_secs(8);

/// What is kept of that for the answer itself.
const ANSWER: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    XRay::start(&Variables::of_process());
    let sqs = cloud.sqs()?;
    let limit = Limit::default();
    // What is wrong with the configuration shows at the deployment, and a first batch finds the connection made.
    let parts = timeout(FIRST_PARTS, Box::pin(cloud.parts())).await;
    if let Err(error) = parts.context("no answer in time").flatten() {
        tracing::error!(error = format!("{error:#}"), "not ready: batches are handed back");
    }
    lambda_runtime::run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let answer = Box::pin(work(&cloud, &sqs, &limit, event)).await;
        cloud.flush();
        Ok::<_, Error>(answer)
    }))
    .await
}

async fn work(cloud: &Cloud, sqs: &Sqs, limit: &Limit, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let end = ends_at(event.context.deadline());
    // A short test timeout leaves half of itself.
    let half = end.saturating_duration_since(Instant::now()) / 2;
    let times = Times { work_until: end - MARGIN.min(half), answer_by: end - ANSWER.min(half / 2) };
    let sqs = Arc::new(sqs.clone());
    let parts = timeout_at(end - half, Box::pin(cloud.parts())).await;
    let processor = match parts.context("no answer in time").flatten() {
        Ok(parts) => {
            let (pipeline, ledger) = (Arc::clone(&parts.pipeline), Arc::clone(&parts.ledger));
            let clock = Arc::clone(&parts.clock);
            Processor::new(cloud.refused().heeding(pipeline), sqs, ledger, clock, limit.clone())
        }
        Err(error) => {
            Trouble::NotReady.count();
            tracing::error!(error = format!("{error:#}"), "not ready");
            let clock = Arc::new(SystemClock);
            Processor::new(Arc::new(Unreachable), sqs, Arc::new(Unreachable), clock, limit.clone())
        }
    };
    let ids = processor.process(received(event.payload), times).await;
    let mut answer = SqsBatchResponse::default();
    answer.set_failures(ids);
    answer
}
