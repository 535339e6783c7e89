//! The store, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests")]

/// Runs each test on both databases.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::$test($crate::support::Fixture::sqlite().await).await; })+
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { super::$test($crate::support::Fixture::postgres().await).await; })+
        }
    };
}

mod accept;
mod assignments;
mod concurrency;
mod dead_letters;
mod enrichment;
mod erasure;
mod health;
mod hostile;
mod ledger;
mod limits;
mod lists;
mod notes;
mod order;
mod owner_counts;
mod quarantine;
mod reopen;
mod schema;
mod returns;
mod spending;
mod support;
mod waiting;
mod work;
