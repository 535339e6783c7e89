//! The Lambda function that migrates the database's schema, as a step of the deployment. It ignores the
//! content of the event; an error stops the deployment.

use std::time::Duration;

use cloud::Cloud;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// How long to wait for the database: a paused one takes about 15 seconds to resume.
const DATABASE_WAIT: Duration = Duration::from_secs(90);

const RETRY_INTERVAL: Duration = Duration::from_secs(3);

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
            Err(error) if started.elapsed() < DATABASE_WAIT => {
                tracing::warn!(error = format!("{error:#}"), "database not reachable yet; retrying");
                sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    Box::pin(database.migrate()).await?;
    database.close().await;
    tracing::info!("the schema is up to date");
    Ok(json!({ "status": "migrated" }))
}
