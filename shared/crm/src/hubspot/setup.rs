//! Preparing an account: the properties that are ours.

use lead::Failure;
use serde::Serialize;
use serde_json::{Value, json};

use super::HubSpotCrm;
use super::errors::Meaning;
use crate::{Object, ObjectMapping, ObjectSchema, Rule};

/// How the names of our properties begin. Others are not created: a mapping that names them has a mistake, or means a
/// property that somebody else is to create.
pub(super) const OURS: &str = "revenueflow_";

/// A property that an account lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewProperty {
    /// `HubSpot`'s object, such as `contacts`.
    pub object: String,
    /// The name in the API.
    pub name: String,
    /// The name that people see.
    pub label: String,
    /// `string`, `number`, `bool` or `datetime`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How it is shown: `text`, `textarea`, `number`, `booleancheckbox` or `date`.
    pub field_type: &'static str,
    /// Whether no two records may have the same value.
    pub unique: bool,
}

impl HubSpotCrm {
    /// The properties that the mapping asks for and the account lacks, as far as they are ours to create.
    pub async fn missing_properties(&self) -> Result<Vec<NewProperty>, Failure> {
        self.schemas.forget();
        let mut missing: Vec<NewProperty> = Vec::new();
        for (object, mapping) in self.mapping.objects() {
            let schema = self.schemas.get(&self.api, mapping.object()).await?;
            let Some(schema) = schema else { continue };
            for property in lacking(object, mapping, &schema) {
                let known =
                    |other: &NewProperty| other.object == property.object && other.name == property.name;
                if !missing.iter().any(known) {
                    missing.push(property);
                }
            }
        }
        Ok(missing)
    }

    /// Creates a property. One that was created meanwhile is no failure.
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
        self.schemas.forget();
        match created {
            Err(refused) if refused.meaning == Meaning::Conflict => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// The group of properties that the object's first writable property is in: every object has its own names for them.
    async fn group_of(&self, path: &str) -> Result<String, Failure> {
        let answer = self.api.get_if_there(path, &[]).await?.unwrap_or_default();
        let writable =
            |property: &&Value| property["modificationMetadata"]["readOnlyValue"] == Value::Bool(false);
        let first =
            answer["results"].as_array().into_iter().flatten().find(writable).cloned().unwrap_or_default();
        Ok(first["groupName"].as_str().unwrap_or_default().to_owned())
    }
}

fn lacking(object: Object, mapping: &ObjectMapping, schema: &ObjectSchema) -> Vec<NewProperty> {
    let property = |name: &str, (kind, field_type), unique| NewProperty {
        object: mapping.object().to_owned(),
        name: name.to_owned(),
        label: label_of(name),
        kind,
        field_type,
        unique,
    };
    let key = mapping.external_id();
    let is_lacking = |name: &str| name.starts_with(OURS) && !schema.0.contains_key(name);
    let mut lacking = Vec::new();
    if is_lacking(key) {
        lacking.push(property(key, ("string", "text"), true));
    }
    for rule in mapping.rules().iter().filter(|rule| is_lacking(rule.field())) {
        lacking.push(property(rule.field(), type_of(object, rule), false));
    }
    lacking
}

/// The type that holds what a rule sends.
fn type_of(object: Object, rule: &Rule) -> (&'static str, &'static str) {
    match rule.examples().first().map(|example| &example.value) {
        Some(Value::Number(_)) => ("number", "number"),
        Some(Value::Bool(_)) => ("bool", "booleancheckbox"),
        Some(Value::String(text)) if text.parse::<jiff::Timestamp>().is_ok() => ("datetime", "date"),
        _ if object == Object::Lead && rule.origin() == "score.summary" => ("string", "textarea"),
        _ => ("string", "text"),
    }
}

/// `revenueflow_domain_key` is shown as `RevenueFlow domain key`.
fn label_of(name: &str) -> String {
    let rest = name.strip_prefix(OURS).unwrap_or(name).replace('_', " ");
    format!("RevenueFlow {rest}")
}
