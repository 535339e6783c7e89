//! Turns of leads under the limits of their sources.

use database::to_millis;
use jiff::Timestamp;
use lead::{DeliveryId, SenderName};
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::{Result, Store};

/// One day in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1000;

/// The limits of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLimits {
    /// How many leads a minute are processed.
    pub per_minute: Option<u32>,
    /// How many leads a day are enriched and judged by the AI.
    pub per_day: Option<u32>,
    /// The cost of the AI a day, in millionths of a US dollar. Leads that are being judged are not counted
    /// yet, so that it may be exceeded by their cost.
    pub ai_microusd_per_day: Option<u64>,
}

impl SourceLimits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

lead::vocabulary! {
    /// The limit above which a lead is judged by the rules on what its sender sent.
    OverLimit {
        /// The source has sent its leads of the day.
        SourceDay = "source_day",
        /// The source has used its share of the AI's budget.
        SourceAiShare = "source_ai_share",
    }
}

/// The turn of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// When work on the delivery may begin.
    pub at: Timestamp,
    /// The limit that it exceeds.
    pub over: Option<OverLimit>,
}

impl Turn {
    pub(crate) fn read(row: &AnyRow) -> Result<Option<Self>> {
        let Some(at) = row.optional_time("turn_at")? else { return Ok(None) };
        let over = row.optional_text("over_limit")?;
        Ok(Some(Self { at, over: over.as_deref().and_then(OverLimit::parse) }))
    }
}

impl Store {
    /// Gives a delivery its turn among those of its source, and counts it. The turn is kept with the
    /// delivery: a repetition returns the same one.
    pub async fn take_turn(
        &self,
        source: &SenderName,
        delivery: &DeliveryId,
        limits: SourceLimits,
    ) -> Result<Turn> {
        let now = self.now_millis();
        let today = now.div_euclid(DAY);
        let mut transaction = self.database.begin().await?;
        // Creates and locks the row.
        let query = sqlx::query(
            "INSERT INTO source_usage (source, day, leads, ai_microusd, next_at) VALUES ($1, $2, 0, 0, $3) \
             ON CONFLICT (source) DO UPDATE SET \
                 leads = CASE WHEN source_usage.day = excluded.day THEN source_usage.leads ELSE 0 END, \
                 ai_microusd = CASE WHEN source_usage.day = excluded.day THEN source_usage.ai_microusd ELSE 0 END, \
                 day = excluded.day \
             RETURNING leads, ai_microusd, next_at",
        );
        let query = query.bind(source.as_str()).bind(today).bind(now);
        let usage = query.fetch_one(&mut *transaction).await?;
        let query = sqlx::query("SELECT turn_at, over_limit FROM delivery WHERE delivery_id = $1");
        let row = query.bind(delivery.as_str()).fetch_optional(&mut *transaction).await?;
        if let Some(turn) = row.as_ref().map(Turn::read).transpose()?.flatten() {
            transaction.commit().await?;
            return Ok(turn);
        }
        let at = usage.number("next_at")?.max(now);
        let leads = usage.number("leads")?;
        let over = if limits.per_day.is_some_and(|most| leads >= i64::from(most)) {
            Some(OverLimit::SourceDay)
        } else {
            let spent = u64::try_from(usage.number("ai_microusd")?).unwrap_or(0);
            limits.ai_microusd_per_day.is_some_and(|most| spent >= most).then_some(OverLimit::SourceAiShare)
        };
        let interval = limits.per_minute.map_or(0, |most| 60_000 / i64::from(most.max(1)));
        let query = sqlx::query("UPDATE source_usage SET leads = leads + 1, next_at = $2 WHERE source = $1");
        query.bind(source.as_str()).bind(at + interval).execute(&mut *transaction).await?;
        let query = sqlx::query("UPDATE delivery SET turn_at = $2, over_limit = $3 WHERE delivery_id = $1");
        let query = query.bind(delivery.as_str()).bind(at).bind(over.map(OverLimit::as_str));
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Turn { at: database::from_millis(at), over })
    }

    /// Adds the cost of a judgement to that of its source.
    pub async fn add_source_cost(&self, source: &SenderName, microusd: i64, at: Timestamp) -> Result<()> {
        let query = sqlx::query(
            "UPDATE source_usage SET ai_microusd = ai_microusd + $3 WHERE source = $1 AND day = $2",
        );
        let today = to_millis(at).div_euclid(DAY);
        self.execute(query.bind(source.as_str()).bind(today).bind(microusd)).await?;
        Ok(())
    }
}
