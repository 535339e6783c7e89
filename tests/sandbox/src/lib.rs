//! Fakes of the outside systems. Each behaves as its vendor documents, keeps state as the real system does,
//! and injects faults on request.
//!
//! A fake is a module with an [`axum::Router`] and, if it has state, a handle to inspect it. [`Fake::serve`]
//! binds it to a port of its own, records its requests, and applies [`Fault`]s: an error, a delay, or a
//! connection that breaks before or after the work is done.
//!
//! Tests and `revenueflow sandbox` use the same fakes. Third-party clients verify each of them.

mod account;
pub mod apollo;
pub mod bedrock;
mod catalogue;
pub mod clearbit;
mod companies;
mod fault;
pub mod gemini;
pub mod hubspot;
pub mod hunter;
mod judge;
pub mod pdl;
pub mod salesforce;
mod script;
mod serve;
pub mod zoominfo;

pub use catalogue::{CATALOGUE, Entry};
pub use fault::{Fault, Misbehaviour};
pub use serve::{Exchange, Fake};
