//! Whether data belongs to an erased person, so that none of it may be saved or written.

use database::{Connection, to_millis};
use lead::{DeliveryId, LeadEvent, LeadId};

use crate::person::Person;
use crate::{Result, Store};

impl Store {
    /// Whether the person was erased after this event was received: none of its data may then be saved or
    /// written.
    pub async fn is_erased(&self, event: &LeadEvent) -> Result<bool> {
        let mut connection = self.database.pool().acquire().await?;
        is_erased(&mut connection, event).await
    }
}

pub(crate) async fn is_erased(connection: &mut Connection, event: &LeadEvent) -> Result<bool> {
    let [own, untagged, as_given] = Person::of(&event.lead.email).hashes();
    let query =
        sqlx::query_scalar("SELECT MAX(erased_at) FROM erased_person WHERE email_hash IN ($1, $2, $3)");
    let erased_at: Option<i64> = query.bind(own).bind(untagged).bind(as_given).fetch_one(connection).await?;
    Ok(erased_at.is_some_and(|erased_at| to_millis(event.received_at) <= erased_at))
}

/// Whether a lead was erased while this delivery of it was being worked on. If the person has posted again
/// since, the lead exists again, but results of the old delivery must still not be saved or written.
pub(crate) async fn is_work_erased(
    connection: &mut Connection,
    lead: &LeadId,
    delivery: &DeliveryId,
) -> Result<bool> {
    let erased: Option<i64> = sqlx::query_scalar(
        "SELECT e.erased_at FROM erased_lead e WHERE e.lead_id = $1 \
         AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.delivery_id = $2)",
    )
    .bind(lead.as_str())
    .bind(delivery.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(erased.is_some())
}
