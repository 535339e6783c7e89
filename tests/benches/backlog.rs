//! Cost of accepting and receiving a lead behind a backlog, on SQLite in a file. It must not grow with the
//! backlog.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use database::testing::TestDatabase;
use divan::Bencher;
use lead::{CampaignId, Clock as _, EmailAddress, Lead, LeadEvent, SystemClock};
use queue::{DatabaseQueue, LeadQueue as _, Settlement};
use store::Store;
use tokio::runtime::Runtime;

const BACKLOGS: [u64; 3] = [1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

struct Fixture {
    runtime: Runtime,
    store: Store,
    queue: DatabaseQueue,
    next: AtomicU64,
    _database: TestDatabase,
}

impl Fixture {
    fn with_backlog(leads: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let (test, database) = runtime.block_on(async {
            let test = TestDatabase::sqlite().await;
            let database = test.connect().await;
            (test, database)
        });
        let clock = Arc::new(SystemClock);
        let store = Store::new(database.clone(), clock.clone());
        let queue = DatabaseQueue::new(database, clock, Duration::from_secs(3600));
        let fixture = Self { runtime, store, queue, next: AtomicU64::new(0), _database: test };
        for _ in 0..leads.div_ceil(1_000) {
            fixture.accept(1_000);
        }
        fixture
    }

    fn accept(&self, leads: u64) {
        self.runtime.block_on(async {
            let mut transaction = self.store.database().begin().await.unwrap();
            for _ in 0..leads {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let email = EmailAddress::parse(&format!("lead{number}@example.com")).unwrap();
                let lead = Lead::new(email, CampaignId::parse("bench").unwrap());
                let event = LeadEvent::new(lead, SystemClock.now());
                let (_, event) = self.store.accept_arrival(&mut transaction, &event).await.unwrap();
                DatabaseQueue::send_in(&mut transaction, &event, SystemClock.now()).await.unwrap();
            }
            transaction.commit().await.unwrap();
        });
    }
}

/// One durable lead: accepted and queued in one transaction.
#[divan::bench(args = BACKLOGS, sample_count = 100, sample_size = 1)]
fn accept_behind(bencher: Bencher<'_, '_>, backlog: u64) {
    let fixture = Fixture::with_backlog(backlog);
    bencher.bench_local(|| fixture.accept(1));
}

/// One lead, leased and settled.
#[divan::bench(args = BACKLOGS, sample_count = 100, sample_size = 1)]
fn receive_from(bencher: Bencher<'_, '_>, backlog: u64) {
    let fixture = Fixture::with_backlog(backlog);
    bencher.bench_local(|| {
        fixture.runtime.block_on(async {
            for message in fixture.queue.receive(1).await.unwrap() {
                fixture.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
            }
        });
    });
}
