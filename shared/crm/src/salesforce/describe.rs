use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outbound::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::api::{Api, Call};
use super::errors::Refusal;
use crate::{FieldKind, FieldOption, FieldSchema, ObjectSchema};

/// How long a describe is believed.
const TTL: Duration = Duration::from_mins(15);

/// What the org says about its objects, read when needed and kept for a while.
#[derive(Default)]
pub(super) struct Schemas(Mutex<BTreeMap<String, (Instant, Known)>>);

/// None for an object that the org does not have, or does not show to us.
pub(super) type Known = Option<Arc<ObjectSchema>>;

#[derive(Deserialize)]
struct Describe {
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "as describe has them")]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    length: usize,
    #[serde(default)]
    createable: bool,
    #[serde(default)]
    updateable: bool,
    #[serde(default)]
    external_id: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    restricted_picklist: bool,
    #[serde(default)]
    picklist_values: Vec<PicklistValue>,
}

#[derive(Deserialize)]
struct PicklistValue {
    #[serde(default = "yes")]
    active: bool,
    value: String,
    label: Option<String>,
}

impl Schemas {
    /// An object's fields.
    pub(super) async fn get(&self, api: &Api, object: &str) -> Result<Known, Refusal> {
        if let Some((at, known)) = self.lock().get(object)
            && at.elapsed() < TTL
        {
            return Ok(known.clone());
        }
        let answer = api.call(&Call::get(format!("{}/sobjects/{object}/describe", api.base))).await?;
        let known = if answer.status == StatusCode::NOT_FOUND {
            None
        } else {
            let body = answer.success()?;
            let describe = Describe::deserialize(body).map_err(|_| unreadable())?;
            Some(Arc::new(schema(describe)))
        };
        self.lock().insert(object.to_owned(), (Instant::now(), known.clone()));
        Ok(known)
    }

    /// The org is not what it was: the next look asks again.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Instant, Known)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unreadable() -> Refusal {
    let message = "the describe of an object cannot be read";
    lead::Failure::transient("crm_incomplete_answer", message).on(super::DEPENDENCY).into()
}

fn schema(describe: Describe) -> ObjectSchema {
    let (createable, updateable) = (describe.createable, describe.updateable);
    let field = |field: Field| {
        let option = |value: PicklistValue| FieldOption {
            label: value.label.unwrap_or_else(|| value.value.clone()),
            value: value.value,
        };
        let schema = FieldSchema {
            kind: kind(&field.kind),
            max_length: (field.length > 0).then_some(field.length),
            createable: createable && field.createable,
            updateable: updateable && field.updateable,
            options: field.picklist_values.into_iter().filter(|value| value.active).map(option).collect(),
            restricted: field.restricted_picklist,
            unique: field.unique && field.external_id,
        };
        (field.name, schema)
    };
    ObjectSchema(describe.fields.into_iter().map(field).collect())
}

fn kind(kind: &str) -> FieldKind {
    match kind {
        "string" | "textarea" | "email" | "phone" | "url" | "encryptedstring" => FieldKind::Text,
        "int" | "long" => FieldKind::Integer,
        "double" | "currency" | "percent" => FieldKind::Number,
        "boolean" => FieldKind::Boolean,
        "date" => FieldKind::Date,
        "datetime" => FieldKind::DateTime,
        "picklist" | "combobox" => FieldKind::Picklist,
        "multipicklist" => FieldKind::Multipicklist,
        _ => FieldKind::Other,
    }
}

fn yes() -> bool {
    true
}

/// Whether a describe shows a field, for queries that need it.
pub(super) fn shows(schema: &ObjectSchema, field: &str) -> bool {
    schema.0.contains_key(field)
}

/// A record's text; none where it is null or missing.
pub(super) fn text_of(record: &Value, field: &str) -> Option<String> {
    record[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
