//! Whether data belongs to an erased person, so that none of it may be saved or written.

use database::{Connection, to_millis};
use lead::LeadEvent;

use crate::codec::Columns as _;
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
    Ok(Tombstones::of(connection, event).await?.is_erased(event))
}

/// The tombstones that concern an event.
pub(crate) struct Tombstones {
    /// When the person was erased.
    erased_at: Option<i64>,
    /// When the newest delivery was received of the lead that retention removed.
    expired: Option<i64>,
}

impl Tombstones {
    pub(crate) async fn of(connection: &mut Connection, event: &LeadEvent) -> Result<Self> {
        let [own, untagged, as_given] = Person::of(&event.lead.email).hashes();
        let query = sqlx::query(
            "SELECT (SELECT MAX(erased_at) FROM erased_person WHERE email_hash IN ($1, $2, $3)) AS erased_at, \
             (SELECT received_at FROM expired_lead WHERE lead_id = $4) AS expired",
        );
        let query = query.bind(own).bind(untagged).bind(as_given).bind(event.lead_id.as_str());
        let row = query.fetch_one(connection).await?;
        Ok(Self { erased_at: row.optional_number("erased_at")?, expired: row.optional_number("expired")? })
    }

    /// Whether the person was erased after the event was received.
    pub(crate) fn is_erased(&self, event: &LeadEvent) -> bool {
        self.erased_at.is_some_and(|erased_at| to_millis(event.received_at) <= erased_at)
    }

    /// Whether retention has removed the event's lead, and the event is not newer than the lead was: a late
    /// copy, which would be a duplicate or superseded if the lead were still there.
    pub(crate) fn is_expired(&self, event: &LeadEvent) -> bool {
        self.expired.is_some_and(|newest| to_millis(event.received_at) <= newest)
    }
}
