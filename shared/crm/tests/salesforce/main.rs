//! The Salesforce executor before a stateful fake of Salesforce, which jsforce and simple-salesforce have proved.
#![allow(clippy::unwrap_used, reason = "a test")]

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
