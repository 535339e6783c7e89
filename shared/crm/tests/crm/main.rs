//! Tests of the guard with the mock CRM, on both databases.

#![allow(clippy::unwrap_used, reason = "a test whose helper cannot go on has failed")]

mod conformance;
mod exactly_once;
mod guard;
mod mock;
mod names;
mod old_values;
mod storage;
mod support;
mod telemetry;
