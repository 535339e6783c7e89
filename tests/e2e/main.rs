//! The product from a user's point of view: the binary, its HTTP interface, its logs.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures, shown with --nocapture")]

mod ai;
mod answers;
mod bullmq;
mod cost;
mod crashes;
mod credentials;
mod crm_campaign;
mod description;
mod enrichment;
mod first_lead;
mod half_open;
mod hubspot;
mod privacy;
mod readiness;
mod redis;
mod returns;
mod salesforce;
mod senders;
mod sqs;
mod support;
mod timeouts;
#[cfg(feature = "otlp")]
mod traces;
