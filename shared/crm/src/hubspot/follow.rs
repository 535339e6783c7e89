//! Handling of contacts that users merged or deleted after they were written.

use lead::{Failure, LeadId};
use serde_json::{Map, json};

use super::records::{By, Row};
use super::{DEPENDENCY, HubSpotCrm};
use crate::{Followed, Object, PresentRecord};

impl HubSpotCrm {
    /// Follows a merge of the contact written for a lead, and restores the lead's link to the survivor.
    ///
    /// Reading the id of a merged contact returns the survivor, which may have lost the lead's key and
    /// address. A survivor without a key gets the lead's key; one with another lead's key gets the lead's
    /// anchor. One call for a contact that still has the lead's key.
    ///
    /// # Errors
    ///
    /// `crm_record_deleted` if the contact was deleted.
    pub(super) async fn follow_contact(
        &self,
        lead: &LeadId,
        record_id: &str,
    ) -> Result<Option<Followed>, Failure> {
        let Some((mapping, schema)) = self.ready(Object::Lead).await? else { return Ok(None) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let properties = self.contact_properties(&schema);
        self.memory.note_written(lead, self.clock.now());
        let Some(mut present) = self.calls.read_by_id(object, record_id, &properties).await? else {
            let found = self.linked_contact(lead, object, key, &properties).await?;
            return if found.is_some() { Ok(None) } else { Err(deleted(record_id)) };
        };
        let to = present.record_id.clone();
        match present.value(key).and_then(|held| held.as_str()) {
            Some(held) if held == lead.as_str() => {}
            _ if self.anchored_contact(lead).await?.as_deref() == Some(to.as_str()) => {}
            Some(_) => self.anchor(lead, &[], &to, true).await?,
            None => {
                let fields = Map::from_iter([(key.to_owned(), json!(lead.as_str()))]);
                present.fields.extend(fields.clone());
                self.calls.write(object, By::Id, Row::new(&to, fields)).await?;
            }
        }
        self.memory.note_followed(lead, present, self.clock.now());
        Ok((to != record_id).then(|| Followed { from: record_id.to_owned(), to }))
    }
}

impl HubSpotCrm {
    /// Reads the contact that an earlier plan wrote for the lead, or the survivor of its merges.
    ///
    /// # Errors
    ///
    /// `crm_record_deleted` if the contact was deleted.
    pub(super) async fn written_contact(
        &self,
        record_id: &str,
        object: &str,
        properties: &[String],
    ) -> Result<PresentRecord, Failure> {
        let found = self.calls.read_by_id(object, record_id, properties).await?;
        found.ok_or_else(|| deleted(record_id))
    }
}

fn deleted(record_id: &str) -> Failure {
    let message = format!(
        "the contact {record_id} was deleted in HubSpot; nothing was written. Restore it in HubSpot and redrive the dead \
         letter, or suppress the person"
    );
    Failure::permanent("crm_record_deleted", message).on(DEPENDENCY)
}
