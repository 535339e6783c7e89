//! Setup of an account: creation of the `revenueflow_` properties.

use lead::Failure;
use serde::Serialize;
use serde_json::{Value, json};

use super::HubSpotCrm;
use super::errors::RefusalKind;
use crate::{Object, ObjectMapping, ObjectSchema, Rule};

/// The prefix of the properties that setup creates.
///
/// Other missing properties are not created: either the mapping is wrong, or an administrator must create
/// them.
pub(super) const OWN_PREFIX: &str = "revenueflow_";

/// A property that an account lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewProperty {
    /// `HubSpot`'s object, such as `contacts`.
    pub object: String,
    /// The name in the API.
    pub name: String,
    /// The label in the user interface.
    pub label: String,
    /// `string`, `number`, `bool` or `datetime`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The input control: `text`, `textarea`, `number`, `booleancheckbox` or `date`.
    pub field_type: &'static str,
    /// Whether values must be unique.
    pub unique: bool,
}

impl HubSpotCrm {
    /// The properties with the prefix `revenueflow_` that the mapping uses and the account lacks.
    pub async fn missing_properties(&self) -> Result<Vec<NewProperty>, Failure> {
        self.schemas.invalidate();
        let mut missing: Vec<NewProperty> = Vec::new();
        for (object, mapping) in self.mapping.objects() {
            let schema = self.schemas.get(&self.api, mapping.object()).await?;
            let Some(schema) = schema else { continue };
            for property in missing_from(object, mapping, &schema) {
                let known =
                    |other: &NewProperty| other.object == property.object && other.name == property.name;
                if !missing.iter().any(known) {
                    missing.push(property);
                }
            }
        }
        Ok(missing)
    }

    /// Creates a property. Succeeds if another process has created it in the meantime.
    pub async fn create_property(&self, property: &NewProperty) -> Result<(), Failure> {
        let path = self.api.path("properties", &[&property.object]);
        let group = self.group_of(&path).await?;
        let options = match property.kind {
            "bool" => json!([{"label": "Yes", "value": "true"}, {"label": "No", "value": "false"}]),
            _ => json!([]),
        };
        let body = json!({
            "name": property.name, "label": property.label, "type": property.kind,
            "fieldType": property.field_type, "groupName": group, "hasUniqueValue": property.unique,
            "options": options, "description": "Written by RevenueFlow",
        });
        let created = self.api.write(&path, &body).await;
        self.schemas.invalidate();
        match created {
            Err(refused) if refused.kind == RefusalKind::Conflict => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// The property group of the object's first writable property, since every object names its groups
    /// differently.
    async fn group_of(&self, path: &str) -> Result<String, Failure> {
        let response = self.api.get_if_there(path, &[]).await?.unwrap_or_default();
        let writable =
            |property: &&Value| property["modificationMetadata"]["readOnlyValue"] == Value::Bool(false);
        let first =
            response["results"].as_array().into_iter().flatten().find(writable).cloned().unwrap_or_default();
        Ok(first["groupName"].as_str().unwrap_or_default().to_owned())
    }
}

fn missing_from(object: Object, mapping: &ObjectMapping, schema: &ObjectSchema) -> Vec<NewProperty> {
    let property = |name: &str, (kind, field_type), unique| NewProperty {
        object: mapping.object().to_owned(),
        name: name.to_owned(),
        label: label_of(name),
        kind,
        field_type,
        unique,
    };
    let key = mapping.external_id();
    let is_missing = |name: &str| name.starts_with(OWN_PREFIX) && !schema.0.contains_key(name);
    let mut missing = Vec::new();
    if is_missing(key) {
        missing.push(property(key, ("string", "text"), true));
    }
    for rule in mapping.rules().iter().filter(|rule| is_missing(rule.field())) {
        missing.push(property(rule.field(), type_of(object, rule), false));
    }
    missing
}

/// The property type for the values of a mapping rule.
fn type_of(object: Object, rule: &Rule) -> (&'static str, &'static str) {
    match rule.examples().first().map(|example| &example.value) {
        Some(Value::Number(_)) => ("number", "number"),
        Some(Value::Bool(_)) => ("bool", "booleancheckbox"),
        Some(Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => ("datetime", "date"),
        _ if object == Object::Lead && rule.origin() == "score.summary" => ("string", "textarea"),
        _ => ("string", "text"),
    }
}

/// The label of a property: `RevenueFlow domain key` for `revenueflow_domain_key`.
fn label_of(name: &str) -> String {
    let rest = name.strip_prefix(OWN_PREFIX).unwrap_or(name).replace('_', " ");
    format!("RevenueFlow {rest}")
}
