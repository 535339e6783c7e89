//! Circuit breakers ([`CircuitBreaker`]) and daily budgets ([`Budget`]) for calls to outside systems.
//!
//! Their state is kept behind [`Health`] and [`Spending`], which processes share: a failure that one process
//! meets counts for all of them.

mod breaker;
mod budget;
mod health;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use self::breaker::{BreakerSettings, CircuitBreaker, NoPermit, Permit};
pub use self::budget::{Budget, Day, Hold, Spending, Taken};
pub use self::health::{Health, HealthChange, HealthRecord, Open, OpenCause};
