//! The behaviour that every ledger must show.

use std::sync::Arc;

use database::Database;
use lead::ManualClock;
use queue::{DatabaseLedger, Ended, Ledger, MemoryLedger, Tries};

fn tries(attempts: u32, losses: u32) -> Tries {
    Tries { attempts, losses, is_held: true }
}

async fn counts_failures_and_losses_but_not_deferrals(ledger: &dyn Ledger) {
    assert!(ledger.look(&[]).await.unwrap().is_empty());
    assert!(ledger.look(&["a"]).await.unwrap().is_empty());
    assert_eq!(ledger.begin("a", "1").await.unwrap(), tries(0, 0));
    assert!(ledger.holds("a", "1").await.unwrap());
    assert!(ledger.end("a", "1", Ended::Failed).await.unwrap());
    assert!(!ledger.end("a", "1", Ended::Failed).await.unwrap(), "it has ended already");
    assert_eq!(ledger.begin("a", "2").await.unwrap(), tries(1, 0));
    assert!(ledger.end("a", "2", Ended::Deferred).await.unwrap());
    assert_eq!(ledger.begin("a", "3").await.unwrap(), tries(1, 0));
    // The process of the third try dies.
    assert_eq!(ledger.begin("a", "4").await.unwrap(), tries(1, 1));
    assert!(!ledger.holds("a", "3").await.unwrap());
    for ended in [Ended::Failed, Ended::Deferred, Ended::Settled] {
        assert!(!ledger.end("a", "3", ended).await.unwrap(), "its lease was lost");
    }
    ledger.begin("b", "5").await.unwrap();
    let known = ledger.look(&["a", "b", "c"]).await.unwrap();
    assert_eq!((known["a"], known["b"], known.get("c")), (tries(1, 1), tries(0, 0), None));
    assert!(ledger.end("a", "4", Ended::Failed).await.unwrap());
    assert_eq!(ledger.begin("a", "4").await.unwrap(), tries(2, 1));
    assert!(ledger.end("a", "4", Ended::Deferred).await.unwrap());
    assert_eq!(ledger.begin("a", "4").await.unwrap(), tries(2, 0), "losses count in a row");
    assert!(ledger.end("a", "4", Ended::Settled).await.unwrap());
    assert_eq!(ledger.begin("a", "6").await.unwrap(), tries(0, 0), "settling deletes the entry");
    ledger.forget("a").await.unwrap();
    assert!(!ledger.holds("a", "6").await.unwrap());
    assert_eq!(ledger.look(&["a", "b"]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn in_memory() {
    let ledger = MemoryLedger::new(Arc::new(ManualClock::default()));
    counts_failures_and_losses_but_not_deferrals(&ledger).await;
}

#[tokio::test]
async fn in_sqlite() {
    let test = database::testing::TestDatabase::sqlite().await;
    in_database(test.connect().await).await;
}

#[tokio::test]
async fn in_postgres() {
    let test = database::testing::TestDatabase::postgres().await;
    in_database(test.connect().await).await;
}

async fn in_database(database: Database) {
    let clock = ManualClock::default();
    let ledger = DatabaseLedger::new(database, Arc::new(clock.clone()));
    counts_failures_and_losses_but_not_deferrals(&ledger).await;
    clock.advance(std::time::Duration::from_secs(15 * 24 * 3600));
    ledger.begin("young", "7").await.unwrap();
    clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(ledger.sweep().await.unwrap(), 1, "older than the retention of SQS");
    assert_eq!(ledger.look(&["young", "b"]).await.unwrap().len(), 1);
}
