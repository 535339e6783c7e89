//! Beginning work on deliveries: one reading for all that begin at the same time.

use std::collections::HashMap;

use batcher::{Batcher, Bounds};
use database::Rows;
use futures::FutureExt as _;
use futures::future::join_all;
use lead::{LeadEvent, LeadStatus};
use sqlx::any::AnyRow;

use super::Change;
use crate::codec::Columns as _;
use crate::delivery::state_of;
use crate::work::{KnownRows, work_columns};
use crate::{Begun, DeliveryState, Result, Store, Work};

/// While one reading runs, the next one gathers.
const BOUNDS: Bounds = Bounds { calls: 64, batches: 1 };

/// The beginning of work on deliveries, in batches.
pub(super) struct Begins(Batcher<String, (LeadEvent, u32), Result<Begun>>);

impl Begins {
    pub(super) fn new(store: Store) -> Self {
        let run = move |calls: Vec<(LeadEvent, u32)>| {
            let store = store.clone();
            async move { begin_all(&store, calls).await }.boxed()
        };
        Self(Batcher::new(BOUNDS, run))
    }

    pub(super) async fn begin(&self, event: &LeadEvent, attempt: u32) -> Result<Begun> {
        self.0.call(event.lead_id.as_str().to_owned(), (event.clone(), attempt)).await?
    }
}

/// Begins deliveries that nothing has happened to since they were accepted without writing anything: the
/// beginning is saved with the first result. All others begin in a transaction each.
async fn begin_all(store: &Store, calls: Vec<(LeadEvent, u32)>) -> Vec<Result<Begun>> {
    let mut untouched = match read_untouched(store, &calls).await {
        Ok(untouched) => untouched,
        Err(error) => return error.for_each(calls.len()),
    };
    let begins = calls.into_iter().map(|(event, attempt)| {
        let row = untouched.remove(event.delivery_id().as_str());
        async move {
            match row.map(|row| begin_untouched(&row, &event, attempt)) {
                Some(Ok(Some(work))) => Ok(Begun::Work(Box::new(work))),
                Some(Err(error)) => Err(error),
                Some(Ok(None)) | None => store.begin_work(&event, attempt).await,
            }
        }
    });
    join_all(begins).await
}

/// The work on a delivery; none if the event differs from the stored delivery.
fn begin_untouched(row: &AnyRow, event: &LeadEvent, attempt: u32) -> Result<Option<Work>> {
    // The first content of a signed webhook counts, even if it was resent with other content.
    if row.text("content_hash")? != event.content_hash.as_str() {
        return Ok(None);
    }
    let mut work = Work::read(row, event.lead.clone())?;
    work.known = KnownRows {
        assignment: row.flag("has_assignment")?,
        actions: row.flag("has_actions")?,
        same_address: row.flag("has_same_address")?,
    };
    work.add(Change::Started { attempt });
    Ok(Some(work))
}

/// The rows of the open deliveries that are the newest of their leads, and have neither failed nor been
/// judged, by delivery.
async fn read_untouched(store: &Store, calls: &[(LeadEvent, u32)]) -> Result<HashMap<String, AnyRow>> {
    let mut deliveries = Rows::new(["delivery_id"]);
    for (event, _) in calls {
        deliveries.push([event.delivery_id().as_str().into()]);
    }
    let mut connection = store.database.pool().acquire().await?;
    let rows = deliveries
        .fetch_all(
            &mut connection,
            concat!(
                "SELECT ",
                work_columns!(),
                ", l.status, CAST(CASE WHEN EXISTS (SELECT 1 FROM lead_assignment s WHERE s.lead_id = l.lead_id) \
                   THEN 1 ELSE 0 END AS BIGINT) AS has_assignment, \
                 CAST(CASE WHEN EXISTS (SELECT 1 FROM crm_action a WHERE a.lead_id = l.lead_id) \
                   THEN 1 ELSE 0 END AS BIGINT) AS has_actions, \
                 CAST(CASE WHEN EXISTS (SELECT 1 FROM lead o WHERE o.email = l.email AND o.lead_id <> l.lead_id) \
                   THEN 1 ELSE 0 END AS BIGINT) AS has_same_address \
                 FROM given JOIN delivery d ON d.delivery_id = given.delivery_id \
                 JOIN lead l ON l.lead_id = d.lead_id AND l.delivery_id = d.delivery_id \
                 WHERE NOT EXISTS (SELECT 1 FROM analysis a WHERE a.delivery_id = d.delivery_id AND a.lead_id = d.lead_id)"
            ),
        )
        .await?;
    // Conditions here and not in the statement, which could use an index of all queued leads for them.
    let is_untouched = |row: &AnyRow| -> Result<bool> {
        let is_queued = row.text("status")? == LeadStatus::Queued.as_str();
        Ok(is_queued && state_of(row)? == DeliveryState::Open && row.optional_text("failure")?.is_none())
    };
    let mut untouched = HashMap::new();
    for row in rows {
        if is_untouched(&row)? {
            untouched.insert(row.text("delivery_id")?, row);
        }
    }
    Ok(untouched)
}
