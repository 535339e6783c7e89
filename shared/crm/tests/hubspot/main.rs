//! Tests of the `HubSpot` executor against a stateful fake, which is verified with `HubSpot`'s own client.
//!
//! The tests assert on the state of the fake account.

#![allow(clippy::unwrap_used, reason = "a test whose helper cannot go on has failed")]

mod access;
mod adopted;
mod calls;
mod conformance;
mod exactly_once;
mod merged;
mod people;
mod refusals;
mod setup;
mod support;
mod variations;
