//! A daily budget for calls to an outside system.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Dependency, Failure};

/// The wait if only calls in flight exceed the limit: they take seconds, and mostly cost a part of the amount
/// that they hold.
const IN_FLIGHT_WAIT: Duration = Duration::from_secs(15);

/// The longest single wait, so that a raised budget takes effect soon.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A day in UTC, counted in days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    /// The day that contains `moment`.
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.as_second().div_euclid(DAY_SECONDS))
    }

    /// The end of the day.
    pub fn end(self) -> Timestamp {
        Timestamp::from_second((self.0 + 1).saturating_mul(DAY_SECONDS)).unwrap_or(Timestamp::MAX)
    }
}

/// The outcome of an attempt to hold an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The amount is held.
    Held,
    /// The amount is not held, but may be available once the holds of other calls are settled.
    UnderWay,
    /// The amount is not held, and will not be available on this day.
    Spent,
}

/// A store of the amounts spent and held, shared between processes. Amounts are in millionths of a US dollar.
#[async_trait]
pub trait Spending: Send + Sync {
    /// Atomically holds an amount on a day if the sum of spent and held amounts stays within the limit.
    async fn hold(
        &self,
        dependency: &Dependency,
        day: Day,
        amount: u64,
        limit: u64,
    ) -> Result<Taken, Failure>;

    /// Replaces a held amount by the amount that was spent.
    async fn settle(&self, dependency: &Dependency, day: Day, held: u64, spent: u64) -> Result<(), Failure>;
}

/// A limit on the daily (UTC) cost of one kind of outside system. It defers calls rather than overspends.
///
/// The maximum cost of a call is held before the call and replaced by the actual cost afterwards. If the
/// process dies in between, the hold stays for the rest of the day, because the call may have been charged.
pub struct Budget {
    dependency: Dependency,
    limit: u64,
    spending: Arc<dyn Spending>,
    clock: Arc<dyn Clock>,
}

/// An amount held for one call. Without [`Budget::settle`] it stays held.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    day: Day,
    amount: u64,
}

impl Hold {
    /// The amount, in millionths of a US dollar.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Budget {
    /// Creates a budget of `limit` millionths of a US dollar a day. `dependency` is the name that its
    /// deferrals carry.
    pub fn new(
        dependency: Dependency,
        limit: u64,
        spending: Arc<dyn Spending>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { dependency, limit, spending, clock }
    }

    /// The limit of a day, in millionths of a US dollar.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Holds the maximum cost of a call. If the budget does not allow it, this fails with the deferral
    /// `budget_spent`: for 15 seconds if calls in flight hold the rest, otherwise until the end of the day,
    /// at most 15 minutes at a time.
    pub async fn hold(&self, amount: u64) -> Result<Hold, Failure> {
        let now = self.clock.now();
        let day = Day::of(now);
        let wait = match self.spending.hold(&self.dependency, day, amount, self.limit).await? {
            Taken::Held => return Ok(Hold { day, amount }),
            Taken::UnderWay => IN_FLIGHT_WAIT,
            Taken::Spent => {
                Duration::try_from(day.end().duration_since(now)).unwrap_or_default().min(LONGEST_WAIT)
            }
        };
        Err(Failure::deferral(
            self.dependency.clone(),
            "budget_spent",
            "the rest of the daily budget is less than the maximum cost of another call",
            Some(wait),
        ))
    }

    /// Replaces the held amount by the actual cost of the call.
    pub async fn settle(&self, hold: Hold, spent: u64) -> Result<(), Failure> {
        self.spending.settle(&self.dependency, hold.day, hold.amount, spent).await
    }
}

#[cfg(test)]
mod tests {
    use lead::{FailureClass, ManualClock};

    use super::*;
    use crate::testing::MemorySpending;

    fn budget(limit: u64) -> (Budget, ManualClock) {
        let clock = ManualClock::default();
        let spending = Arc::new(MemorySpending::default());
        (Budget::new(Dependency::new("ai.budget"), limit, spending, Arc::new(clock.clone())), clock)
    }

    #[tokio::test]
    async fn spent_budget_defers_until_the_next_day() {
        let (budget, clock) = budget(100);
        clock.advance(Duration::from_hours(1));
        let hold = budget.hold(60).await.unwrap();
        budget.settle(hold, 50).await.unwrap();
        let refusal = budget.hold(51).await.unwrap_err();
        assert_eq!((refusal.class(), refusal.code.as_ref()), (FailureClass::Deferral, "budget_spent"));
        assert_eq!(refusal.retry_after(), Some(LONGEST_WAIT));
        let hold = budget.hold(50).await.unwrap();
        budget.settle(hold, 50).await.unwrap();
        clock.advance(Duration::from_mins(22 * 60 + 55));
        assert_eq!(budget.hold(1).await.unwrap_err().retry_after(), Some(Duration::from_mins(5)));
        clock.advance(Duration::from_mins(5));
        assert_eq!(budget.hold(100).await.unwrap().amount(), 100, "a new day");
    }

    #[tokio::test]
    async fn budget_held_by_calls_in_flight_defers_for_seconds() {
        let (budget, _) = budget(100);
        let hold = budget.hold(90).await.unwrap();
        assert_eq!(budget.hold(20).await.unwrap_err().retry_after(), Some(IN_FLIGHT_WAIT));
        budget.settle(hold, 10).await.unwrap();
        assert!(budget.hold(90).await.is_ok());
    }

    #[tokio::test]
    async fn hold_of_yesterday_is_settled_on_yesterday() {
        let (budget, clock) = budget(100);
        let hold = budget.hold(100).await.unwrap();
        clock.advance(Duration::from_hours(24));
        budget.settle(hold, 100).await.unwrap();
        assert!(budget.hold(100).await.is_ok());
    }
}
