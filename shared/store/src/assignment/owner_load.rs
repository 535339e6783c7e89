use database::{Connection, to_millis};
use jiff::Timestamp;
use routing::OwnerId;

use crate::codec::Columns as _;
use crate::{Result, Store};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// The result of recounting an owner's open leads from the assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerCount {
    /// The owner.
    pub owner: OwnerId,
    /// The stored count before.
    pub before: i64,
    /// The actual number of open leads: assigned, not responded to, and not parked.
    pub open: i64,
}

impl Store {
    /// Recounts the open leads of one owner from the assignments, and corrects the stored count that routing
    /// uses. Chooses the owner counted longest ago, if that was before `before`; none if all were counted
    /// since then.
    ///
    /// Safe beside concurrent assignments: they change the owner's count in the same transaction, and so
    /// either wait for the lock held here or are included in the count.
    pub async fn recount_owner(&self, before: Timestamp) -> Result<Option<OwnerCount>> {
        let before = to_millis(before);
        loop {
            let query = sqlx::query(
                "SELECT owner FROM owner_load WHERE counted_at < $1 ORDER BY counted_at, owner LIMIT 1",
            );
            let row = self.row(query.bind(before)).await?;
            let Some(row) = row else { return Ok(None) };
            let owner: OwnerId = row.id("owner")?;
            let mut transaction = self.database.begin().await?;
            let kept = sqlx::query(
                "UPDATE owner_load SET counted_at = $3 WHERE owner = $1 AND counted_at < $2 RETURNING open",
            )
            .bind(owner.as_str())
            .bind(before)
            .bind(self.now_millis())
            .fetch_optional(&mut *transaction)
            .await?;
            let Some(kept) = kept else { continue }; // another process was faster
            // A separate statement after the lock: on PostgreSQL it sees all changes committed until then.
            let query = sqlx::query_scalar(
                "SELECT COUNT(*) FROM lead_assignment WHERE owner = $1 AND responded_at IS NULL AND parked = 0",
            );
            let open: i64 = query.bind(owner.as_str()).fetch_one(&mut *transaction).await?;
            let before = kept.number("open")?;
            if open != before {
                let query = sqlx::query("UPDATE owner_load SET open = $2 WHERE owner = $1");
                query.bind(owner.as_str()).bind(open).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            return Ok(Some(OwnerCount { owner, before, open }));
        }
    }
}

/// Adds to the number of leads that an owner was assigned today and to the number of their open leads. The
/// former restarts at 0 each day.
pub(super) async fn change_load(
    connection: &mut Connection,
    owner: Option<&OwnerId>,
    now: i64,
    given: i64,
    open: i64,
) -> Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    sqlx::query(
        "INSERT INTO owner_load (owner, day, today, open) VALUES ($1, $2, $3, $4) ON CONFLICT (owner) DO UPDATE \
         SET today = CASE WHEN owner_load.day = excluded.day THEN owner_load.today ELSE 0 END + $3, \
         day = excluded.day, \
         open = CASE WHEN owner_load.open + $5 < 0 THEN 0 ELSE owner_load.open + $5 END",
    )
    .bind(owner.as_str())
    .bind(day(now))
    .bind(given)
    .bind(open.max(0))
    .bind(open)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn day(now: i64) -> i64 {
    now.div_euclid(DAY_MS)
}
