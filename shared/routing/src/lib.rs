//! Who gets a lead: ordered rules over facts and verdicts, weighted pools, caps.
//!
//! Nothing here does I/O or knows the time. A [`Routing`] is read from a versioned TOML file (`config/routing.toml` is the
//! one that is part of the program, and documents every key); [`Routing::route`] is a function of the lead's facts and of
//! the [`Counters`], which whoever calls it keeps. The same facts and counters always give the same [`Routed`], and that
//! says why: which rule matched, which were passed over and what for, which member of the pool had its turn.

mod condition;
mod config;
mod counters;
mod error;
mod owner;
mod pool;
mod route;
mod validate;

pub use condition::LeadFacts;
pub use config::{OnBreach, Routing};
pub use counters::{Counters, Load};
pub use error::RoutingError;
pub use owner::OwnerId;
pub use route::{Member, Outcome, PassedOver, Routed, Timer};
