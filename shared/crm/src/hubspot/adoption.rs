//! Adoption of contacts that existed before, and the anchors that link leads to them.

use lead::{Failure, LeadId};
use serde_json::{Map, Value, json};

use super::HubSpotCrm;
use super::errors::{Refusal, RefusalKind};
use super::markup::html;
use super::records::Row;
use crate::{Action, Object, PlannedAction, PresentRecord};

/// The property with the ids of the contacts merged into this one. A merged contact counts as adopted,
/// because a user merged it.
pub(super) const MERGED: &str = "hs_merged_object_ids";

impl HubSpotCrm {
    /// The id of the contact that the lead's anchor is attached to.
    pub(super) async fn anchored_contact(&self, lead: &LeadId) -> Result<Option<String>, Failure> {
        let Some((notes, contacts)) = self.anchor_objects().await? else { return Ok(None) };
        let (object, key) = notes;
        let Some(note) = self.calls.read_by(&object, &key, lead.as_str(), &[]).await? else {
            return Ok(None);
        };
        let pairs = self.calls.associated(&object, &contacts, vec![note.record_id]).await?;
        // A note may be attached to several contacts, for instance after a merge. Every process takes the
        // lowest id.
        Ok(pairs.into_iter().map(|(_, contact)| contact).min_by_key(|id| id.parse().unwrap_or(u64::MAX)))
    }

    /// Whether a contact was adopted rather than created by this executor, so that users maintain it.
    ///
    /// Creating a contact sets its key in the same call, without an anchor. Adopting one attaches an anchor
    /// first and sets the key later. An anchor with the contact's key therefore marks an adopted contact,
    /// even after a crash between the two steps and for leads of other campaigns. In doubt a contact counts
    /// as adopted.
    pub(super) async fn is_adopted(&self, present: &PresentRecord, key: &str) -> Result<bool, Failure> {
        let Some(key) = present.value(key).and_then(Value::as_str) else { return Ok(true) };
        if present.value(MERGED).is_some() {
            return Ok(true);
        }
        let Some(((notes, notes_key), _)) = self.anchor_objects().await? else { return Ok(true) };
        Ok(self.calls.read_by(&notes, &notes_key, key, &[]).await?.is_some())
    }

    /// Attaches the lead's anchor to a contact.
    ///
    /// If the anchor exists, the lead may have another contact: a conflict, so that the plan is resolved
    /// again. With `thorough` that was done, and the existing anchor is attached.
    pub(super) async fn anchor(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        contact_id: &str,
        thorough: bool,
    ) -> Result<(), Refusal> {
        let Some((notes, contacts)) = self.anchor_objects().await? else { return Ok(()) };
        let (object, key) = notes;
        let campaign = actions.iter().find_map(|planned| match &planned.action {
            Action::UpsertLead(details) | Action::CreateLead(details) => {
                Some(lead::text::visible(details.campaign_id.as_str()))
            }
            _ => None,
        });
        let body =
            format!("RevenueFlow: a lead of the campaign {}", campaign.as_deref().unwrap_or("(unknown)"));
        let fields = Map::from_iter([
            ("hs_note_body".to_owned(), json!(html(&body))),
            ("hs_timestamp".to_owned(), json!(self.clock.now().to_string())),
        ]);
        let row = Row::new(lead.as_str(), fields);
        match self.create(&object, key.clone(), row, &[(&contacts, contact_id)]).await {
            Err(refused) if thorough && refused.kind == RefusalKind::Conflict => {
                let note = self.calls.read_by(&object, &key, lead.as_str(), &[]).await?.ok_or(refused)?;
                self.calls.associate((&object, &note.record_id), (&contacts, contact_id)).await
            }
            created => created.map(drop),
        }
    }

    /// The object and key of notes, and the object of contacts; none if activities are not mapped to notes.
    async fn anchor_objects(&self) -> Result<Option<((String, String), String)>, Failure> {
        let notes = self.ready(Object::Activity).await?;
        let notes = notes.map(|(mapping, _)| (mapping.object().to_owned(), mapping.external_id().to_owned()));
        let contacts = self.mapping.object(Object::Lead).map(|mapping| mapping.object().to_owned());
        Ok(notes.filter(|(object, _)| matches!(object.as_str(), "notes" | "0-46")).zip(contacts))
    }
}
