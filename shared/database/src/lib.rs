//! One connection pool and one set of migrations for SQLite and PostgreSQL.
//!
//! Every statement of the product is written once, in SQL that both understand unchanged (see
//! `docs/architecture.md`): JSON as text, times as milliseconds since 1970 UTC, whole numbers as `BIGINT`,
//! `INSERT .. ON CONFLICT .. RETURNING`, and nothing that only one of them has. What differs between the two
//! lives in this crate alone: how to connect, and how a writing transaction begins.

mod connect;
mod connection;
mod error;
#[cfg(feature = "sqlite")]
mod file;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod transaction;

pub use connect::{Backend, Database, Traces};
pub use connection::{Connection, Pool, STATEMENT_LIMIT};
pub use error::DatabaseError;
#[cfg(feature = "sqlite")]
pub use file::sqlite_file;
pub use time::{from_millis, to_millis};
pub use transaction::WriteTransaction;
