//! Handling of records that users merged or deleted after they were written.

use http_client::Method;
use lead::{Failure, LeadId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, json};

use super::api::Call;
use super::describe::text_of;
use super::errors::Refusal;
use super::facts::{quoted, records};
use super::state::{LeadState, existing_record};
use super::{DEPENDENCY, Salesforce};
use crate::{Followed, Object, PlannedAction, RecordPreview};

/// The id prefix of leads. The record id written for a converted lead is that of its contact.
const LEAD: &str = "00Q";
/// The maximum length of a chain of merges that is followed.
const MAX_MERGES: usize = 5;

/// The surviving record of a merge.
pub(super) struct Survivor {
    pub(super) record_id: String,
    /// The value of its external id field.
    external_id: Option<String>,
}

impl Salesforce {
    /// Follows a merge of the record written for a lead, and sets the lead's external id on the survivor.
    ///
    /// Salesforce deletes the merged record, which keeps the external id and names the survivor in
    /// `MasterRecordId`. An upsert by that external id would create the duplicate again.
    pub(super) async fn follow_merge(
        &self,
        lead: &LeadId,
        record_id: &str,
    ) -> Result<Option<Followed>, Refusal> {
        self.memory.forget(lead);
        let mapping = self.mapped(Object::Lead)?;
        let path = self.record_path(mapping, lead.as_str(), "Id");
        if existing_record(self.shared.get(path).await?)?.is_some() {
            return Ok(None);
        }
        let survivor_id = self.survivor_of_lead(lead, record_id).await?;
        let fields = Map::from_iter([(mapping.external_id().to_owned(), json!(lead.as_str()))]);
        let path = self.path_by_id(mapping.object(), &survivor_id, "");
        let save = Call::save(Method::PATCH, path, self.save_headers(), fields);
        self.api.call(&save).await?.success()?;
        Ok((survivor_id != record_id).then(|| Followed { from: record_id.to_owned(), to: survivor_id }))
    }

    /// Previews the writes of the actions to a lead that was written before, following merges. Writes
    /// nothing.
    pub(super) async fn preview_after_merge(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<RecordPreview, Refusal> {
        let mut state = self.read_state(lead, actions).await?;
        let mut followed = None;
        if matches!(state.lead, LeadState::Absent) {
            let survivor_id = self.survivor_of_lead(lead, record_id).await?;
            self.replace_lead(&mut state, &survivor_id).await?;
            followed =
                (survivor_id != record_id).then(|| Followed { from: record_id.to_owned(), to: survivor_id });
        }
        Ok(RecordPreview { followed, changes: state.changes(self, lead, actions) })
    }

    /// The id of the record that survives the merges of a lead's record. Fails if it is the record of another
    /// lead.
    async fn survivor_of_lead(&self, lead: &LeadId, record_id: &str) -> Result<String, Refusal> {
        if !record_id.starts_with(LEAD) {
            // The lead was converted and then deleted. Its contact has no reference to it.
            return Err(deleted("lead that became the contact", record_id).into());
        }
        let mapping = self.mapped(Object::Lead)?;
        let Survivor { record_id: survivor_id, external_id } =
            self.survivor(mapping.object(), mapping.external_id(), record_id).await?;
        if external_id.is_some_and(|id| !id.eq_ignore_ascii_case(lead.as_str())) {
            let message = format!(
                "the record {record_id} was merged into {survivor_id}, which is the record of another lead; nothing was written"
            );
            return Err(Failure::permanent("crm_record_merged", message).on(DEPENDENCY).into());
        }
        Ok(survivor_id)
    }

    /// Follows merges from a record to the survivor. `key` is the name of the external id field.
    pub(super) async fn survivor(
        &self,
        object: &str,
        key: &str,
        record_id: &str,
    ) -> Result<Survivor, Refusal> {
        let mut current_id = record_id.to_owned();
        for _ in 0..=MAX_MERGES {
            let id = quoted(&current_id);
            let query = format!("SELECT Id, IsDeleted, MasterRecordId, {key} FROM {object} WHERE Id = {id}");
            let query = utf8_percent_encode(&query, NON_ALPHANUMERIC);
            let call = Call::get(format!("{}/queryAll?q={query}", self.api.base));
            let record = records(self.api.call(&call).await?)?.into_iter().next();
            let Some(record) = record else { return Err(deleted("record", &current_id).into()) };
            if record["IsDeleted"] != true {
                return Ok(Survivor { record_id: current_id, external_id: text_of(&record, key) });
            }
            current_id = text_of(&record, "MasterRecordId").ok_or_else(|| deleted("record", &current_id))?;
        }
        let message = format!("the record {record_id} was merged more than {MAX_MERGES} times");
        Err(Failure::permanent("crm_record_merged", message).on(DEPENDENCY).into())
    }
}

fn deleted(kind: &str, record_id: &str) -> Failure {
    let message = format!(
        "the {kind} {record_id} was deleted in Salesforce; nothing was written. Restore it from the recycle bin and redrive \
         the dead letter, or suppress the person"
    );
    Failure::permanent("crm_record_deleted", message).on(DEPENDENCY)
}
