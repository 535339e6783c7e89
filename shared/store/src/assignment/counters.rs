use std::collections::BTreeMap;

use database::Connection;
use routing::{Counters, Load};

use super::owner_load::day;
use crate::Result;
use crate::codec::Columns as _;

/// Reads the counters, and locks them against every other process until the transaction ends. Lock order:
/// always after the lead's row.
pub(super) async fn lock_counters(connection: &mut Connection, now: i64) -> Result<Counters> {
    sqlx::query(
        "INSERT INTO routing_turn (pool, owner, credit) VALUES ('', '', 0) \
         ON CONFLICT (pool, owner) DO UPDATE SET credit = routing_turn.credit",
    )
    .execute(&mut *connection)
    .await?;
    let turns =
        sqlx::query("SELECT pool, owner, credit FROM routing_turn").fetch_all(&mut *connection).await?;
    let loads =
        sqlx::query("SELECT owner, day, today, open FROM owner_load").fetch_all(&mut *connection).await?;
    let mut counters = Counters::default();
    for row in &turns {
        counters.credits.insert((row.text("pool")?, row.text("owner")?), row.number("credit")?);
    }
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    for row in &loads {
        let today = if row.number("day")? == day(now) { count(row.number("today")?) } else { 0 };
        counters.loads.insert(row.id("owner")?, Load { today, open: count(row.number("open")?) });
    }
    Ok(counters)
}

pub(super) async fn save_credits(
    connection: &mut Connection,
    credits: &BTreeMap<(String, String), i64>,
) -> Result<()> {
    for ((pool, owner), credit) in credits {
        let query = sqlx::query(
            "INSERT INTO routing_turn (pool, owner, credit) VALUES ($1, $2, $3) \
             ON CONFLICT (pool, owner) DO UPDATE SET credit = excluded.credit",
        );
        query.bind(pool).bind(owner).bind(*credit).execute(&mut *connection).await?;
    }
    Ok(())
}
