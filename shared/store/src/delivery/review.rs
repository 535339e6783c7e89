use database::Connection;
use jiff::Timestamp;
use lead::{Actor, DeliveryId, LeadEvent, LeadId, LeadStatus};
use serde::Serialize;
use serde_json::json;

use super::rows::event_of_delivery;
use super::transitions::{Opening, open, set_status};
use super::unenriched;
use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, without_nul};
use crate::{Result, Store, Work};

/// A reviewer's decision about a held lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write it to the CRM, without any result of its analysis.
    Approve,
    /// Judge it again.
    Rejudge,
    /// Do nothing with it.
    Dismiss,
}

/// The outcome of a decision.
#[derive(Debug)]
pub enum Reviewed {
    /// The decision is saved. With the event to send, if work follows from it.
    Done(Option<LeadEvent>),
    /// The same decision was made before; nothing has changed. With the event, in case the earlier caller
    /// died before sending it.
    Before(Option<LeadEvent>),
    /// The lead is not held.
    NotHeld(LeadStatus),
    /// There is no such lead.
    Missing,
}

/// A saved decision about a held lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ReviewDecision {
    /// `approved`, `rejudged` or `dismissed`.
    pub decision: String,
    /// The reviewer.
    pub by: String,
    /// The reviewer's reason, if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was made.
    pub at: Timestamp,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Rejudge => "rejudged",
            Self::Dismiss => "dismissed",
        }
    }

    fn audit_kind(self) -> AuditKind {
        match self {
            Self::Approve => AuditKind::ReviewApproved,
            Self::Rejudge => AuditKind::ReviewRejudged,
            Self::Dismiss => AuditKind::ReviewDismissed,
        }
    }
}

impl Store {
    /// Decides about a held lead, once: repeating the decision changes nothing, and a lead that is not held
    /// stays unchanged.
    pub async fn review(
        &self,
        actor: &Actor,
        lead: &LeadId,
        verdict: Verdict,
        reason: Option<&str>,
    ) -> Result<Reviewed> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let query = sqlx::query(
            "SELECT l.status, l.delivery_id, d.round FROM lead l JOIN delivery d ON d.delivery_id = l.delivery_id \
             WHERE l.lead_id = $1",
        );
        let row = query.bind(lead.as_str()).fetch_optional(&mut *transaction).await?;
        let Some(row) = row else { return Ok(Reviewed::Missing) };
        let status = row.word("status", LeadStatus::parse)?;
        let (delivery, round): (DeliveryId, i64) = (row.id("delivery_id")?, row.number("round")?);
        if status != LeadStatus::Held {
            // A new judgement increments the round; the decision that requested it is saved under the round
            // before.
            let decided_at = if verdict == Verdict::Rejudge { round - 1 } else { round };
            let before = decision(&mut transaction, &delivery, decided_at).await?;
            return Ok(if before.as_deref() == Some(verdict.as_str()) {
                let is_open = !status.is_settled();
                let event =
                    if is_open { Some(event_of_delivery(&mut transaction, &delivery).await?) } else { None };
                Reviewed::Before(event)
            } else {
                Reviewed::NotHeld(status)
            });
        }
        sqlx::query(
            "INSERT INTO review_decision (delivery_id, round, lead_id, decision, decided_by, reason, decided_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (delivery_id, round) DO UPDATE \
             SET decision = excluded.decision, decided_by = excluded.decided_by, reason = excluded.reason, \
             decided_at = excluded.decided_at",
        )
        .bind(delivery.as_str())
        .bind(round)
        .bind(lead.as_str())
        .bind(verdict.as_str())
        .bind(actor.as_str())
        .bind(reason.map(without_nul))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let detail = json!({ "reason": reason });
        let kind = verdict.audit_kind();
        audit::append_by(&mut transaction, Some(actor), lead, Some(&delivery), now, kind, &detail).await?;
        let event = if verdict == Verdict::Dismiss {
            set_status(&mut transaction, lead, &delivery, LeadStatus::Dismissed, None, now).await?;
            unenriched::forget(&mut transaction, &delivery).await?;
            None
        } else {
            let opening = Opening { rejudge: verdict == Verdict::Rejudge, ..Opening::default() };
            open(&mut transaction, lead, &delivery, opening, now).await?;
            Some(event_of_delivery(&mut transaction, &delivery).await?)
        };
        transaction.commit().await?;
        Ok(Reviewed::Done(event))
    }

    /// Whether a reviewer has approved writing this judgement of a delivery to the CRM.
    pub async fn is_approved(&self, work: &Work) -> Result<bool> {
        let mut connection = self.database.pool().acquire().await?;
        let decision = decision(&mut connection, &work.delivery_id, work.round).await?;
        Ok(decision.as_deref() == Some(Verdict::Approve.as_str()))
    }

    /// The decisions about a lead, oldest first; at most 100.
    pub async fn review_decisions(&self, lead: &LeadId) -> Result<Vec<ReviewDecision>> {
        let query = sqlx::query(
            "SELECT decision, decided_by, reason, decided_at FROM review_decision WHERE lead_id = $1 \
             ORDER BY decided_at, round LIMIT 100",
        );
        let rows = self.rows(query.bind(lead.as_str())).await?;
        rows.iter()
            .map(|row| {
                Ok(ReviewDecision {
                    decision: row.text("decision")?,
                    by: row.text("decided_by")?,
                    reason: row.optional_text("reason")?,
                    at: row.time("decided_at")?,
                })
            })
            .collect()
    }
}

async fn decision(connection: &mut Connection, delivery: &DeliveryId, round: i64) -> Result<Option<String>> {
    let query =
        sqlx::query_scalar("SELECT decision FROM review_decision WHERE delivery_id = $1 AND round = $2");
    Ok(query.bind(delivery.as_str()).bind(round).fetch_optional(connection).await?)
}
