use std::time::Duration;

use database::Connection;
use lead::{DeliveryId, Failure, FailureKind, LeadEvent, LeadStatus, Scope, Until};
use serde_json::json;

use super::transitions::set_status;
use crate::audit::{self, AuditKind};
use crate::{Result, Store, attempts};

/// The period in which full limits are audited only once for a delivery, in milliseconds.
const LIMIT_AUDIT_MS: i64 = 60 * 60 * 1_000;

impl Store {
    /// Records a failed attempt that will be retried, and counts it at its stage unless it is a deferral;
    /// `deferred` states that it did not count against the lead. A full rate limit is audited at most once an
    /// hour.
    ///
    /// Records nothing for a delivery that is no longer open: another worker also received the message, and
    /// has settled it. `attempt` is the queue's own count.
    pub async fn record_retry(
        &self,
        event: &LeadEvent,
        attempt: u32,
        failure: &Failure,
        after: Duration,
        deferred: bool,
    ) -> Result<()> {
        let (now, lead) = (self.now_millis(), &event.lead_id);
        let mut transaction = self.begin_on(lead).await?;
        if let (delivery, Some(_)) = self.open_delivery(&mut transaction, event).await? {
            let status = LeadStatus::Retrying;
            set_status(&mut transaction, lead, &delivery, status, Some(failure), now).await?;
            let kind = if deferred { AuditKind::Deferred } else { AuditKind::Retrying };
            let counted = attempts::count(&mut transaction, &delivery, failure).await?;
            let attempt = counted.unwrap_or(i64::from(attempt));
            if is_to_be_audited(&mut transaction, &delivery, failure, now).await? {
                let detail = json!({ "attempt": attempt, "failure": failure, "after_ms": after.as_millis() });
                audit::append(&mut transaction, lead, Some(&delivery), now, kind, &detail).await?;
            }
        }
        transaction.commit().await
    }
}

/// Whether a failure goes into the audit trail. A full limit does once an hour, unless another failure comes
/// between or it concerns other leads.
async fn is_to_be_audited(
    connection: &mut Connection,
    delivery: &DeliveryId,
    failure: &Failure,
    now: i64,
) -> Result<bool> {
    let FailureKind::Deferral { scope, until: Until::Elapsed(_) } = &failure.kind else {
        let query = sqlx::query(
            "UPDATE delivery SET limit_audited_at = NULL, limit_scope = NULL WHERE delivery_id = $1",
        );
        query.bind(delivery.as_str()).execute(connection).await?;
        return Ok(true);
    };
    let noted = sqlx::query(
        "UPDATE delivery SET limit_audited_at = $2, limit_scope = $4 WHERE delivery_id = $1 \
         AND (limit_audited_at IS NULL OR limit_audited_at <= $2 - $3 OR limit_scope <> $4)",
    )
    .bind(delivery.as_str())
    .bind(now)
    .bind(LIMIT_AUDIT_MS)
    .bind(if *scope == Scope::Lead { "lead" } else { "all" })
    .execute(connection)
    .await?;
    Ok(noted.rows_affected() == 1)
}
