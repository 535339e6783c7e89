//! The states of a delivery and the transitions between them. Every transition changes the delivery, its
//! lead's status and the audit trail in one transaction.
//!
//! [`rows`] reads deliveries and [`transitions`] holds the statements that change their state. Above them,
//! [`reopen`] opens a delivery again, [`accept`] (with [`repeat`]) takes one in, and the other modules are
//! the steps of the work on it.

mod accept;
mod accept_many;
mod begin;
mod dead_letter;
mod finish;
mod pending;
mod reopen;
mod repeat;
mod restore;
mod retry;
mod review;
mod rows;
mod synthetic;
mod transitions;
mod unenriched;

pub use accept::Accept;
pub use accept_many::Notes;
pub use begin::Begun;
pub use finish::Finish;
pub use review::{ReviewDecision, Reviewed, Verdict};
pub(crate) use rows::state_of;
pub(crate) use transitions::{close, close_all};
pub(crate) use unenriched::schedule as schedule_enrichment;
pub use unenriched::{MAX_ENRICH_TRIES, Unenriched};
