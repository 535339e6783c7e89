//! Processing of leads by the pipeline, on SQLite and on PostgreSQL: the writes, and the state after an
//! interruption.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod crashes;
mod crm;
mod deliveries;
mod earlier;
mod evaluate;
mod failures;
mod grounding;
mod hold;
mod injection;
mod messages;
mod replay;
mod rollback;
mod routing;
mod senders;
mod stages;
mod support;
mod suppression;
mod synthetic;
mod worker;
