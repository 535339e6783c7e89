//! Lookup of a lead's contact.

use lead::{EmailAddress, Failure, LeadId};

use super::HubSpotCrm;
use super::adoption::MERGED;
use super::calls::EMAIL;
use super::facts::CONTACT_FACTS;
use super::resolve::{Hints, is_about_new_records, is_person};
use super::schema::readable;
use crate::{Action, Object, ObjectSchema, PlannedAction, PresentRecord};

/// The property with a contact's secondary addresses, separated by `;`.
pub(super) const MORE_ADDRESSES: &str = "hs_additional_emails";

/// The lead's contact.
#[derive(Clone)]
pub(super) struct Contact {
    pub(super) present: PresentRecord,
    /// Whether key or anchor already link it to the lead. Otherwise it was found by address and will be
    /// adopted.
    pub(super) linked: bool,
}

impl HubSpotCrm {
    /// Finds the lead's contact: by key, by anchor, and, if an action has the e-mail address, by address.
    pub(super) async fn contact_of(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        hints: Hints<'_>,
    ) -> Result<Option<Contact>, Failure> {
        let Some((mapping, schema)) = self.ready(Object::Lead).await? else { return Ok(None) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let properties = self.contact_properties(&schema);
        let email = actions.iter().find_map(|planned| address_of(&planned.action));
        let (found, mut linked) = match (self.memory.followed_contact(lead, self.clock.now()), email) {
            (Some(followed), _) if !hints.thorough => (Some(followed), true),
            (_, Some(email)) if !self.is_looked_up(lead, hints) && is_about_new_records(actions) => {
                (self.contact_by_address(email, object, &properties).await?, false)
            }
            (_, email) => self.looked_up_contact(lead, email, hints, &properties).await?,
        };
        let Some(present) = found else { return Ok(None) };
        // Another process may have created it with the lead's key since the lookup by key.
        linked |= present.value(key).is_some_and(|held| held == lead.as_str());
        Ok(Some(Contact { present: with_matching_address(present, email), linked }))
    }

    /// Whether the contact is one that users maintain, if the actions write it.
    pub(super) async fn is_adopted_by(
        &self,
        actions: &[PlannedAction],
        contact: Option<&Contact>,
    ) -> Result<bool, Failure> {
        let is_written = actions.iter().any(|planned| is_person(planned.action.object()));
        match (contact, self.mapping.object(Object::Lead)) {
            (Some(contact), Some(mapping)) if is_written => {
                self.is_adopted(&contact.present, mapping.external_id()).await
            }
            _ => Ok(false),
        }
    }

    /// Whether the lead is looked up in every way: a lead that may have been written before.
    pub(super) fn is_looked_up(&self, lead: &LeadId, hints: Hints<'_>) -> bool {
        hints.thorough || hints.written.is_some() || self.memory.is_written(lead, self.clock.now())
    }

    /// The contact by key, by anchor, as written before, and by address, and whether it is linked to the
    /// lead.
    async fn looked_up_contact(
        &self,
        lead: &LeadId,
        email: Option<&EmailAddress>,
        hints: Hints<'_>,
        properties: &[String],
    ) -> Result<(Option<PresentRecord>, bool), Failure> {
        let Some((mapping, _)) = self.ready(Object::Lead).await? else { return Ok((None, false)) };
        let (object, key) = (mapping.object(), mapping.external_id());
        let linked = self.linked_contact(lead, object, key, properties).await?;
        match (linked, hints.written, email) {
            (Some(linked), ..) => return Ok((Some(linked), true)),
            (None, Some(id), _) => {
                return Ok((Some(self.written_contact(id, object, properties).await?), true));
            }
            (None, None, None) => return Ok((None, false)),
            (None, None, Some(email)) => {
                self.memory.forget_absent(email.expose());
                if let Some(found) = self.contact_by_address(email, object, properties).await? {
                    return Ok((Some(found), false));
                }
            }
        }
        // The lookup by address finds none, but HubSpot named the holder of the address.
        match hints.conflicting_id {
            Some(id) => Ok((self.calls.read_by_id(object, id, properties).await?, false)),
            None => Ok((None, false)),
        }
    }

    /// The properties of a contact to read: those that the mapping writes, and those that identify it or are
    /// facts.
    pub(super) fn contact_properties(&self, schema: &ObjectSchema) -> Vec<String> {
        let mut properties = readable(&self.mapping, &[Object::Lead, Object::Contact], schema);
        let own = [MORE_ADDRESSES, MERGED].into_iter().chain(CONTACT_FACTS);
        properties.extend(own.filter(|name| schema.0.contains_key(*name)).map(str::to_owned));
        properties.sort_unstable();
        properties.dedup();
        properties
    }

    /// The contact that is linked to the lead by its key or, failing that, by the anchor.
    pub(super) async fn linked_contact(
        &self,
        lead: &LeadId,
        object: &str,
        key: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        if let Some(present) = self.calls.read_by(object, key, lead.as_str(), properties).await? {
            return Ok(Some(present));
        }
        match self.anchored_contact(lead).await? {
            Some(id) => self.calls.read_by_id(object, &id, properties).await,
            None => Ok(None),
        }
    }

    /// The contact with an address. An address without a contact is remembered for some minutes.
    pub(super) async fn contact_by_address(
        &self,
        email: &EmailAddress,
        object: &str,
        properties: &[String],
    ) -> Result<Option<PresentRecord>, Failure> {
        let email = email.expose();
        if self.memory.is_absent(email, self.clock.now()) {
            return Ok(None);
        }
        let found = self.calls.read_by(object, EMAIL, email, properties).await?;
        if found.is_none() {
            self.memory.note_absent(email, self.clock.now());
        }
        Ok(found)
    }
}

/// Reports the lead's address as the primary one if it is a secondary address of the contact.
///
/// The address then counts as written, so the contact keeps its primary address.
fn with_matching_address(mut present: PresentRecord, email: Option<&EmailAddress>) -> PresentRecord {
    let more = present.value(MORE_ADDRESSES).and_then(|more| more.as_str()).unwrap_or_default();
    if let Some(email) = email
        && more.split(';').any(|address| address.trim().eq_ignore_ascii_case(email.expose()))
    {
        present.fields.insert("email".to_owned(), email.expose().into());
    }
    present
}

/// The e-mail address of the person in an action.
fn address_of(action: &Action) -> Option<&EmailAddress> {
    match action {
        Action::UpsertLead(details) | Action::CreateLead(details) => Some(&details.email),
        Action::CreateContact(details) => Some(&details.email),
        _ => None,
    }
}
