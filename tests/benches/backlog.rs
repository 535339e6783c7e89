//! What taking in and handing out a lead costs behind a backlog: it must not grow with it. On SQLite, in a file.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

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

struct Place {
    runtime: Runtime,
    store: Store,
    queue: DatabaseQueue,
    next: AtomicU64,
    _database: TestDatabase,
}

impl Place {
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
        let place = Self { runtime, store, queue, next: AtomicU64::new(0), _database: test };
        for _ in 0..leads.div_ceil(1_000) {
            place.take_in(1_000);
        }
        place
    }

    fn take_in(&self, leads: u64) {
        self.runtime.block_on(async {
            let mut transaction = self.store.database().begin().await.unwrap();
            for _ in 0..leads {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let email = EmailAddress::parse(&format!("lead{number}@example.com")).unwrap();
                let lead = Lead::new(email, CampaignId::parse("bench").unwrap());
                let event = LeadEvent::new(lead, SystemClock.now());
                self.store.accept_in(&mut transaction, &event).await.unwrap();
                DatabaseQueue::send_in(&mut transaction, &event, SystemClock.now()).await.unwrap();
            }
            transaction.commit().await.unwrap();
        });
    }
}

/// One lead, durable: accepted and queued in one transaction.
#[divan::bench(args = BACKLOGS, sample_count = 100, sample_size = 1)]
fn take_in_behind(bencher: Bencher<'_, '_>, backlog: u64) {
    let place = Place::with_backlog(backlog);
    bencher.bench_local(|| place.take_in(1));
}

/// One lead, leased and settled.
#[divan::bench(args = BACKLOGS, sample_count = 100, sample_size = 1)]
fn hand_out_from(bencher: Bencher<'_, '_>, backlog: u64) {
    let place = Place::with_backlog(backlog);
    bencher.bench_local(|| {
        place.runtime.block_on(async {
            for message in place.queue.receive(1).await.unwrap() {
                place.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
            }
        });
    });
}
