use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Dependency, Failure};

/// How long to wait where only calls that are under way stand in the way: they take seconds, and mostly cost a part of
/// what they hold.
const UNDER_WAY_WAIT: Duration = Duration::from_secs(15);

/// The longest wait at a time, so that a budget that was raised counts soon.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    /// The day of a moment.
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.as_second().div_euclid(DAY_SECONDS))
    }

    /// When it is over.
    pub fn end(self) -> Timestamp {
        Timestamp::from_second((self.0 + 1).saturating_mul(DAY_SECONDS)).unwrap_or(Timestamp::MAX)
    }
}

/// What became of a wish to hold money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is held.
    Held,
    /// It is not, but may be once what others hold is settled.
    UnderWay,
    /// It is not, and will not be on this day.
    Spent,
}

/// Where it is kept what was spent, so that processes share it. Amounts are millionths of a US dollar.
#[async_trait]
pub trait Spending: Send + Sync {
    /// Holds an amount of a day, if what is spent and held stays within the limit. One step that no other comes between.
    async fn hold(
        &self,
        dependency: &Dependency,
        day: Day,
        amount: u64,
        limit: u64,
    ) -> Result<Taken, Failure>;

    /// Puts what was really spent in the place of what was held.
    async fn settle(&self, dependency: &Dependency, day: Day, held: u64, spent: u64) -> Result<(), Failure>;
}

/// A limit on what a kind of outside system may cost in a day (UTC). It defers rather than overspends.
///
/// The most that a call can cost is held before it is made, and what it did cost put in its place afterwards. A process
/// that dies in between leaves its hold standing for the day: the call may have been charged for.
pub struct Budget {
    dependency: Dependency,
    limit: u64,
    spending: Arc<dyn Spending>,
    clock: Arc<dyn Clock>,
}

/// Money held for one call. Not settled, it stays held.
#[derive(Debug)]
#[must_use]
pub struct Hold {
    day: Day,
    amount: u64,
}

impl Hold {
    /// How much, in millionths of a US dollar.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Budget {
    /// A budget of `limit` millionths of a US dollar a day, under the name that its deferrals bear.
    pub fn new(
        dependency: Dependency,
        limit: u64,
        spending: Arc<dyn Spending>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { dependency, limit, spending, clock }
    }

    /// What a day may cost, in millionths of a US dollar.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Holds the most that a call can cost. Where it is not left this is a deferral, `budget_spent`: to the end of the day, a
    /// quarter of an hour at a time, or for some seconds where calls under way hold it.
    pub async fn hold(&self, amount: u64) -> Result<Hold, Failure> {
        let now = self.clock.now();
        let day = Day::of(now);
        let wait = match self.spending.hold(&self.dependency, day, amount, self.limit).await? {
            Taken::Held => return Ok(Hold { day, amount }),
            Taken::UnderWay => UNDER_WAY_WAIT,
            Taken::Spent => {
                Duration::try_from(day.end().duration_since(now)).unwrap_or_default().min(LONGEST_WAIT)
            }
        };
        Err(Failure::deferral(
            self.dependency.clone(),
            "budget_spent",
            "what the day's budget leaves is less than another call may cost",
            Some(wait),
        ))
    }

    /// Puts what a call did cost in the place of what was held for it.
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
    async fn what_is_not_left_is_deferred_and_the_next_day_has_a_budget_of_its_own() {
        let (budget, clock) = budget(100);
        clock.advance(Duration::from_hours(1));
        let hold = budget.hold(60).await.unwrap();
        budget.settle(hold, 50).await.unwrap();
        let refusal = budget.hold(51).await.unwrap_err();
        assert_eq!((refusal.class, refusal.code.as_ref()), (FailureClass::Deferral, "budget_spent"));
        assert_eq!(refusal.retry_after, Some(LONGEST_WAIT));
        let hold = budget.hold(50).await.unwrap();
        budget.settle(hold, 50).await.unwrap();
        clock.advance(Duration::from_mins(22 * 60 + 55));
        assert_eq!(budget.hold(1).await.unwrap_err().retry_after, Some(Duration::from_mins(5)));
        clock.advance(Duration::from_mins(5));
        assert_eq!(budget.hold(100).await.unwrap().amount(), 100, "a new day");
    }

    #[tokio::test]
    async fn what_is_held_by_calls_under_way_is_waited_for() {
        let (budget, _) = budget(100);
        let hold = budget.hold(90).await.unwrap();
        assert_eq!(budget.hold(20).await.unwrap_err().retry_after, Some(UNDER_WAY_WAIT));
        budget.settle(hold, 10).await.unwrap();
        assert!(budget.hold(90).await.is_ok());
    }

    #[tokio::test]
    async fn what_was_held_yesterday_is_settled_yesterday() {
        let (budget, clock) = budget(100);
        let hold = budget.hold(100).await.unwrap();
        clock.advance(Duration::from_hours(24));
        budget.settle(hold, 100).await.unwrap();
        assert!(budget.hold(100).await.is_ok());
    }
}
