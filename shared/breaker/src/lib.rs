//! When not to ask an outside system: it is down ([`Breaker`]), or it has cost enough for today ([`Budget`]).
//!
//! Both are kept where processes share them ([`Health`], [`Spending`]), so that what one finds out all know.

mod breaker;
mod budget;
mod health;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use self::breaker::{Breaker, BreakerSettings, Passage};
pub use self::budget::{Budget, Day, Hold, Spending, Taken};
pub use self::health::{Health, HealthChange, HealthRecord, Open};
