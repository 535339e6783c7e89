use std::collections::BTreeMap;

use serde_json::Value;

use super::account::Account;
use super::objects::Kind;
use super::properties::{LIFECYCLE, STAGES};
use super::refusal::{Invalid, Refusal};

/// Values that were accepted, by name; an empty one clears.
pub(super) type Accepted = BTreeMap<String, String>;

impl Account {
    /// The values of one record, or a refusal of them all.
    pub(super) fn accept(&self, kind: Kind, given: &Value) -> Result<Accepted, Refusal> {
        let owner = given["hubspot_owner_id"].as_str().and_then(|id| self.refused_owner(id));
        match (self.properties.accept(kind, given), owner) {
            (Ok(accepted), None) => Ok(accepted),
            (accepted, owner) => {
                let mut wrong = accepted.err().unwrap_or_default();
                wrong.extend(owner);
                Err(Refusal::invalid(&wrong))
            }
        }
    }

    /// Records are given to the account's active owners only.
    fn refused_owner(&self, id: &str) -> Option<Invalid> {
        let id = id.trim();
        if id.is_empty() || self.settings.owners.iter().any(|owner| owner == id) {
            return None;
        }
        let is_archived = self.settings.archived_owners.iter().any(|owner| owner == id);
        let what = if is_archived { "is archived" } else { "does not exist" };
        let message = format!("Owner {id} {what}");
        Some(Invalid { name: "hubspot_owner_id".to_owned(), error: "INVALID_OWNER_ID", message })
    }

    /// A record by its id or a unique property, and a contact by its further addresses where the account finds it so.
    pub(super) fn find(&self, kind: Kind, property: Option<&str>, value: &str) -> Option<u64> {
        let found = self.objects.find(kind, property, value);
        let may_be_further =
            kind == Kind::Contact && property == Some("email") && self.settings.finds_further_addresses;
        found.or_else(|| self.objects.with_further_address(value).filter(|_| may_be_further))
    }

    /// Creates a record.
    pub(super) fn create(&mut self, kind: Kind, mut values: Accepted) -> Result<u64, Refusal> {
        if matches!(kind, Kind::Note | Kind::Task) && !values.contains_key("hs_timestamp") {
            let message =
                format!("Error creating {}. Some required properties were not set.", kind.singular());
            return Err(Refusal::validation(message));
        }
        self.refuse_conflicts(kind, None, &values)?;
        values.retain(|_, value| !value.is_empty());
        keep_derived(kind, &mut values);
        let now = self.now();
        Ok(self.objects.insert(kind, values, now))
    }

    /// Changes a record. A stage of life that comes earlier than the present one is passed over without a word.
    pub(super) fn update(&mut self, kind: Kind, id: u64, values: Accepted) -> Result<(), Refusal> {
        self.refuse_conflicts(kind, Some(id), &values)?;
        let now = self.now();
        let record = self.objects.get_mut(kind, id).ok_or_else(Refusal::not_found)?;
        for (name, value) in values {
            let old = record.properties.get(&name).map_or("", String::as_str);
            if name == "lifecyclestage" && !value.is_empty() && place(&value) < place(old) {
                continue;
            }
            if value.is_empty() {
                record.properties.remove(&name);
            } else {
                record.properties.insert(name, value);
            }
        }
        keep_derived(kind, &mut record.properties);
        record.touch(now);
        Ok(())
    }

    /// No two records have the same value in a unique property.
    fn refuse_conflicts(&self, kind: Kind, id: Option<u64>, values: &Accepted) -> Result<(), Refusal> {
        for (name, value) in values {
            if value.is_empty() || name == "hs_object_id" || !self.properties.is_unique(kind, name) {
                continue;
            }
            let mut holder = self.objects.find(kind, Some(name), value);
            if name == "email" {
                holder = holder.or_else(|| self.objects.with_further_address(value));
            }
            let Some(holder) = holder.filter(|holder| Some(*holder) != id) else { continue };
            if name == "email" {
                let message = format!("Contact already exists. Existing ID: {holder}");
                return Err(Refusal::new(409, "CONFLICT", message));
            }
            let message = format!("{holder} already has that value.");
            return Err(Refusal::invalid(&[Invalid {
                name: name.clone(),
                error: "CONFLICTING_UNIQUE_VALUE",
                message,
            }]));
        }
        Ok(())
    }
}

fn place(stage: &str) -> Option<usize> {
    LIFECYCLE.iter().position(|known| *known == stage)
}

/// What `HubSpot` works out by itself.
fn keep_derived(kind: Kind, values: &mut Accepted) {
    if kind == Kind::Deal {
        let stage = values.get("dealstage").map_or("", String::as_str);
        let closed = STAGES.iter().any(|(id, _, closed)| *id == stage && *closed);
        values.insert("hs_is_closed".to_owned(), closed.to_string());
    }
}
