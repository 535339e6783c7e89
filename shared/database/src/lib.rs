//! One connection pool and one set of migrations for SQLite and PostgreSQL.
//!
//! With few exceptions, which depend on [`Database::backend`], every statement of the product is written
//! once, in SQL that both databases accept unchanged (see `docs/architecture.md`): JSON as text, times as
//! milliseconds since 1970 UTC, whole numbers as `BIGINT`, `INSERT .. ON CONFLICT .. RETURNING`, and no
//! features that only one of them has. The differences in how to connect and in how a writing transaction
//! begins are confined to this crate.

mod connect;
mod connection;
mod error;
#[cfg(feature = "sqlite")]
mod file;
mod group;
mod lead_rows;
mod listener;
mod migrations;
mod rows;
mod shared_reads;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod transaction;

pub use connect::{Backend, Database, Traces};
pub use connection::{Connection, Pool, STATEMENT_LIMIT};
pub use error::DatabaseError;
#[cfg(feature = "sqlite")]
pub use file::sqlite_file;
pub use group::{Group, GroupWrite};
pub use lead_rows::{IdOfLead, LeadRows};
pub use listener::{Listener, announce};
pub use rows::{Cell, Rows};
pub use shared_reads::SharedReads;
pub use time::{from_millis, to_millis};
pub use transaction::WriteTransaction;
