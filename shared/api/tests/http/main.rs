//! Every endpoint over a real store, queue and pipeline. The client in `support` checks each answer against
//! the OpenAPI description.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod access;
mod actors;
mod crm;
mod failures;
mod lists;
mod one_lead;
mod operators;
mod parked;
mod pauses;
mod people;
mod service;
mod support;
