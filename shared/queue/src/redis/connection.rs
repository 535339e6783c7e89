//! One connection, opened on first use and reopened after a loss.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, ScriptInvocation};
use tokio::time::timeout;

use crate::QueueError;

/// The time limit for a connection attempt and for the answer to a command.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Commands fail at once while Redis is unavailable; each command tries to reconnect.
pub(super) struct Connection {
    client: Client,
    manager: tokio::sync::OnceCell<ConnectionManager>,
}

/// Redis did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("redis did not answer within {} seconds", RESPONSE_TIMEOUT.as_secs())]
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
        timeout(RESPONSE_TIMEOUT, script.invoke_async(&mut connection))
            .await
            .map_err(|_| QueueError::unavailable(NoAnswer))?
            .map_err(QueueError::unavailable)
    }

    /// Names the connection, so that dashboards show a worker. Some managed servers refuse the command; the
    /// error is ignored.
    pub(super) async fn set_client_name(&self, name: &str) -> Result<(), QueueError> {
        let mut connection = self.manager().await?;
        let command = redis::cmd("CLIENT").arg("SETNAME").arg(name).to_owned();
        let _: Result<Result<(), _>, _> =
            timeout(RESPONSE_TIMEOUT, command.query_async(&mut connection)).await;
        Ok(())
    }

    /// The manager is created on first use, because it needs the Tokio runtime, which the constructor of the
    /// queue may run outside of.
    async fn manager(&self) -> Result<ConnectionManager, QueueError> {
        let make = async || {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(RESPONSE_TIMEOUT))
                .set_response_timeout(Some(RESPONSE_TIMEOUT))
                .set_number_of_retries(0);
            ConnectionManager::new_lazy_with_config(self.client.clone(), config)
        };
        Ok(self.manager.get_or_try_init(make).await.map_err(QueueError::unavailable)?.clone())
    }
}
