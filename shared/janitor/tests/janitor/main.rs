//! The janitor's round, over a real store and a real queue, on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "these are tests")]
#![allow(clippy::print_stdout, reason = "figures for a run with --nocapture")]

mod crm_outage;
mod enrichment_retry;
mod faulty_crm;
mod outage;
mod overdue;
mod owner_counts;
mod quarantine;
mod reconcile;
mod rescoring;
mod resume;
mod retention;
mod simulation;
mod support;
mod three_hours;
