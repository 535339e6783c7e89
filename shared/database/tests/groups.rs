//! Writes of several callers in one transaction.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use database::testing::TestDatabase;
use database::{Backend, Connection, Database, DatabaseError, Group, GroupWrite, Rows};
use futures::future::join_all;
use on_both::on_both;
use tokio::sync::Semaphore;

/// Inserts rows of `owner_load`, whose key is the owner. Records the groups in which it did, once a permit
/// lets it.
struct Inserts {
    groups: Arc<Mutex<Vec<usize>>>,
    permits: Arc<Semaphore>,
}

#[async_trait]
impl GroupWrite for Inserts {
    type Call = &'static str;
    type Reply = &'static str;

    async fn write(
        &self,
        connection: &mut Connection,
        owners: &[&'static str],
    ) -> Result<Vec<&'static str>, DatabaseError> {
        self.permits.acquire().await.unwrap().forget();
        self.groups.lock().unwrap().push(owners.len());
        let mut rows = Rows::new(["owner", "day"]);
        for owner in owners {
            rows.push([(*owner).into(), 1.into()]);
        }
        let insert = "INSERT INTO owner_load (owner, day, today, open) SELECT owner, day, 0, 0 FROM given";
        rows.execute(connection, insert).await?;
        Ok(owners.to_vec())
    }
}

struct Fixture {
    group: Group<Inserts>,
    groups: Arc<Mutex<Vec<usize>>>,
    permits: Arc<Semaphore>,
}

fn fixture(database: &Database) -> Fixture {
    let (groups, permits) = (Arc::<Mutex<Vec<usize>>>::default(), Arc::new(Semaphore::new(0)));
    let write = Inserts { groups: Arc::clone(&groups), permits: Arc::clone(&permits) };
    Fixture { group: Group::new(database.clone(), write), groups, permits }
}

async fn owners(database: &Database) -> Vec<String> {
    let owners = "SELECT owner FROM owner_load ORDER BY owner";
    sqlx::query_scalar(owners).fetch_all(database.pool()).await.unwrap()
}

#[on_both]
async fn writes_that_wait_share_a_transaction(test: TestDatabase) {
    let database = test.connect().await;
    let Fixture { group, groups, permits } = fixture(&database);
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let calls = join_all(names.map(|name| group.call(name, name)));
    let (replies, ()) = futures::join!(calls, async { permits.add_permits(8) });
    assert_eq!(replies.into_iter().map(Result::unwrap).collect::<Vec<_>>(), names);
    let groups = groups.lock().unwrap().clone();
    assert!(groups[0] == 1 && groups.len() <= 3, "the first is not kept waiting: {groups:?}");
    assert_eq!(owners(&database).await, names);
}

#[on_both]
async fn write_that_the_database_refuses_fails_alone(test: TestDatabase) {
    let database = test.connect().await;
    let Fixture { group, permits, .. } = fixture(&database);
    permits.add_permits(100);
    group.call("twice", "twice").await.unwrap();
    let replies = join_all(["a", "b", "twice", "c", "d"].map(|name| group.call(name, name))).await;
    let refused: Vec<_> = replies.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, false, true, false, false]);
    assert_eq!(owners(&database).await, ["a", "b", "c", "d", "twice"]);
}

#[on_both]
async fn writes_with_one_key_are_made_in_order(test: TestDatabase) {
    let database = test.connect().await;
    let Fixture { group, groups, permits } = fixture(&database);
    permits.add_permits(100);
    join_all(["a", "b", "c"].map(|name| group.call("key", name))).await;
    assert_eq!(*groups.lock().unwrap(), [1, 1, 1]);
}

#[tokio::test]
async fn unavailable_database_fails_every_write_once() {
    let test = TestDatabase::sqlite().await;
    let database = test.connect().await;
    let Fixture { group, groups, permits } = fixture(&database);
    permits.add_permits(100);
    database.close().await;
    let replies = join_all(["a", "b", "c"].map(|name| group.call(name, name))).await;
    assert!(replies.iter().all(Result::is_err));
    assert_eq!(*groups.lock().unwrap(), [0; 0], "no write is tried by itself");
}

#[on_both]
async fn statement_takes_any_number_of_rows(test: TestDatabase) {
    let database = test.connect().await;
    for number in [0_usize, 1, 3, 64, 65, 200] {
        let mut transaction = database.begin().await.unwrap();
        let mut rows = Rows::new(["name", "number", "word"]);
        for n in 0..number {
            let word = (n % 2 == 0).then(|| "even".to_owned());
            rows.push([format!("{n}").into(), i64::try_from(n).unwrap().into(), word.into()]);
        }
        let read = "SELECT name, number, word FROM given";
        let found = rows.fetch_all(&mut transaction, read).await.unwrap();
        assert_eq!(found.len(), number);
        for (n, row) in found.iter().enumerate() {
            use sqlx::Row as _;
            let word = (n % 2 == 0).then_some("even");
            assert_eq!(row.get::<String, _>("name"), n.to_string());
            assert_eq!(row.get::<i64, _>("number"), i64::try_from(n).unwrap());
            assert_eq!(row.get::<Option<String>, _>("word").as_deref(), word);
        }
    }
}

#[on_both]
async fn rows_keep_every_text_and_number(test: TestDatabase) {
    use sqlx::Row as _;
    let texts = [
        "",
        " ",
        "a\"b",
        r"\ \u0041 \n",
        "'; DROP TABLE lead; --",
        "line\nline\ttab\u{1}",
        "😀 é",
        "null",
        "[1]",
    ];
    let numbers = [i64::MIN, -1, 0, 1, i64::MAX];
    let database = test.connect().await;
    let mut transaction = database.begin().await.unwrap();
    let mut rows = Rows::new(["key", "number"]);
    for (place, text) in texts.iter().enumerate() {
        rows.push([(*text).into(), numbers[place % numbers.len()].into()]);
    }
    let found = rows.fetch_all(&mut transaction, "SELECT key, number FROM given").await.unwrap();
    let found: Vec<(String, i64)> = found.iter().map(|row| (row.get("key"), row.get("number"))).collect();
    let expected = texts.iter().enumerate().map(|(place, text)| ((*text).to_owned(), numbers[place % 5]));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn arriving_write_goes_ahead_of_those_that_wait() {
    let test = TestDatabase::sqlite().await;
    let database = test.connect().await;
    assert_eq!(database.backend(), Backend::Sqlite);
    let order = Arc::<Mutex<Vec<&str>>>::default();
    let running = database.begin().await.unwrap();
    let waiting = (0..5).map(|_| {
        let (database, order) = (database.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let transaction = database.begin().await.unwrap();
            order.lock().unwrap().push("waiting");
            transaction.commit().await.unwrap();
        })
    });
    let mut tasks: Vec<_> = waiting.collect();
    tokio::task::yield_now().await; // they wait for their turn
    let (ahead, log) = (database.clone(), Arc::clone(&order));
    tasks.push(tokio::spawn(async move {
        let transaction = ahead.begin_ahead().await.unwrap();
        log.lock().unwrap().push("arriving");
        transaction.commit().await.unwrap();
    }));
    tokio::task::yield_now().await;
    running.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    let place = order.lock().unwrap().iter().position(|name| *name == "arriving").unwrap();
    assert!(place <= 1, "{place}");
}
