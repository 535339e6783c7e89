use lead::{DeliveryId, Failure, FailureClass, LeadEvent, Stage};
use serde::Serialize;
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::{Result, Store};

/// The number of failures of the work on an open delivery, by stage. A reopened delivery starts at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// Failures to read the CRM.
    pub crm_read: u32,
    /// Failures of the judgement.
    pub analysis: u32,
    /// Failures to write the plan to the CRM.
    pub crm_write: u32,
    /// Failures of our own database or queue. They do not count as attempts at any stage.
    pub storage: u32,
    /// Failures at any other stage.
    pub other: u32,
}

impl Attempts {
    /// The number of failures at one stage.
    pub fn at(&self, stage: Stage) -> u32 {
        match stage {
            Stage::CrmRead => self.crm_read,
            Stage::Analysis => self.analysis,
            Stage::CrmWrite => self.crm_write,
            Stage::Storage => self.storage,
            Stage::Other => self.other,
        }
    }

    /// Reads the five columns of a row.
    pub(crate) fn read(row: &AnyRow) -> Result<Self> {
        let count =
            |column| -> Result<u32> { Ok(u32::try_from(row.number(column)?.max(0)).unwrap_or(u32::MAX)) };
        Ok(Self {
            crm_read: count("crm_read_attempts")?,
            analysis: count("analysis_attempts")?,
            crm_write: count("crm_write_attempts")?,
            storage: count("storage_attempts")?,
            other: count("other_attempts")?,
        })
    }
}

/// The statement that counts one more failure at a stage of an open delivery, and returns the new number.
fn count_one(stage: Stage) -> &'static str {
    macro_rules! statement {
        ($column:literal) => {
            concat!(
                "UPDATE delivery SET ",
                $column,
                " = ",
                $column,
                " + 1 WHERE delivery_id = $1 AND state = 'open' ",
                "RETURNING ",
                $column
            )
        };
    }
    match stage {
        Stage::CrmRead => statement!("crm_read_attempts"),
        Stage::Analysis => statement!("analysis_attempts"),
        Stage::CrmWrite => statement!("crm_write_attempts"),
        Stage::Storage => statement!("storage_attempts"),
        Stage::Other => statement!("other_attempts"),
    }
}

/// Counts a failure as an attempt at its stage, and returns the number of that attempt. None for a deferral
/// or a permanent failure, which do not count, and for a delivery that is not open.
pub(crate) async fn count(
    connection: &mut database::Connection,
    delivery: &DeliveryId,
    failure: &Failure,
) -> Result<Option<i64>> {
    if failure.class() != FailureClass::Transient {
        return Ok(None);
    }
    let query = sqlx::query_scalar(count_one(failure.stage));
    Ok(query.bind(delivery.as_str()).fetch_optional(connection).await?)
}

impl Store {
    /// The number of failures of the work on an event's delivery since it was last opened. For an event that
    /// repeats another delivery, the numbers are those of its lead's newest delivery. Zero if neither is
    /// stored.
    ///
    /// Reads only, without a lock: [`record_retry`](Self::record_retry) counts.
    pub async fn attempts(&self, event: &LeadEvent) -> Result<Attempts> {
        let query = sqlx::query(
            "SELECT crm_read_attempts, analysis_attempts, crm_write_attempts, storage_attempts, other_attempts \
             FROM delivery WHERE delivery_id = COALESCE((SELECT delivery_id FROM delivery WHERE delivery_id = $1), \
             (SELECT delivery_id FROM lead WHERE lead_id = $2))",
        );
        let row = self.row(query.bind(event.delivery_id().as_str()).bind(event.lead_id.as_str())).await?;
        row.as_ref().map_or(Ok(Attempts::default()), Attempts::read)
    }
}
