use std::collections::BTreeMap;

use serde_json::Value;

use super::account::Account;
use super::objects::Kind;
use super::properties::{LIFECYCLE, STAGES};
use super::refusal::{Invalid, Refusal};

/// Accepted values by name; an empty value clears the property.
pub(super) type Accepted = BTreeMap<String, String>;

impl Account {
    /// The values of one record, or a refusal that lists every invalid one.
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

    /// Why records cannot be assigned to this owner; None for an active owner of the account.
    fn refused_owner(&self, id: &str) -> Option<Invalid> {
        let id = id.trim();
        if id.is_empty() || self.settings.owners.iter().any(|owner| owner == id) {
            return None;
        }
        let is_archived = self.settings.archived_owners.iter().any(|owner| owner == id);
        let problem = if is_archived { "is archived" } else { "does not exist" };
        let message = format!("Owner {id} {problem}");
        Some(Invalid { name: "hubspot_owner_id".to_owned(), error: "INVALID_OWNER_ID", message })
    }

    /// The id of a record by its id or a unique property; of a contact also by a secondary address if the
    /// settings allow it.
    pub(super) fn find(&self, kind: Kind, property: Option<&str>, value: &str) -> Option<u64> {
        let found = self.objects.find(kind, property, value);
        let allows_secondary =
            kind == Kind::Contact && property == Some("email") && self.settings.finds_further_addresses;
        found.or_else(|| self.objects.with_secondary_address(value).filter(|_| allows_secondary))
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
        derive_values(kind, &mut values);
        let now = self.now();
        Ok(self.objects.insert(kind, values, now))
    }

    /// Changes a record. Like `HubSpot`, it silently ignores a lifecycle stage earlier than the current one.
    pub(super) fn update(&mut self, kind: Kind, id: u64, values: Accepted) -> Result<(), Refusal> {
        self.refuse_conflicts(kind, Some(id), &values)?;
        let now = self.now();
        let record = self.objects.get_mut(kind, id).ok_or_else(Refusal::not_found)?;
        for (name, value) in values {
            let old = record.properties.get(&name).map_or("", String::as_str);
            if name == "lifecyclestage" && !value.is_empty() && position(&value) < position(old) {
                continue;
            }
            if value.is_empty() {
                record.properties.remove(&name);
            } else {
                record.properties.insert(name, value);
            }
        }
        derive_values(kind, &mut record.properties);
        record.touch(now);
        Ok(())
    }

    /// Refuses a value that another record has in a unique property.
    pub(super) fn refuse_conflicts(
        &self,
        kind: Kind,
        id: Option<u64>,
        values: &Accepted,
    ) -> Result<(), Refusal> {
        for (name, value) in values {
            if value.is_empty() || name == "hs_object_id" || !self.properties.is_unique(kind, name) {
                continue;
            }
            let mut holder = self.objects.find(kind, Some(name), value);
            if name == "email" {
                holder = holder.or_else(|| self.objects.with_secondary_address(value));
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

fn position(stage: &str) -> Option<usize> {
    LIFECYCLE.iter().position(|known| *known == stage)
}

/// Sets the properties that `HubSpot` computes.
fn derive_values(kind: Kind, values: &mut Accepted) {
    if kind == Kind::Deal {
        let stage = values.get("dealstage").map_or("", String::as_str);
        let closed = STAGES.iter().any(|(id, _, closed)| *id == stage && *closed);
        values.insert("hs_is_closed".to_owned(), closed.to_string());
    }
}
