use database::Connection;
use lead::{Actor, DeliveryId, LeadEvent, LeadId, LeadStatus};
use serde_json::json;

use super::rows::{event_of_delivery, newest};
use super::transitions::{Opening, open};
use crate::audit::{self, AuditKind};
use crate::{Result, Store};

impl Store {
    /// Reopens a lead's newest delivery, and returns the event to send; none if there is no such lead.
    /// `rejudge` starts a new round of judgement, which requests enrichment again if no provider could
    /// answer; without it, work continues from the saved results.
    ///
    /// A delivery that is already open stays unchanged: sending its event again is harmless. Deletes the
    /// delivery's dead letter; another failure makes a new one.
    pub async fn reopen(
        &self,
        actor: &Actor,
        lead: &LeadId,
        rejudge: bool,
        reason: &str,
    ) -> Result<Option<LeadEvent>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let Some((delivery, _)) = newest(&mut transaction, lead).await? else { return Ok(None) };
        let opening = Opening { rejudge, ..Opening::default() };
        reopen(&mut transaction, Some(actor), lead, &delivery, opening, reason, now).await?;
        let event = event_of_delivery(&mut transaction, &delivery).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }

    /// Promotes a planned lead: its plan is written to the CRM, once. Returns the event to send.
    ///
    /// None if the lead is not planned any more: it was promoted before, or newer content is on its way. A
    /// hold that is put on the CRM afterwards blocks the write again.
    pub async fn promote(&self, actor: &Actor, lead: &LeadId) -> Result<Option<LeadEvent>> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(lead).await?;
        let Some((delivery, LeadStatus::Planned)) = newest(&mut transaction, lead).await? else {
            return Ok(None);
        };
        let opening = Opening { promoted_at: Some(now), ..Opening::default() };
        reopen(&mut transaction, Some(actor), lead, &delivery, opening, "promoted", now).await?;
        let event = event_of_delivery(&mut transaction, &delivery).await?;
        transaction.commit().await?;
        Ok(Some(event))
    }
}

/// Opens a delivery as [`open`] does, and audits it. False if there is nothing to open.
pub(super) async fn reopen(
    connection: &mut Connection,
    actor: Option<&Actor>,
    lead: &LeadId,
    delivery: &DeliveryId,
    opening: Opening,
    reason: &str,
    now: i64,
) -> Result<bool> {
    let is_opened = open(connection, lead, delivery, opening, now).await?;
    if is_opened {
        let detail = json!({ "reason": reason, "rejudge": opening.rejudge });
        let kind = AuditKind::Reopened;
        audit::append_by(connection, actor, lead, Some(delivery), now, kind, &detail).await?;
    }
    Ok(is_opened)
}

/// Reopens a lead's newest delivery if it was dead-lettered and posted again. False if there is nothing to
/// reopen.
///
/// `posted_at` is the time of the post, in milliseconds, by the clock of the process that accepted it, or
/// none if this transaction accepts it. A message that was merely delivered twice was posted before the
/// failure, and reopens nothing.
pub(super) async fn reopen_posted_again(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    posted_at: Option<i64>,
    now: i64,
) -> Result<bool> {
    let opening = Opening { failed_before: Some(posted_at.unwrap_or(i64::MAX)), ..Opening::default() };
    reopen(connection, None, lead, delivery, opening, "posted again", now).await
}
