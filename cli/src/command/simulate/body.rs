//! Bodies of leads as Marketo's templates write them, in JSON or as a form.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::{Map, Value, json};

/// The style of a sender's bodies. Every post of a lead has the same style.
#[derive(Clone, Copy)]
pub(super) struct Style {
    is_form: bool,
    writes_empty_texts: bool,
    writes_numbers_as_text: bool,
}

/// Fields of a template that are empty for a lead without a value.
const TEMPLATE_FIELDS: &[(&str, &str)] = &[("phone", ""), ("title", "null"), ("company", "")];

impl Style {
    pub(super) fn draw(random: &mut Xoshiro256PlusPlus) -> Self {
        Self {
            is_form: random.random_bool(0.1),
            writes_empty_texts: random.random_bool(0.25),
            writes_numbers_as_text: random.random_bool(0.3),
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        if self.is_form { "application/x-www-form-urlencoded" } else { "application/json" }
    }

    pub(super) fn write(self, mut fields: Map<String, Value>) -> Vec<u8> {
        if self.writes_empty_texts {
            for (name, empty) in TEMPLATE_FIELDS {
                fields.entry(*name).or_insert_with(|| json!(empty));
            }
        }
        if self.writes_numbers_as_text {
            fields.values_mut().for_each(numbers_to_text);
        }
        if self.is_form { form(&fields) } else { Value::Object(fields).to_string().into_bytes() }
    }
}

fn numbers_to_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Object(members) => members.values_mut().for_each(numbers_to_text),
        _ => {}
    }
}

/// Writes a form body. Objects become `marketo.lead_id=..`. A form has no lists, so that an object with a
/// list is written as JSON text.
fn form(fields: &Map<String, Value>) -> Vec<u8> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        match value {
            Value::Object(members) if !members.values().any(Value::is_array) => {
                for (member, value) in members {
                    form.append_pair(&format!("{name}.{member}"), &text(value));
                }
            }
            value => {
                form.append_pair(name, &text(value));
            }
        }
    }
    form.finish().into_bytes()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
