//! Records that people have merged or deleted since we wrote them.

use lead::{Failure, LeadId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, json};

use super::api::Call;
use super::describe::text_of;
use super::errors::Refusal;
use super::facts::{quoted, records};
use super::state::{LeadState, found};
use super::{DEPENDENCY, Salesforce};
use crate::{Followed, Foreseen, Object, PlannedAction};

/// The prefix of the ids of leads. A lead that was converted is written as its contact.
const LEAD: &str = "00Q";
/// How many merges are followed: the record that is left may have been merged as well.
const MAX_MERGES: usize = 5;

/// The record that is left of a merge.
pub(super) struct Survivor {
    pub(super) record_id: String,
    /// What it has as our external id.
    holder: Option<String>,
}

impl Salesforce {
    /// Follows the record that was written for a lead, where it was merged into another one, and gives the one that is left
    /// the lead's external id.
    ///
    /// The loser of a merge is deleted, names the winner in `MasterRecordId`, and takes its external id with it: an upsert by
    /// that id would create the duplicate again.
    pub(super) async fn follow_merge(
        &self,
        lead: &LeadId,
        record_id: &str,
    ) -> Result<Option<Followed>, Refusal> {
        let mapping = self.mapped(Object::Lead)?;
        let path = self.record_path(mapping, lead.as_str(), "Id");
        if found(self.api.call(&Call::get(path)).await?)?.is_some() {
            return Ok(None);
        }
        let at = self.survivor_of_lead(lead, record_id).await?;
        let fields = Map::from_iter([(mapping.external_id().to_owned(), json!(lead.as_str()))]);
        let path = self.path_by_id(mapping.object(), &at, "");
        self.api.call(&Call::save(path, self.save_headers(), fields)).await?.success()?;
        Ok((at != record_id).then(|| Followed { from: record_id.to_owned(), to: at }))
    }

    /// What the actions would write to a lead that was written before, wherever its record is now. Writes nothing.
    pub(super) async fn foresee(
        &self,
        lead: &LeadId,
        record_id: &str,
        actions: &[PlannedAction],
    ) -> Result<Foreseen, Refusal> {
        let mut state = self.read_state(lead, actions).await?;
        let mut followed = None;
        if matches!(state.lead, LeadState::Absent) {
            let at = self.survivor_of_lead(lead, record_id).await?;
            self.stand_in(&mut state, &at).await?;
            followed = (at != record_id).then(|| Followed { from: record_id.to_owned(), to: at });
        }
        Ok(Foreseen { followed, changes: state.changes(self, lead, actions) })
    }

    /// The record that is left of the one that was written for a lead. Never the record of another lead of ours.
    async fn survivor_of_lead(&self, lead: &LeadId, record_id: &str) -> Result<String, Refusal> {
        if !record_id.starts_with(LEAD) {
            // The lead was converted, and then deleted: its contact alone does not lead back to it.
            return Err(deleted("lead that became the contact", record_id).into());
        }
        let mapping = self.mapped(Object::Lead)?;
        let Survivor { record_id: at, holder } =
            self.survivor(mapping.object(), mapping.external_id(), record_id).await?;
        if holder.is_some_and(|holder| !holder.eq_ignore_ascii_case(lead.as_str())) {
            let message = format!(
                "the record {record_id} was merged into {at}, which is the record of another lead; nothing was written"
            );
            return Err(Failure::permanent("crm_record_merged", message).on(DEPENDENCY).into());
        }
        Ok(at)
    }

    /// Follows merges from a record to the one that is left. `key` is the field of our external id.
    pub(super) async fn survivor(
        &self,
        object: &str,
        key: &str,
        record_id: &str,
    ) -> Result<Survivor, Refusal> {
        let mut at = record_id.to_owned();
        for _ in 0..=MAX_MERGES {
            let id = quoted(&at);
            let query = format!("SELECT Id, IsDeleted, MasterRecordId, {key} FROM {object} WHERE Id = {id}");
            let query = utf8_percent_encode(&query, NON_ALPHANUMERIC);
            let call = Call::get(format!("{}/queryAll?q={query}", self.api.base));
            let record = records(self.api.call(&call).await?)?.into_iter().next();
            let Some(record) = record else { return Err(deleted("record", &at).into()) };
            if record["IsDeleted"] != true {
                return Ok(Survivor { record_id: at, holder: text_of(&record, key) });
            }
            at = text_of(&record, "MasterRecordId").ok_or_else(|| deleted("record", &at))?;
        }
        let message = format!("the record {record_id} was merged more than {MAX_MERGES} times");
        Err(Failure::permanent("crm_record_merged", message).on(DEPENDENCY).into())
    }
}

fn deleted(what: &str, record_id: &str) -> Failure {
    let message = format!(
        "the {what} {record_id} was deleted in Salesforce; nothing was written. Restore it from the recycle bin and redrive \
         the dead letter, or suppress the person"
    );
    Failure::permanent("crm_record_deleted", message).on(DEPENDENCY)
}
