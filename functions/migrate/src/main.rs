//! Brings the database's schema up to date, as a step of the deployment. What the event says does not matter; an error
//! stops the deployment.

use std::time::Duration;

use cloud::Cloud;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// A database that has paused needs some 15 seconds to come back.
const PATIENCE: Duration = Duration::from_secs(90);

const ASK_AGAIN_AFTER: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let cloud = Cloud::start()?;
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| Box::pin(migrate(&cloud)).await)).await
}

async fn migrate(cloud: &Cloud) -> Result<Value, Error> {
    let started = Instant::now();
    let database = loop {
        match cloud.database().await {
            Ok(database) => break database,
            Err(error) if started.elapsed() < PATIENCE => {
                tracing::warn!(error = format!("{error:#}"), "the database is not there yet");
                sleep(ASK_AGAIN_AFTER).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    Box::pin(database.migrate()).await?;
    database.close().await;
    tracing::info!("the schema is up to date");
    Ok(json!({ "status": "migrated" }))
}
