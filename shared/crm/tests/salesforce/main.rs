//! Tests of the Salesforce executor against a stateful fake, which is verified with jsforce and
//! simple-salesforce.
#![allow(clippy::unwrap_used, reason = "a test")]

mod calls;
mod conformance;
mod exactly_once;
mod facts;
mod fields;
mod left_out;
mod login;
mod merged;
mod refusals;
mod support;
mod variations;
