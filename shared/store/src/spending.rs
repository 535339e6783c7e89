use async_trait::async_trait;
use breaker::{Day, Spending, Taken};
use lead::{Dependency, Failure};

use crate::codec::Columns as _;
use crate::{Result, Store};

#[async_trait]
impl Spending for Store {
    async fn hold(
        &self,
        dependency: &Dependency,
        day: Day,
        amount: u64,
        limit: u64,
    ) -> Result<Taken, Failure> {
        Ok(self.hold_amount(dependency, day, signed(amount), signed(limit)).await?)
    }

    async fn settle(&self, dependency: &Dependency, day: Day, held: u64, spent: u64) -> Result<(), Failure> {
        let query = sqlx::query(
            "UPDATE spending SET held = held - $3, spent = spent + $4 WHERE dependency = $1 AND day = $2",
        );
        let query = query.bind(dependency.as_str()).bind(day.0).bind(signed(held)).bind(signed(spent));
        self.execute(query).await?;
        Ok(())
    }
}

impl Store {
    async fn hold_amount(&self, dependency: &Dependency, day: Day, amount: i64, limit: i64) -> Result<Taken> {
        let mut transaction = self.database.begin().await?;
        // Creates and locks the row: the amounts read below stay valid until the transaction ends.
        let query = sqlx::query(
            "INSERT INTO spending (dependency, day, held, spent) VALUES ($1, $2, 0, 0) \
             ON CONFLICT (dependency, day) DO UPDATE SET held = spending.held RETURNING held, spent",
        );
        let row = query.bind(dependency.as_str()).bind(day.0).fetch_one(&mut *transaction).await?;
        let (held, spent) = (row.number("held")?, row.number("spent")?);
        if spent.saturating_add(amount) > limit {
            return Ok(Taken::Spent);
        }
        if spent.saturating_add(held).saturating_add(amount) > limit {
            return Ok(Taken::UnderWay);
        }
        let query = sqlx::query("UPDATE spending SET held = held + $3 WHERE dependency = $1 AND day = $2");
        query.bind(dependency.as_str()).bind(day.0).bind(amount).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Taken::Held)
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
