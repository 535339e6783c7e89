//! Administration of an org over HTTP: `/_sandbox/org`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::people::{Queue, User};
use super::{Field, Org, Salesforce, ValidationRule};

/// A change of an org. Absent fields change nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OrgChange {
    /// Enables State and Country/Territory picklists. They cannot be disabled again.
    pub address_picklists: bool,
    /// Users to add or change.
    pub users: Vec<User>,
    /// Queues to add or change.
    pub queues: Vec<Queue>,
    /// Whether an unlisted user is unknown as an owner; otherwise such a user counts as active.
    pub knows_all_users: Option<bool>,
    /// Picklists to restrict to these values.
    pub restricted_picklists: Vec<Picklist>,
    /// Fields to make read-only for the integration's user.
    pub read_only: Vec<FieldName>,
    /// Values to refuse.
    pub validation_rules: Vec<ValidationRule>,
    /// Records to merge: the loser is deleted and refers to the winner.
    pub merges: Vec<Merge>,
}

/// A picklist and its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picklist {
    object: String,
    field: String,
    values: Vec<String>,
}

/// A field of an object.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FieldName {
    object: String,
    field: String,
}

/// Two records of one object, by their ids.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Merge {
    winner: String,
    loser: String,
}

impl Org {
    /// Changes the org. False if a part of the change is invalid; all other parts are applied.
    pub fn change(&mut self, change: &OrgChange) -> bool {
        let mut is_valid = true;
        if change.address_picklists {
            self.enable_address_picklists();
        }
        for user in &change.users {
            is_valid &= self.put_user(&user.id, user.active);
        }
        for queue in &change.queues {
            let supports: Vec<&str> = queue.supports.iter().map(String::as_str).collect();
            is_valid &= self.put_queue(&queue.id, &supports);
        }
        self.knows_all_users = change.knows_all_users.unwrap_or(self.knows_all_users);
        for Picklist { object, field, values } in &change.restricted_picklists {
            let found = self.object_mut(object).and_then(|object| object.field_mut(field));
            is_valid &= found.is_some();
            if let Some(found) = found {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                *found = Field { required: found.required, ..Field::picklist(field, &values).restricted() };
            }
        }
        for FieldName { object, field } in &change.read_only {
            let found = self.object_mut(object).and_then(|object| object.field_mut(field));
            is_valid &= found.is_some();
            if let Some(found) = found {
                (found.createable, found.updateable) = (false, false);
            }
        }
        self.validation_rules.extend(change.validation_rules.iter().cloned());
        for Merge { winner, loser } in &change.merges {
            is_valid &= self.merge(winner, loser);
        }
        is_valid
    }
}

pub(super) async fn change(
    State(salesforce): State<Salesforce>,
    Json(change): Json<OrgChange>,
) -> StatusCode {
    let is_valid = salesforce.org(|org| org.change(&change));
    if is_valid { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST }
}

pub(super) async fn show(State(salesforce): State<Salesforce>) -> Json<Value> {
    salesforce.org(|org| {
        Json(json!({
            "address_picklists": org.has_address_picklists(), "knows_all_users": org.knows_all_users,
            "users": org.records("User"), "queues": org.records("QueueSobject"),
            "validation_rules": org.validation_rules, "calls": org.calls, "daily_calls": org.daily_calls,
        }))
    })
}
