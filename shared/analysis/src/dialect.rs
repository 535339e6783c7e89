//! The schema of an answer in the JSON schema dialects of the services.

use grounding::Answer;
use serde_json::{Value, json};

/// Keywords that Bedrock's structured output refuses: bounds and related keywords. [`Answer::parse`] enforces
/// the bounds anyway.
#[cfg(feature = "bedrock")]
const REFUSED_BY_BEDROCK: [&str; 13] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "format",
    "propertyOrdering",
];

/// The schema for Gemini's `responseJsonSchema`. It includes the bounds that Gemini understands, and its
/// order makes the model write the evidence before the decision.
pub(crate) fn gemini() -> Value {
    let mut schema = Answer::schema();
    let properties = &mut schema["properties"];
    properties["fit_score"]["minimum"] = json!(0);
    properties["fit_score"]["maximum"] = json!(100);
    properties["evidence"]["maxItems"] = json!(Answer::MAX_CLAIMS);
    schema["propertyOrdering"] = json!(["evidence", "reasoning", "fit_score", "intent", "decision"]);
    schema
}

/// The schema for Bedrock's `jsonSchema` and for the input of a tool.
#[cfg(feature = "bedrock")]
pub(crate) fn bedrock() -> Value {
    without_refused(Answer::schema())
}

/// The schema as prompt text, for models without structured output and tools.
pub(crate) fn in_words() -> String {
    format!(
        "\n\n# Form of the answer\n\nOne JSON object and nothing around it, valid by this JSON schema:\n\n{}",
        Answer::schema()
    )
}

/// Removes the refused keywords from a schema. Properties with such a name stay.
#[cfg(feature = "bedrock")]
fn without_refused(schema: Value) -> Value {
    match schema {
        Value::Object(schema) => schema
            .into_iter()
            .filter(|(keyword, _)| !REFUSED_BY_BEDROCK.contains(&keyword.as_str()))
            .map(|(keyword, value)| match (keyword.as_str(), value) {
                ("properties" | "$defs", Value::Object(named)) => {
                    let named = named.into_iter().map(|(name, schema)| (name, without_refused(schema)));
                    (keyword, Value::Object(named.collect()))
                }
                ("enum" | "const" | "required", value) => (keyword, value),
                (_, value) => (keyword, without_refused(value)),
            })
            .collect(),
        Value::Array(schemas) => schemas.into_iter().map(without_refused).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemini_schema_adds_bounds_and_an_order() {
        let mut schema = gemini();
        assert_eq!(schema["properties"]["fit_score"]["maximum"], 100);
        let order = schema.as_object_mut().unwrap().remove("propertyOrdering").unwrap();
        assert_eq!(order.as_array().unwrap().len(), schema["properties"].as_object().unwrap().len());
        schema["properties"]["fit_score"].as_object_mut().unwrap().retain(|key, _| !key.ends_with("imum"));
        schema["properties"]["evidence"].as_object_mut().unwrap().remove("maxItems");
        assert_eq!(schema, Answer::schema());
    }

    #[cfg(feature = "bedrock")]
    #[test]
    fn refused_keywords_are_removed_and_names_stay() {
        assert_eq!(bedrock(), Answer::schema());
        let schema = json!({
            "type": "object", "required": ["format"], "additionalProperties": false,
            "properties": {
                "format": { "enum": ["minimum"], "minLength": 1 },
                "list": { "type": "array", "maxItems": 3, "items": { "anyOf": [{ "type": "number", "minimum": 0 }] } }
            }
        });
        let expected = json!({
            "type": "object", "required": ["format"], "additionalProperties": false,
            "properties": {
                "format": { "enum": ["minimum"] },
                "list": { "type": "array", "items": { "anyOf": [{ "type": "number" }] } }
            }
        });
        assert_eq!(without_refused(schema), expected);
    }
}
