//! A separate queue for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{CampaignId, EmailAddress, Lead, LeadEvent};
use queue::conformance::Harness;
use queue::{LeadQueue, RedisOptions, RedisQueue};

/// Short, since the clock is the real one, yet long enough for a slow machine.
pub(crate) const VISIBILITY: Duration = Duration::from_secs(8);
pub(crate) const STALLED_INTERVAL: Duration = Duration::from_millis(500);

/// The number of polls at an interval of [`POLL`] within which a condition must hold.
const PATIENCE: u32 = 1200;
const POLL: Duration = Duration::from_millis(50);

/// A queue under a unique prefix.
pub(crate) struct Fixture {
    pub(crate) url: String,
    pub(crate) prefix: String,
}

impl Fixture {
    /// A queue on the server at `TEST_REDIS_URL`.
    #[allow(clippy::unused_async, reason = "the suite starts its harnesses with an await")]
    pub(crate) async fn start() -> Self {
        let url = std::env::var("TEST_REDIS_URL")
            .expect("TEST_REDIS_URL names a Redis server to test on: run `make test`");
        Self::on(url)
    }

    /// A queue on that server, with the fixture.
    pub(crate) async fn with_queue() -> (Self, Arc<RedisQueue>) {
        let fixture = Self::start().await;
        let queue = fixture.queue();
        (fixture, queue)
    }

    pub(crate) fn on(url: String) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { url, prefix: format!("test-{}-{number}", std::process::id()) }
    }

    pub(crate) fn options(&self) -> RedisOptions {
        RedisOptions {
            visibility: VISIBILITY,
            stalled_interval: STALLED_INTERVAL,
            prefix: self.prefix.clone(),
            ..RedisOptions::default()
        }
    }

    /// A direct connection to the server, for commands outside the queue's interface.
    pub(crate) async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    pub(crate) fn queue(&self) -> Arc<RedisQueue> {
        self.queue_with(self.options())
    }

    pub(crate) fn queue_with(&self, options: RedisOptions) -> Arc<RedisQueue> {
        Arc::new(RedisQueue::new(&self.url, options).unwrap())
    }
}

#[async_trait]
impl Harness for Fixture {
    async fn open(&self) -> Arc<dyn LeadQueue> {
        self.queue()
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

/// The `n`th content of a lead.
pub(crate) fn event(lead: u32, n: u32) -> LeadEvent {
    let email = EmailAddress::parse(&format!("lead{lead}@example.com")).unwrap();
    let mut lead = Lead::new(email, CampaignId::parse("interop").unwrap());
    lead.title = Some(n.to_string());
    LeadEvent::new(lead, Timestamp::UNIX_EPOCH)
}

/// Polls until `poll` returns a value.
pub(crate) async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE {
        if let Some(answer) = poll().await {
            return answer;
        }
        tokio::time::sleep(POLL).await;
    }
    panic!("timed out waiting for: {what}");
}
