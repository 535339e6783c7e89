//! Lead routing: ordered rules over facts and verdicts, weighted pools, caps.
//!
//! This crate does no I/O and reads no clock. A [`Routing`] is parsed from a versioned TOML file. The
//! built-in file `config/routing.toml` documents every key. [`Routing::route`] is a pure function of the
//! lead's facts and the [`Counters`], which the caller stores. Its result, [`Routed`], contains the reasons:
//! the matching rule, the skipped rules with the reason for each, and the pool member that had the next turn.

mod condition;
mod config;
mod counters;
mod error;
mod member;
mod owner;
mod pool;
mod route;
mod validate;

pub use condition::LeadFacts;
pub use config::{OnBreach, Routing};
pub use counters::{Counters, Load};
pub use error::RoutingError;
pub use member::{Member, Outcome};
pub use owner::OwnerId;
pub use route::{PassedOver, Routed, Timer};
