use lead::{Failure, LeadId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, json};

use super::api::Call;
use super::describe::text_of;
use super::errors::Refusal;
use super::facts::{quoted, records};
use super::state::found;
use super::{DEPENDENCY, Salesforce};
use crate::{Followed, Object};

/// What the ids of leads begin with. A lead that was converted is written as its contact.
const LEAD: &str = "00Q";
/// How many merges are followed: the record that is left may have been merged as well.
const MAX_MERGES: usize = 5;

impl Salesforce {
    /// Follows the record that was written for a lead, where it was merged into another one.
    ///
    /// The loser of a merge is deleted, names the winner in `MasterRecordId`, and takes its external id with it: an upsert by
    /// that id would create the duplicate again.
    pub(super) async fn follow_merge(
        &self,
        lead: &LeadId,
        record_id: &str,
    ) -> Result<Option<Followed>, Refusal> {
        let mapping = self.mapped(Object::Lead)?;
        if !record_id.starts_with(LEAD) {
            return Ok(None);
        }
        let path = self.record_path(mapping, lead.as_str(), "Id");
        if found(self.api.call(&Call::get(path)).await?)?.is_some() {
            return Ok(None);
        }
        let key = mapping.external_id();
        let mut at = record_id.to_owned();
        for _ in 0..=MAX_MERGES {
            let query = format!(
                "SELECT Id, IsDeleted, MasterRecordId, {key} FROM {} WHERE Id = {}",
                mapping.object(),
                quoted(&at)
            );
            let query = utf8_percent_encode(&query, NON_ALPHANUMERIC);
            let call = Call::get(format!("{}/queryAll?q={query}", self.api.base));
            let record = records(self.api.call(&call).await?)?.into_iter().next();
            let Some(record) = record else { return Err(deleted(&at).into()) };
            if record["IsDeleted"] == true {
                at = text_of(&record, "MasterRecordId").ok_or_else(|| deleted(&at))?;
                continue;
            }
            let holder = text_of(&record, key);
            if holder.is_some_and(|holder| !holder.eq_ignore_ascii_case(lead.as_str())) {
                let message = format!(
                    "the record {record_id} was merged into {at}, which is the record of another lead; nothing was written"
                );
                return Err(Failure::permanent("crm_record_merged", message).on(DEPENDENCY).into());
            }
            let fields = Map::from_iter([(key.to_owned(), json!(lead.as_str()))]);
            let path = self.path_by_id(mapping.object(), &at, "");
            self.api.call(&Call::save(path, self.save_headers(), fields)).await?.success()?;
            return Ok((at != record_id).then(|| Followed { from: record_id.to_owned(), to: at }));
        }
        let message = format!("the record {record_id} was merged more than {MAX_MERGES} times");
        Err(Failure::permanent("crm_record_merged", message).on(DEPENDENCY).into())
    }
}

fn deleted(record_id: &str) -> Failure {
    let message = format!(
        "the record {record_id} was deleted in Salesforce; nothing was written. Restore it from the recycle bin and redrive \
         the dead letter, or suppress the person"
    );
    Failure::permanent("crm_record_deleted", message).on(DEPENDENCY)
}
