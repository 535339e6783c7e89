//! One connection, made on first use and made again when it was lost.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, ScriptInvocation};
use tokio::time::timeout;

use crate::QueueError;

/// How long a connection attempt and the answer to a command may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Commands fail at once while Redis is away; the next one tries to connect again.
pub(super) struct Connection {
    client: Client,
    manager: tokio::sync::OnceCell<ConnectionManager>,
}

/// Redis did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("redis did not answer within {} seconds", PATIENCE.as_secs())]
pub(super) struct NoAnswer;

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, manager: tokio::sync::OnceCell::new() }
    }

    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        let mut connection = self.manager().await?;
        timeout(PATIENCE, script.invoke_async(&mut connection))
            .await
            .map_err(|_| QueueError::unavailable(NoAnswer))?
            .map_err(QueueError::unavailable)
    }

    /// Names the connection, so that dashboards show a worker. Some managed servers refuse that: then they do not.
    pub(super) async fn introduce(&self, name: &str) -> Result<(), QueueError> {
        let mut connection = self.manager().await?;
        let command = redis::cmd("CLIENT").arg("SETNAME").arg(name).to_owned();
        let _: Result<Result<(), _>, _> = timeout(PATIENCE, command.query_async(&mut connection)).await;
        Ok(())
    }

    /// The manager is made inside the runtime, not where the queue is: it looks for the runtime.
    async fn manager(&self) -> Result<ConnectionManager, QueueError> {
        let make = async || {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(PATIENCE))
                .set_response_timeout(Some(PATIENCE))
                .set_number_of_retries(0);
            ConnectionManager::new_lazy_with_config(self.client.clone(), config)
        };
        Ok(self.manager.get_or_try_init(make).await.map_err(QueueError::unavailable)?.clone())
    }
}
