//! The Lambda function that processes the lead queue.

mod event;
mod release_trouble;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use cloud::{Cloud, XRay, ends_at};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use lead::SystemClock;
use queue::{Limit, Processor, Sqs, Times, release_all};
use runtime::Variables;
use tokio::time::{Instant, timeout, timeout_at};

use crate::event::received;
use crate::release_trouble::Trouble;

/// The time that is reserved for recording, moving and answering after the work has stopped.
const MARGIN: Duration = Duration::from_secs(10);

/// The time limit for the connections before the first batch; Lambda allows 10 s for the whole
/// initialisation.
const FIRST_PARTS: Duration = Duration::from_secs(8);

/// The part of it that is reserved for the answer itself.
const ANSWER: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    XRay::start(&Variables::of_process());
    let sqs = cloud.sqs()?;
    let limit = Limit::default();
    // Configuration errors become visible at the deployment, and the first batch finds a connection.
    let parts = timeout(FIRST_PARTS, Box::pin(cloud.parts())).await;
    if let Err(error) = parts.context("no answer in time").flatten() {
        tracing::error!(
            error = format!("{error:#}"),
            "connections not ready; batches are released until they are"
        );
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
    // A short test timeout keeps half of its time.
    let half = end.saturating_duration_since(Instant::now()) / 2;
    let times = Times { work_until: end - MARGIN.min(half), answer_by: end - ANSWER.min(half / 2) };
    let sqs = Arc::new(sqs.clone());
    let parts = timeout_at(end - half, Box::pin(cloud.parts())).await;
    let messages = received(event.payload);
    let processed = match parts.context("no answer in time").flatten() {
        Ok(parts) => {
            let (pipeline, ledger) = (Arc::clone(&parts.pipeline), Arc::clone(&parts.ledger));
            let handler = cloud.refused().observing(pipeline);
            let processor = Processor::new(handler, sqs, ledger, Arc::clone(&parts.clock), limit.clone());
            processor.process(messages, times).await
        }
        Err(error) => {
            Trouble::NotReady.count(1);
            tracing::error!(error = format!("{error:#}"), "connections not ready; batch released");
            release_all(sqs, Arc::new(SystemClock), messages, times).await
        }
    };
    Trouble::DeadLettered.count(processed.dead_lettered);
    let mut answer = SqsBatchResponse::default();
    answer.set_failures(processed.unsettled);
    answer
}
