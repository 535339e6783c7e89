use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lead::{Failure, FailureClass};
use serde_json::Value;

use super::DEPENDENCY;
use super::HubSpotCrm;
use super::api::Api;
use crate::{FieldKind, FieldOption, FieldSchema, Mapping, Object, ObjectMapping, ObjectSchema};

/// How long the properties of an object are cached.
const TTL: SignedDuration = SignedDuration::from_mins(10);
/// The maximum length of a text property, in characters. The properties API does not report it.
const MAX_TEXT: usize = 65_536;

/// A cache of the properties of each object.
#[derive(Default)]
pub(super) struct SchemaCache {
    cached: Mutex<HashMap<String, Cached>>,
    /// Held during a read, so that leads that wait for the same properties share it.
    reading: tokio::sync::Mutex<()>,
}

/// The time of the last read, and the properties; none for an object that the account does not have.
type Cached = (Timestamp, Option<Arc<ObjectSchema>>);

impl SchemaCache {
    /// The properties of an object; none for an object that the account does not have.
    pub(super) async fn get(&self, api: &Api, object: &str) -> Result<Option<Arc<ObjectSchema>>, Failure> {
        api.refresh_utc_offset().await;
        if let Some((_, schema)) = self.cached(api, object) {
            return Ok(schema);
        }
        let _reading = self.reading.lock().await;
        if let Some((_, schema)) = self.cached(api, object) {
            return Ok(schema);
        }
        let now = api.now();
        let path = api.path("properties", &[object]);
        let response = api.get_if_there(&path, &[]).await.map_err(defer_refusal)?;
        let schema = response.map(|response| Arc::new(schema_of(&response)));
        self.lock().insert(object.to_owned(), (now, schema.clone()));
        Ok(schema)
    }

    /// The cached properties of an object; none if they have to be read.
    fn cached(&self, api: &Api, object: &str) -> Option<Cached> {
        let cached = self.lock().get(object).cloned()?;
        (api.now().duration_since(cached.0) < TTL).then_some(cached)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Cached>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Clears the cache, so that the next use reads the properties again.
    pub(super) fn invalidate(&self) {
        self.lock().clear();
    }
}

impl HubSpotCrm {
    /// The mapping and the properties of an object that can be written; none if the object is not mapped.
    ///
    /// Fails with a deferral if the key property is missing, not unique or read-only: without it, written
    /// records could not be found again.
    pub(super) async fn ready(
        &self,
        object: Object,
    ) -> Result<Option<(&ObjectMapping, Arc<ObjectSchema>)>, Failure> {
        let Some(mapping) = self.mapping.object(object) else { return Ok(None) };
        let schema = self.schemas.get(&self.api, mapping.object()).await?;
        let is_ready = |schema: &ObjectSchema| {
            schema.0.get(mapping.external_id()).is_some_and(|key| key.unique && key.createable)
        };
        let Some(schema) = schema.filter(|schema| is_ready(schema)) else {
            // The next attempt reads the properties again, in case an administrator has created the key
            // property.
            self.schemas.invalidate();
            return Err(setup_incomplete(mapping.object(), mapping.external_id()));
        };
        Ok(Some((mapping, schema)))
    }
}

/// Turns a permanent failure to read properties into a deferral. It affects every lead, so leads wait instead
/// of being dead-lettered.
fn defer_refusal(failure: Failure) -> Failure {
    if failure.class() != FailureClass::Permanent {
        return failure;
    }
    tracing::error!(dependency = %DEPENDENCY, code = %failure.code, "HubSpot properties not readable");
    let wait = Some(Duration::from_mins(1));
    Failure::deferral(DEPENDENCY, "crm_refuses", failure.message, wait).coded(failure.code)
}

/// The properties to read before a write: those of the mapped fields and the keys of `objects` that exist.
pub(super) fn readable(mapping: &Mapping, objects: &[Object], schema: &ObjectSchema) -> Vec<String> {
    let mapped = objects.iter().filter_map(|object| mapping.object(*object));
    let names = mapped.flat_map(|object| object.fields().chain([object.external_id()]));
    let mut names: Vec<String> =
        names.filter(|name| schema.0.contains_key(*name)).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The deferral for an account without the key property. Leads wait until the account is set up.
pub(super) fn setup_incomplete(object: &str, key: &str) -> Failure {
    let message =
        format!("HubSpot's {object} have no unique property {key}; `revenueflow crm setup` creates it");
    Failure::deferral(DEPENDENCY, "crm_setup_incomplete", message, Some(Duration::from_secs(15)))
}

fn schema_of(response: &Value) -> ObjectSchema {
    let properties = response["results"].as_array().into_iter().flatten();
    let named = properties.filter_map(|property| {
        let name = property["name"].as_str()?;
        Some((name.to_owned(), field_of(property)))
    });
    ObjectSchema(named.collect())
}

fn field_of(property: &Value) -> FieldSchema {
    let text = |key: &str| property[key].as_str().unwrap_or_default();
    let options: Vec<FieldOption> = property["options"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| {
            let value = option["value"].as_str()?.to_owned();
            let label = option["label"].as_str().map_or_else(|| value.clone(), str::to_owned);
            Some(FieldOption { value, label })
        })
        .collect();
    let kind = match (text("type"), text("fieldType")) {
        ("number", _) => FieldKind::Number,
        ("bool", _) | ("enumeration", "booleancheckbox") => FieldKind::Boolean,
        ("date", _) => FieldKind::Date,
        ("datetime", _) => FieldKind::DateTime,
        // Such as owners, whose ids are not listed as options.
        ("enumeration", _) if options.is_empty() => FieldKind::Other,
        ("enumeration", "checkbox") => FieldKind::Multipicklist,
        ("enumeration", _) => FieldKind::Picklist,
        ("string" | "phone_number", _) => FieldKind::Text,
        _ => FieldKind::Other,
    };
    let read_only = property["modificationMetadata"]["readOnlyValue"] == Value::Bool(true)
        || property["calculated"] == Value::Bool(true);
    FieldSchema {
        max_length: (kind == FieldKind::Text).then_some(MAX_TEXT),
        createable: !read_only,
        updateable: !read_only,
        restricted: matches!(kind, FieldKind::Picklist | FieldKind::Multipicklist),
        unique: property["hasUniqueValue"] == Value::Bool(true),
        controlled_by: None,
        options,
        kind,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn property_types_map_to_field_kinds() {
        let of = |kind: &str, field: &str, options: Value| {
            field_of(&json!({"type": kind, "fieldType": field, "options": options})).kind
        };
        let some = || json!([{"value": "A", "label": "a"}]);
        assert_eq!(of("string", "textarea", json!([])), FieldKind::Text);
        assert_eq!(of("enumeration", "select", some()), FieldKind::Picklist);
        assert_eq!(of("enumeration", "checkbox", some()), FieldKind::Multipicklist);
        assert_eq!(of("enumeration", "select", json!([])), FieldKind::Other);
        assert_eq!(of("enumeration", "booleancheckbox", some()), FieldKind::Boolean);
        assert_eq!(of("datetime", "date", json!([])), FieldKind::DateTime);
    }

    #[test]
    fn read_only_and_calculated_properties_are_not_written() {
        let read_only = json!({"type": "datetime", "modificationMetadata": {"readOnlyValue": true}});
        let calculated = json!({"type": "number", "calculated": true});
        for property in [read_only, calculated] {
            let field = field_of(&property);
            assert!(!field.createable && !field.updateable);
        }
    }
}
