use async_trait::async_trait;
use database::{from_millis, to_millis};
use enrichment::{Cache, Kept};
use jiff::Timestamp;
use lead::Failure;

use crate::codec::{Columns as _, to_json};
use crate::{Result, Store};

/// The number of expired answers deleted with each new one: more than one, so that the table stays bounded by
/// the answers in use.
const EXPIRED_REMOVED: i64 = 4;

#[async_trait]
impl Cache for Store {
    async fn load(&self, provider: &str, domain: &str) -> Result<Option<Kept>, Failure> {
        let query = sqlx::query(
            "SELECT answer, fetched_at, expires_at FROM enrichment_answer WHERE provider = $1 AND domain = $2",
        );
        let row = self.row(query.bind(provider).bind(domain)).await?;
        let Some(row) = row else { return Ok(None) };
        match (row.optional_json("answer")?, row.optional_number("fetched_at")?) {
            (Some(answer), Some(fetched_at)) => Ok(Some(Kept {
                answer,
                fetched_at: from_millis(fetched_at),
                expires_at: row.time("expires_at")?,
            })),
            _ => Ok(None),
        }
    }

    async fn claim(
        &self,
        provider: &str,
        domain: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Failure> {
        let query = sqlx::query(
            "INSERT INTO enrichment_answer (provider, domain, expires_at, claimed_until) VALUES ($1, $2, $4, $4) \
             ON CONFLICT (provider, domain) DO UPDATE SET claimed_until = excluded.claimed_until \
             WHERE enrichment_answer.claimed_until <= $3",
        );
        let query = query.bind(provider).bind(domain).bind(to_millis(now)).bind(to_millis(until));
        Ok(self.execute(query).await? == 1)
    }

    async fn keep(&self, provider: &str, domain: &str, kept: &Kept) -> Result<(), Failure> {
        let query = sqlx::query(
            "INSERT INTO enrichment_answer (provider, domain, answer, fetched_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (provider, domain) DO UPDATE SET answer = excluded.answer, fetched_at = excluded.fetched_at, \
             expires_at = excluded.expires_at, claimed_until = 0",
        )
        .bind(provider)
        .bind(domain)
        .bind(to_json(&kept.answer))
        .bind(to_millis(kept.fetched_at))
        .bind(to_millis(kept.expires_at));
        self.execute(query).await?;
        Ok(self.remove_expired(to_millis(kept.fetched_at)).await?)
    }

    async fn release(&self, provider: &str, domain: &str) -> Result<(), Failure> {
        let query =
            sqlx::query("UPDATE enrichment_answer SET claimed_until = 0 WHERE provider = $1 AND domain = $2");
        self.execute(query.bind(provider).bind(domain)).await?;
        Ok(())
    }
}

impl Store {
    /// Deletes a few expired answers, in a fixed order, so that concurrent callers do not wait for each
    /// other.
    async fn remove_expired(&self, now: i64) -> Result<()> {
        let query = sqlx::query(
            "SELECT provider, domain FROM enrichment_answer WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2",
        );
        let expired = self.rows(query.bind(now).bind(EXPIRED_REMOVED)).await?;
        for row in &expired {
            let query = sqlx::query(
                "DELETE FROM enrichment_answer \
                 WHERE provider = $1 AND domain = $2 AND expires_at <= $3 AND claimed_until <= $3",
            );
            self.execute(query.bind(row.text("provider")?).bind(row.text("domain")?).bind(now)).await?;
        }
        Ok(())
    }
}
