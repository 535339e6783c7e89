//! Whether data belongs to an erased person, so that none of it may be saved or written.

use database::{Connection, to_millis};
use lead::LeadEvent;

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
