//! Users and queues, and the records that they may own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::id::long_id;
use super::org::{Org, Record};
use super::schema::Object;

/// A user of the org.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The id, of 15 or 18 characters, with the prefix `005`.
    pub id: String,
    /// Whether the user may log in.
    pub active: bool,
}

/// A queue of the org.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// The id, of 15 or 18 characters, with the prefix `00G`.
    pub id: String,
    /// The objects whose records the queue may own, such as `Lead`.
    pub supports: Vec<String>,
}

/// The owner that a save sets.
enum Owner {
    User {
        is_active: bool,
    },
    Queue {
        is_supported: bool,
    },
    Unknown,
    /// The id of another object.
    Other,
}

impl Org {
    /// Adds a user, or changes its activity. False if the id is not a user's.
    pub fn put_user(&mut self, id: &str, active: bool) -> bool {
        let Some(id) = long_id(id).filter(|id| id.starts_with("005")) else { return false };
        let fields = Map::from_iter([("IsActive".to_owned(), json!(active))]);
        self.records.insert(id, Record { object: "User", fields, is_deleted: false });
        true
    }

    /// Adds a queue, or changes the objects that it supports. False if the id is not a queue's.
    pub fn put_queue(&mut self, id: &str, supports: &[&str]) -> bool {
        let Some(id) = long_id(id).filter(|id| id.starts_with("00G")) else { return false };
        self.records.retain(|_, record| {
            record.object != "QueueSobject" || record.fields.get("QueueId") != Some(&json!(id))
        });
        let fields = Map::from_iter([("Type".to_owned(), json!("Queue"))]);
        self.records.insert(id.clone(), Record { object: "Group", fields, is_deleted: false });
        for object in supports {
            self.insert("QueueSobject", json!({ "QueueId": id, "SobjectType": object }));
        }
        true
    }

    /// Checks that the owner set by a save may own the record.
    pub(super) fn check_owner(&self, object: &Object, written: &Map<String, Value>) -> Result<(), ApiError> {
        let owner = written.iter().find(|(name, _)| name.eq_ignore_ascii_case("OwnerId"));
        let Some(id) = owner.and_then(|(_, id)| id.as_str()).and_then(long_id) else { return Ok(()) };
        let (is_account, is_task) = (matches!(object.name, "Account" | "Opportunity"), object.name == "Task");
        let label = if is_task { "Assigned To ID" } else { "Owner ID" };
        match self.owner(object, &id) {
            Owner::User { is_active: true } | Owner::Queue { is_supported: true } => Ok(()),
            // Accounts and opportunities may be owned by inactive users.
            Owner::User { is_active: false } if is_account => Ok(()),
            Owner::User { is_active: false } => {
                let kind = object.name.to_lowercase();
                let message = format!("operation performed with inactive user [{id}] as owner of {kind}");
                Err(ApiError::bad("INACTIVE_OWNER_OR_USER", message).on([]))
            }
            Owner::Queue { is_supported: false } | Owner::Other => {
                let message = format!("{label}: id value of incorrect type: {id}");
                Err(ApiError::bad("FIELD_INTEGRITY_EXCEPTION", message).on(["OwnerId"]))
            }
            Owner::Unknown => {
                let message = format!("{label}: invalid cross reference id");
                Err(ApiError::bad("INVALID_CROSS_REFERENCE_KEY", message).on(["OwnerId"]))
            }
        }
    }

    /// Classifies an owner. An unlisted user is active unless `knows_all_users` is set; an unlisted queue
    /// owns only leads.
    fn owner(&self, object: &Object, id: &str) -> Owner {
        match (&id[..3], self.records.get(id)) {
            ("005", Some(user)) => {
                Owner::User { is_active: user.fields.get("IsActive") == Some(&json!(true)) }
            }
            ("005", None) if self.knows_all_users && id != Self::API_USER => Owner::Unknown,
            ("005", None) => Owner::User { is_active: true },
            ("00G", None) => Owner::Queue { is_supported: object.name == "Lead" },
            ("00G", Some(_)) => {
                let supports = |record: &Record| {
                    record.object == "QueueSobject"
                        && record.fields.get("QueueId") == Some(&json!(id))
                        && record.fields.get("SobjectType") == Some(&json!(object.name))
                };
                Owner::Queue { is_supported: self.records.values().any(supports) }
            }
            _ => Owner::Other,
        }
    }
}
