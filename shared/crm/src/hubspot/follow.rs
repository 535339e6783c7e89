//! Contacts that people have merged or deleted since we wrote them.

use lead::{Failure, LeadId};
use serde_json::{Map, json};

use super::{DEPENDENCY, HubSpotCrm};
use crate::{Followed, Object, PresentRecord};

impl HubSpotCrm {
    /// Follows the contact that was written for a lead, and sees to it that the lead finds it again.
    ///
    /// After a merge the id of a merged contact leads to the survivor, which may have lost the lead's key and address: it gets
    /// the key where it has none, and the lead's anchor where it has another lead's. One call where nothing has changed.
    pub(super) async fn follow_contact(
        &self,
        lead: &LeadId,
        record_id: &str,
    ) -> Result<Option<Followed>, Failure> {
        let Some((mapping, _)) = self.ready(Object::Lead).await? else { return Ok(None) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let asked = [key.to_owned()];
        let Some(present) = self.api.read_records(object, None, &[record_id], &asked).await?.pop() else {
            let found = self.contact_as_ours(lead, object, key, &asked).await?;
            return if found.is_some() { Ok(None) } else { Err(deleted(record_id)) };
        };
        let to = present.record_id.clone();
        match present.value(key).and_then(|held| held.as_str()) {
            Some(held) if held == lead.as_str() => {}
            _ if self.anchored(lead).await?.as_deref() == Some(to.as_str()) => {}
            Some(_) => self.anchor(lead, &[], &to).await?,
            None => {
                let fields = Map::from_iter([(key.to_owned(), json!(lead.as_str()))]);
                for written in self.api.update(object, &[(to.clone(), fields)]).await? {
                    written?;
                }
            }
        }
        Ok((to != record_id).then(|| Followed { from: record_id.to_owned(), to }))
    }
}

impl HubSpotCrm {
    /// The contact that was written for a lead before, or the one that it was merged into.
    pub(super) async fn contact_written(
        &self,
        record_id: &str,
        object: &str,
        properties: &[String],
    ) -> Result<PresentRecord, Failure> {
        let found = self.api.read_records(object, None, &[record_id], properties).await?.pop();
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
