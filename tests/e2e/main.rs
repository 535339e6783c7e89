//! The product as its users run it: the binary, its HTTP interface, its logs.
#![allow(clippy::unwrap_used, reason = "a test")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "figures, for who runs it with --nocapture")]

mod ai;
mod answers;
mod bullmq;
mod crashes;
mod credentials;
mod crm_campaign;
mod description;
mod enrichment;
mod first_lead;
mod half_open;
mod hubspot;
mod patience;
mod privacy;
mod readiness;
mod redis;
mod returns;
mod salesforce;
mod sqs;
mod support;
#[cfg(feature = "otlp")]
mod traces;
