//! `HubSpot` as a CRM, before the fake that `HubSpot`'s own client takes for the real one. What counts is the fake's state.

#![allow(clippy::unwrap_used, reason = "a test whose helper cannot go on has failed")]

mod access;
mod adopted;
mod conformance;
mod exactly_once;
mod merged;
mod people;
mod refusals;
mod setup;
mod support;
mod variations;
