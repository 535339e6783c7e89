//! The statements that change the state of a delivery, and with it the status of its lead.

use std::collections::HashSet;

use database::{Connection, Rows};
use lead::{DeliveryId, Failure, LeadId, LeadStatus};
use serde_json::json;
use sqlx::any::AnyRow;

use super::rows::state_of;
use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::work::select_work;
use crate::{DeliveryState, Result, dead_letters};

/// The conditions under which a delivery is opened again, and the work that is to be done on it.
#[derive(Clone, Copy, Default)]
pub(super) struct Opening {
    /// Starts a new round of judgement, which requests enrichment again if no provider could answer. Without
    /// it, work continues from the saved results.
    pub(super) rejudge: bool,
    /// Opens the delivery only if it was dead-lettered before this time, in milliseconds.
    pub(super) failed_before: Option<i64>,
    /// When an operator promoted the delivery, in milliseconds.
    pub(super) promoted_at: Option<i64>,
}

/// Opens a lead's newest delivery again, queues its lead and deletes its dead letter. False if the delivery
/// is open already, is not the newest, or does not meet the condition of `opening`.
pub(super) async fn open(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    opening: Opening,
    now: i64,
) -> Result<bool> {
    let opened = sqlx::query(
        "UPDATE delivery SET state = 'open', finished_at = NULL, promoted_at = $2, round = round + $3, \
         enrich_again_at = NULL, \
         enrichment_retry = CASE WHEN enrichment_retry = 'missing' AND $3 = 1 THEN 'requested' \
         ELSE enrichment_retry END \
         WHERE delivery_id = $1 AND state <> 'open' AND ($4 = 0 OR (state = 'failed' AND finished_at < $5)) \
         AND EXISTS (SELECT 1 FROM lead WHERE lead.lead_id = delivery.lead_id AND lead.delivery_id = $1)",
    )
    .bind(delivery.as_str())
    .bind(opening.promoted_at)
    .bind(i64::from(opening.rejudge))
    .bind(i64::from(opening.failed_before.is_some()))
    .bind(opening.failed_before.unwrap_or(i64::MAX))
    .execute(&mut *connection)
    .await?;
    if opened.rows_affected() == 0 {
        return Ok(false);
    }
    let query = sqlx::query(
        "UPDATE lead SET status = $2, failure = NULL, awaits_enrichment = 0, updated_at = $3 WHERE lead_id = $1",
    );
    query.bind(lead.as_str()).bind(LeadStatus::Queued.as_str()).bind(now).execute(&mut *connection).await?;
    dead_letters::forget(connection, delivery.as_str()).await?;
    Ok(true)
}

/// Ends an open delivery; false if it was not open any more. Also ends a promotion, which lets only one plan
/// through, and resets the attempts, so that a reopened delivery has all of them.
pub(crate) async fn close(
    connection: &mut Connection,
    delivery: &DeliveryId,
    state: DeliveryState,
    now: i64,
) -> Result<bool> {
    Ok(!close_all(connection, [delivery], state, now).await?.is_empty())
}

/// Ends those of the deliveries that are open, as [`close`] does with one, and returns their ids.
pub(crate) async fn close_all(
    connection: &mut Connection,
    deliveries: impl IntoIterator<Item = &DeliveryId>,
    state: DeliveryState,
    now: i64,
) -> Result<HashSet<String>> {
    // The state before is a column: with a constant, PostgreSQL may read the index of all open deliveries.
    let mut rows = Rows::new(["delivery_id", "before", "state", "now"]);
    for delivery in deliveries {
        let before = DeliveryState::Open.as_str();
        rows.push([delivery.as_str().into(), before.into(), state.as_str().into(), now.into()]);
    }
    let closed = rows
        .fetch_all(
            connection,
            "UPDATE delivery SET state = given.state, finished_at = given.now, promoted_at = NULL, \
             crm_read_attempts = 0, analysis_attempts = 0, crm_write_attempts = 0, storage_attempts = 0, \
             other_attempts = 0, crm_failed_at = NULL, limit_audited_at = NULL, limit_scope = NULL \
             FROM given WHERE delivery.delivery_id = given.delivery_id AND delivery.state = given.before \
             RETURNING delivery.delivery_id",
        )
        .await?;
    closed.iter().map(|row| row.text("delivery_id")).collect()
}

/// Closes an open delivery that a newer one has superseded.
async fn supersede(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    revision: i64,
    now: i64,
) -> Result<()> {
    if close(connection, delivery, DeliveryState::Superseded, now).await? {
        let (kind, detail) = (AuditKind::Superseded, json!({ "revision": revision }));
        audit::append(connection, lead, Some(delivery), now, kind, &detail).await?;
    }
    Ok(())
}

/// The row of a delivery that still has work to do, as `Work::read` takes it; none if the delivery is not
/// open. Closes the delivery if a newer one has superseded it.
pub(super) async fn open_row(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    now: i64,
) -> Result<Option<AnyRow>> {
    let query = sqlx::query(select_work!("d.delivery_id = $1"));
    let row = query.bind(delivery.as_str()).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(None) };
    if state_of(&row)? != DeliveryState::Open {
        return Ok(None);
    }
    if row.text("newest")? == delivery.as_str() {
        return Ok(Some(row));
    }
    supersede(connection, lead, delivery, row.number("revision")?, now).await?;
    Ok(None)
}

/// Sets the status of a lead if this delivery is its newest.
pub(super) async fn set_status(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
    status: LeadStatus,
    failure: Option<&Failure>,
    now: i64,
) -> Result<()> {
    sqlx::query(
        "UPDATE lead SET status = $3, failure = $4, updated_at = $5 WHERE lead_id = $1 AND delivery_id = $2",
    )
    .bind(lead.as_str())
    .bind(delivery.as_str())
    .bind(status.as_str())
    .bind(failure.map(to_json))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}
