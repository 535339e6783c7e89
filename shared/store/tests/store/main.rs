//! The store, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod accept;
mod assignments;
mod audit;
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
mod retention;

mod returns;
mod schema;
mod spending;
mod support;
mod waiting;
mod work;
