//! Health and spending in memory, for tests and simulations.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use lead::{Dependency, Failure};

use crate::{Day, Health, HealthChange, HealthRecord, Spending, Taken};

/// [`Health`] in memory.
#[derive(Debug, Default)]
pub struct MemoryHealth(Mutex<HashMap<Dependency, HealthRecord>>);

#[async_trait]
impl Health for MemoryHealth {
    async fn load(&self, dependency: &Dependency) -> Result<HealthRecord, Failure> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.get(dependency).cloned().unwrap_or_default())
    }

    async fn update(&self, dependency: &Dependency, change: &mut HealthChange<'_>) -> Result<(), Failure> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(records.entry(dependency.clone()).or_default());
        Ok(())
    }
}

/// [`Spending`] in memory.
#[derive(Debug, Default)]
pub struct MemorySpending(Mutex<HashMap<(Dependency, i64), Amounts>>);

#[derive(Debug, Default)]
struct Amounts {
    held: u64,
    spent: u64,
}

impl MemorySpending {
    /// The amount spent on a day, without held amounts.
    pub fn spent(&self, dependency: &Dependency, day: Day) -> u64 {
        let days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.get(&(dependency.clone(), day.0)).map_or(0, |amounts| amounts.spent)
    }
}

#[async_trait]
impl Spending for MemorySpending {
    async fn hold(
        &self,
        dependency: &Dependency,
        day: Day,
        amount: u64,
        limit: u64,
    ) -> Result<Taken, Failure> {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let amounts = days.entry((dependency.clone(), day.0)).or_default();
        Ok(if amounts.spent + amounts.held + amount <= limit {
            amounts.held += amount;
            Taken::Held
        } else if amounts.spent + amount <= limit {
            Taken::UnderWay
        } else {
            Taken::Spent
        })
    }

    async fn settle(&self, dependency: &Dependency, day: Day, held: u64, spent: u64) -> Result<(), Failure> {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let amounts = days.entry((dependency.clone(), day.0)).or_default();
        amounts.held = amounts.held.saturating_sub(held);
        amounts.spent += spent;
        Ok(())
    }
}
