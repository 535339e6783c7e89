//! The outside systems as fakes: each behaves as its maker documents it, keeps state where the real one does, and can be
//! told to misbehave.
//!
//! A fake is a module that gives an [`axum::Router`] and, where it keeps something, a handle to look at it. [`Fake::serve`]
//! puts it on a port of its own, writes down what it was asked, and stands in its way as [`Fault`]s say: an error, a
//! delay, a connection that breaks before or after the work was done.
//!
//! The same fakes serve the tests and `revenueflow sandbox`; each is proved by a client that somebody else wrote.

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
