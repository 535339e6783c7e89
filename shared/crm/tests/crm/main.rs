//! Tests of the guard with the mock CRM, on both databases.

#![allow(clippy::unwrap_used, reason = "a panic in a helper fails the test")]

mod conformance;
mod exactly_once;
mod guard;
mod mock;
mod names;
mod old_values;
mod storage;
mod support;
mod telemetry;
