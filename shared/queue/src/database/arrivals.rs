//! Waking an idle worker when a message arrives.

use std::sync::Arc;
use std::time::Duration;

use database::Database;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::CHANNEL;

/// The wait before the database is listened to again after a failure.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// The arrivals of messages, from this process and, on PostgreSQL, from others.
#[derive(Default)]
pub(super) struct Arrivals {
    arrived: Arc<Notify>,
    listening: std::sync::OnceLock<Listening>,
}

/// A task that listens until this is dropped.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Arrivals {
    /// Notes that this process has sent a message or ended a pause.
    pub(super) fn note(&self) {
        self.arrived.notify_one();
    }

    /// Waits for an arrival since the last call. The first call begins to listen to other processes.
    pub(super) async fn wait(&self, database: &Database) {
        self.listening
            .get_or_init(|| Listening(tokio::spawn(listen(database.clone(), Arc::clone(&self.arrived)))));
        self.arrived.notified().await;
    }
}

/// Notes what other processes announce. Without a connection, workers find messages by polling.
async fn listen(database: Database, arrived: Arc<Notify>) {
    loop {
        let listened = async {
            let Some(mut listener) = database.listen(CHANNEL).await? else { return Ok(()) };
            loop {
                listener.next().await?;
                arrived.notify_one();
            }
        };
        match listened.await {
            Ok(()) => return, // SQLite
            Err(error) => {
                let error: database::DatabaseError = error;
                tracing::debug!(%error, "cannot listen for messages of other processes");
                sleep(LISTEN_AGAIN).await;
            }
        }
    }
}
