use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_client::StatusCode;
use lead::{Failure, FailureClass};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::DEPENDENCY;
use super::api::{Api, Call};
use super::errors::{ADMIN_WAIT, Refusal};
use crate::address::AddressPart;
use crate::{Control, FieldKind, FieldOption, FieldSchema, ObjectSchema};

/// How long the describe of an object is cached.
const TTL: Duration = Duration::from_mins(15);

/// A cache of the schemas of the org's objects.
#[derive(Default)]
pub(super) struct SchemaCache {
    cached: Mutex<BTreeMap<String, (Instant, VisibleSchema)>>,
    /// Held during a read, so that leads that wait for the same schema share it.
    reading: tokio::sync::Mutex<()>,
}

/// The schema of an object; none if the object does not exist or is not visible to the integration's user.
pub(super) type VisibleSchema = Option<Arc<ObjectSchema>>;

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
    #[serde(default)]
    controller_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PicklistValue {
    #[serde(default = "default_true")]
    active: bool,
    value: String,
    label: Option<String>,
    /// A bit map over the values of the controlling field, in base64. The highest bit of the first byte
    /// stands for the first value.
    #[serde(default)]
    valid_for: Option<String>,
}

impl PicklistValue {
    fn option(&self) -> FieldOption {
        FieldOption {
            label: self.label.clone().unwrap_or_else(|| self.value.clone()),
            value: self.value.clone(),
        }
    }
}

/// The valid options of a state field, by the value of its controlling field.
///
/// Other dependent picklists are ignored, because the API enforces dependencies only for addresses.
fn control(field: &Field, all: &[Field]) -> Option<Control> {
    AddressPart::of(&field.name)?.country_of_state()?;
    let controller = all.iter().find(|other| Some(&other.name) == field.controller_name.as_ref())?;
    let mut options: BTreeMap<String, Vec<FieldOption>> = BTreeMap::new();
    for value in field.picklist_values.iter().filter(|value| value.active) {
        let bits = value.valid_for.as_ref().and_then(|text| STANDARD.decode(text).ok());
        for (index, country) in controller.picklist_values.iter().enumerate() {
            let bit =
                |bits: &Vec<u8>| bits.get(index / 8).is_some_and(|byte| byte & (0x80 >> (index % 8)) != 0);
            if bits.as_ref().is_none_or(bit) {
                options.entry(country.value.clone()).or_default().push(value.option());
            }
        }
    }
    Some(Control { field: controller.name.clone(), options })
}

impl SchemaCache {
    /// The schema of an object, from the cache or the org.
    pub(super) async fn get(&self, api: &Api, object: &str) -> Result<VisibleSchema, Refusal> {
        if let Some(schema) = self.cached(object) {
            return Ok(schema);
        }
        let _reading = self.reading.lock().await;
        if let Some(schema) = self.cached(object) {
            return Ok(schema);
        }
        let response = api.call(&Call::describe(format!("{}/sobjects/{object}/describe", api.base))).await?;
        let visible = if response.status == StatusCode::NOT_FOUND {
            None
        } else {
            let body = response.success().map_err(defer_refusal)?;
            let describe = Describe::deserialize(body).map_err(|_| unreadable())?;
            Some(Arc::new(schema(&describe)))
        };
        self.lock().insert(object.to_owned(), (Instant::now(), visible.clone()));
        Ok(visible)
    }

    /// The cached schema of an object. The outer level is none if it has to be read.
    fn cached(&self, object: &str) -> Option<VisibleSchema> {
        let cache = self.lock();
        cache.get(object).filter(|(at, _)| at.elapsed() < TTL).map(|(_, schema)| schema.clone())
    }

    /// The code fields (such as `Lead.CountryCode`) written instead of country and state, of the cached
    /// objects.
    pub(super) fn address_codes(&self) -> Vec<String> {
        let cache = self.lock();
        let objects = cache.iter().filter_map(|(object, (_, schema))| Some((object, schema.as_deref()?)));
        let codes = objects.flat_map(|(object, schema)| {
            schema
                .0
                .keys()
                .filter(|field| schema.written_as(field) != field.as_str())
                .map(move |field| format!("{object}.{}", schema.written_as(field)))
        });
        codes.collect()
    }

    /// Clears the cache, so that the next use reads the describes again.
    pub(super) fn invalidate(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Instant, VisibleSchema)>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns a permanent refusal to describe an object into a deferral. It affects every lead, so leads wait
/// instead of being dead-lettered.
fn defer_refusal(refusal: Refusal) -> Refusal {
    if refusal.failure.class() != FailureClass::Permanent {
        return refusal;
    }
    let Failure { code, message, .. } = refusal.failure;
    tracing::error!(dependency = %DEPENDENCY, %code, "Salesforce refused to describe an object");
    let waits = Failure::deferral(DEPENDENCY, "crm_refuses", message, Some(ADMIN_WAIT));
    Failure { code, ..waits }.into()
}

fn unreadable() -> Refusal {
    let message = "the describe of an object cannot be read";
    Failure::transient("crm_incomplete_answer", message).on(DEPENDENCY).into()
}

fn schema(describe: &Describe) -> ObjectSchema {
    let (createable, updateable) = (describe.createable, describe.updateable);
    let field = |field: &Field| {
        // Country and state picklists accept only their codes, even if they are not marked as restricted.
        let is_code = AddressPart::of(&field.name).is_some() && kind(&field.kind) == FieldKind::Picklist;
        let active = field.picklist_values.iter().filter(|value| value.active);
        let schema = FieldSchema {
            kind: kind(&field.kind),
            max_length: (field.length > 0).then_some(field.length),
            createable: createable && field.createable,
            updateable: updateable && field.updateable,
            options: active.map(PicklistValue::option).collect(),
            restricted: field.restricted_picklist || is_code,
            controlled_by: control(field, &describe.fields),
            unique: field.unique && field.external_id,
        };
        (field.name.clone(), schema)
    };
    ObjectSchema(describe.fields.iter().map(field).collect())
}

fn kind(kind: &str) -> FieldKind {
    match kind {
        "string" | "textarea" | "encryptedstring" => FieldKind::Text,
        "email" | "phone" | "url" => FieldKind::Exact,
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

fn default_true() -> bool {
    true
}

/// Whether a field is visible to the integration's user, so that a query may read it.
pub(super) fn has_field(schema: &ObjectSchema, field: &str) -> bool {
    schema.0.contains_key(field)
}

/// The text of a record's field; none if it is null, empty or missing.
pub(super) fn text_of(record: &Value, field: &str) -> Option<String> {
    record[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
