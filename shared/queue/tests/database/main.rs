//! The database queue on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod conformance;
mod half_open;
mod isolation;
mod logs;
mod model;
mod support;
mod transaction;
mod wakeups;
mod worker;
