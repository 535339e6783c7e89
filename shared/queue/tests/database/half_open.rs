//! A PostgreSQL server that disappears without closing its connections: they stay open, and nothing arrives
//! on them any more.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use database::Database;
use database::testing::TestDatabase;
use lead::{Failure, SystemClock};
use queue::{DatabaseQueue, LeadHandler, LeadQueue, Message, Settlement, Worker};
use testkit::HalfOpen;
use tokio_util::sync::CancellationToken;

use crate::worker::{event, until, until_empty};

/// A handler that writes to the database. It cuts all connections once the first [`AT_ONCE`] messages are in
/// progress.
struct WritingHandler {
    database: Database,
    proxy: Arc<HalfOpen>,
    begun: AtomicU32,
    done: AtomicU32,
}

const AT_ONCE: u32 = 4;

#[async_trait]
impl LeadHandler for WritingHandler {
    async fn handle(&self, _message: &Message) -> Result<(), Failure> {
        let mut transaction = self.database.begin().await?;
        if self.begun.fetch_add(1, Ordering::SeqCst) + 1 == AT_ONCE {
            self.proxy.kill_connections();
        }
        while self.begun.load(Ordering::SeqCst) < AT_ONCE {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        sqlx::query("SELECT 1").execute(&mut *transaction).await.map_err(database::DatabaseError::from)?;
        transaction.commit().await?;
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn record(&self, _message: &Message, _outcome: &Settlement) -> Result<(), Failure> {
        Ok(())
    }
}

/// A pool on a test's database, through a proxy that can cut its connections.
async fn through_a_proxy(test: &TestDatabase) -> (Arc<HalfOpen>, Database) {
    let url = url::Url::parse(test.url()).unwrap();
    let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
    let proxy = Arc::new(HalfOpen::before(&target));
    let mut through = url.clone();
    through.set_host(Some("127.0.0.1")).unwrap();
    through.set_port(Some(proxy.address().port())).unwrap();
    let database = Database::connect(through.as_str(), AT_ONCE + 2).await.unwrap();
    (proxy, database.with_statement_limit(Duration::from_secs(5)))
}

/// Returns the failure of `answer`. Panics if it takes a minute or succeeds.
async fn failure_of<T, E: std::fmt::Display>(
    what: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> String {
    let answer = tokio::time::timeout(Duration::from_mins(1), answer).await;
    match answer.unwrap_or_else(|_| panic!("{what} hangs")) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{what} succeeds without a connection"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_step_of_a_transaction_outlasts_its_limit() {
    let test = TestDatabase::postgres().await;
    let (proxy, database) = through_a_proxy(&test).await;
    let mut writing = database.begin().await.unwrap();
    let mut reading = database.pool().acquire().await.unwrap();
    let committing = database.begin().await.unwrap();
    let dropped = database.begin().await.unwrap();
    proxy.kill_connections();
    drop(dropped);
    let statement = sqlx::query("SELECT 1").execute(&mut *writing);
    let read = sqlx::query("SELECT 1").fetch_optional(&mut reading);
    let (statement, read, commit) = tokio::join!(
        failure_of("a statement", statement),
        failure_of("a read", read),
        failure_of("a commit", committing.commit()),
    );
    for failure in [statement, read, commit] {
        assert!(failure.contains("no answer within 5 s"), "{failure}");
    }
    drop((writing, reading));
    // The pool has recovered, and closes in time.
    tokio::time::timeout(Duration::from_mins(1), database.ping()).await.unwrap().unwrap();
    let _held = database.begin().await.unwrap();
    proxy.kill_connections();
    tokio::time::timeout(Duration::from_mins(1), database.close()).await.expect("it closes in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration_without_an_answer_times_out() {
    let test = TestDatabase::postgres().await;
    let (proxy, database) = through_a_proxy(&test).await;
    let direct = test.connect().await;
    let mut locked = direct.begin().await.unwrap();
    let lock = "LOCK TABLE _sqlx_migrations IN ACCESS EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *locked).await.unwrap();
    let migrating = database.clone().with_migration_limit(Duration::from_secs(10));
    let migrating = tokio::spawn(async move { migrating.migrate().await });
    until("the migration waits for the lock", async || {
        let waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(direct.pool()).await.unwrap();
        waiting > 0 || migrating.is_finished()
    })
    .await;
    proxy.kill_connections();
    drop(locked);
    let failure = failure_of("the migration", async { migrating.await.unwrap() }).await;
    assert!(failure.contains("no answer within 10 s"), "{failure}");
    assert!(database.is_migrated().await.unwrap(), "and the pool works again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leads_finish_after_every_connection_went_half_open() {
    let test = TestDatabase::postgres().await;
    let (proxy, database) = through_a_proxy(&test).await;

    let visibility = Duration::from_secs(20);
    let queue = Arc::new(DatabaseQueue::new(database.clone(), Arc::new(SystemClock), visibility));
    for lead in 0..AT_ONCE {
        queue.send(&event(lead)).await.unwrap();
    }
    let handler = Arc::new(WritingHandler {
        database: database.clone(),
        proxy,
        begun: AtomicU32::default(),
        done: AtomicU32::default(),
    });
    let worker = Worker::new(
        Arc::clone(&queue) as Arc<dyn LeadQueue>,
        Arc::clone(&handler) as Arc<dyn LeadHandler>,
        Arc::new(SystemClock),
        AT_ONCE as usize,
    );
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { worker.run(shutdown).await }
    });
    until("all are done", async || handler.done.load(Ordering::SeqCst) == AT_ONCE).await;
    let direct = test.connect().await;
    until_empty(&DatabaseQueue::new(direct, Arc::new(SystemClock), visibility)).await;
    shutdown.cancel();
    running.await.unwrap();

    // The dead connections do not occupy the pool.
    let mut all = Vec::new();
    for _ in 0..AT_ONCE + 2 {
        all.push(database.begin().await.unwrap());
    }
}
