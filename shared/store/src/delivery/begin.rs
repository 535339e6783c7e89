use std::sync::Arc;

use database::{Connection, to_millis};
use lead::{Arrival, DeliveryId, Failure, FailureKind, LeadEvent, LeadId, LeadStatus};
use serde_json::json;

use super::reopen::reopen_posted_again;
use super::transitions::open_row;
use crate::audit::{self, AuditKind};
use crate::codec::Columns as _;
use crate::lead_changes::{LeadChange, LeadChanges};
use crate::work::select_work;
use crate::{AnalysisRecord, Result, Store, Work};

/// The state in which a worker finds a delivery.
#[derive(Debug)]
pub enum Begun {
    /// There is work to do, from the point at which the last attempt stopped.
    Work(Box<Work>),
    /// The delivery was dead-lettered for this reason, and has not been reopened since.
    DeadLettered(Failure),
    /// Nothing is left to do: the delivery is finished, a newer one has superseded it, or its person was
    /// erased.
    Nothing,
}

impl Store {
    /// Begins work on a delivery: accepts it unless that has already happened, and sets the lead's status.
    pub async fn begin_work(&self, event: &LeadEvent, attempt: u32) -> Result<Begun> {
        let (now, lead) = (self.now_millis(), &event.lead_id);
        let mut transaction = self.begin_on(lead).await?;
        let (delivery, mut row) = self.open_delivery(&mut transaction, event).await?;
        let is_own = delivery == event.delivery_id();
        // A repeated post with the id of an earlier delivery, taken from its `webhook-id` or its content.
        // `open_delivery` has handled the other repeats.
        if row.is_none() && event.arrival != Arrival::Time && is_own {
            let posted_at = Some(to_millis(event.received_at));
            if reopen_posted_again(&mut transaction, lead, &delivery, posted_at, now).await? {
                row = open_row(&mut transaction, lead, &delivery, now).await?;
            }
        }
        let Some(row) = row else {
            // A message that repeats a dead-lettered delivery is not dead-lettered once more.
            let dead_lettered =
                if is_own { dead_letter_reason(&mut transaction, &delivery).await? } else { None };
            transaction.commit().await?;
            return Ok(dead_lettered.map_or(Begun::Nothing, Begun::DeadLettered));
        };
        let failure: Option<Failure> = row.optional_json("failure")?;
        // A lead that waits for a rate limit begins again and again; only the first time is audited.
        if !failure.is_some_and(|failure| failure.ends_by_itself()) {
            let detail = json!({ "attempt": attempt, "round": row.number("round")? });
            audit::append(&mut transaction, lead, Some(&delivery), now, AuditKind::Started, &detail).await?;
        }
        // The first content of a signed webhook counts, even if it was resent with other content.
        let is_same = row.text("content_hash")? == event.content_hash.as_str();
        let content = if is_same { event.lead.clone() } else { row.json("content")? };
        let mut work = Work::read(&row, content)?;
        work.analysis =
            AnalysisRecord::load(&mut transaction, &work.delivery_id, work.round).await?.map(Arc::new);
        // The judgement of a work that was interrupted may not be in the lead's row yet.
        let mut rows = LeadChanges::at(now);
        let (status, analysis) = (Some(LeadStatus::Processing), work.analysis.as_deref());
        rows.push(&LeadChange { lead, status, analysis, written: None, audit: None });
        rows.write(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Begun::Work(Box::new(work)))
    }

    /// The newest delivery of a settled lead, as [`begin_work`](Self::begin_work) would return it, without
    /// beginning work.
    pub async fn settled_work(&self, lead: &LeadId) -> Result<Option<Work>> {
        let mut connection = self.database.pool().acquire().await?;
        let query = sqlx::query(select_work!("l.lead_id = $1 AND d.delivery_id = l.delivery_id"));
        let row = query.bind(lead.as_str()).fetch_optional(&mut connection).await?;
        let Some(row) = row else { return Ok(None) };
        let mut work = Work::read(&row, row.json("content")?)?;
        work.analysis =
            AnalysisRecord::load(&mut connection, &work.delivery_id, work.round).await?.map(Arc::new);
        Ok(Some(work))
    }
}

/// The failure that dead-lettered a delivery; none if it was not dead-lettered or is not its lead's newest.
async fn dead_letter_reason(connection: &mut Connection, delivery: &DeliveryId) -> Result<Option<Failure>> {
    let query = sqlx::query(
        "SELECT l.failure FROM delivery d JOIN lead l ON l.lead_id = d.lead_id \
         WHERE d.delivery_id = $1 AND d.state = 'failed' AND l.delivery_id = d.delivery_id",
    );
    let row = query.bind(delivery.as_str()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let failure: Option<Failure> = row.optional_json("failure")?;
    let failure =
        failure.unwrap_or_else(|| Failure::permanent("given_up", "the delivery was dead-lettered before"));
    // Permanent, whatever its class was: no attempts are left.
    Ok(Some(Failure { kind: FailureKind::Permanent, ..failure }))
}
