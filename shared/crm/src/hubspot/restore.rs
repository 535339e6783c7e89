//! Restoration of old field values.

use std::collections::HashMap;

use lead::Failure;
use serde_json::{Map, Value};

use super::records::{By, Row};
use super::{DEPENDENCY, HubSpotCrm};
use crate::{FieldChange, PresentRecord, Restored};

/// A property that must be cleared before it can be set to an earlier stage.
const STAGE: &str = "lifecyclestage";

impl HubSpotCrm {
    /// Decides every change against the current records, then writes each record. Returns one result per
    /// change.
    pub(super) async fn restore_changes(&self, changes: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        let mut records: HashMap<(String, String), PresentRecord> = HashMap::new();
        let mut fields: HashMap<(String, String), Map<String, Value>> = HashMap::new();
        for key in changes.iter().filter_map(key_of) {
            if records.contains_key(&key) {
                continue;
            }
            let (object, id) = &key;
            let of_record = changes.iter().filter(|change| key_of(change).as_ref() == Some(&key));
            let mut properties: Vec<String> = of_record.map(|change| change.field.clone()).collect();
            properties.dedup();
            if let Some(present) = self.calls.read_by_id(object, id, &properties).await? {
                records.insert(key, present);
            }
        }
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let key = key_of(change);
            let schema = self.schemas.get(&self.api, &change.object_name).await?;
            let present = key.as_ref().and_then(|key| records.get(key));
            match (change.restorable(schema.as_deref(), present), key) {
                (Ok(value), Some(key)) => {
                    // Older changes of the same field are compared with the value that this change restores.
                    if let Some(record) = records.get_mut(&key) {
                        record.fields.insert(change.field.clone(), value.clone());
                    }
                    fields.entry(key).or_default().insert(change.field.clone(), value);
                    results.push(Restored::PutBack);
                }
                (Ok(_), None) => results.push(Restored::Created),
                (Err(outcome), _) => results.push(outcome),
            }
        }
        self.memory.forget_all_companies();
        for ((object, id), fields) in fields {
            if fields.get(STAGE).is_some_and(|stage| !stage.is_null()) {
                let cleared = Map::from_iter([(STAGE.to_owned(), Value::Null)]);
                self.update_one(&object, &id, cleared).await?;
            }
            self.update_one(&object, &id, fields).await?;
        }
        Ok(results)
    }

    async fn update_one(&self, object: &str, id: &str, fields: Map<String, Value>) -> Result<(), Failure> {
        let written = self.calls.write(object, By::Id, Row::new(id, fields)).await?;
        let Some(refused) = written.left_out.first() else { return Ok(()) };
        let message = format!("HubSpot does not accept the old value of {}", refused.property);
        Err(Failure::permanent("crm_values_refused", message).on(DEPENDENCY))
    }
}

/// The object and the id of the changed record; none if the change has no record id.
fn key_of(change: &FieldChange) -> Option<(String, String)> {
    Some((change.object_name.clone(), change.record_id.clone()?))
}
