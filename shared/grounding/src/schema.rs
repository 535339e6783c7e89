use lead::{Decision, Intent};
use serde_json::{Value, json};

use crate::{Answer, ClaimType, Namespace};

impl Answer {
    /// The JSON schema of an answer, for models.
    ///
    /// It uses only keywords that the structured output of every provider supports. Limits of numbers and
    /// lengths are in the descriptions, and [`Answer::parse`] enforces them.
    pub fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["fit_score", "intent", "decision", "reasoning", "evidence"],
            "properties": {
                "fit_score": {
                    "type": "integer",
                    "description": "How well the company matches the ideal customer, 0 to 100."
                },
                "intent": {
                    "type": "string",
                    "enum": Intent::ALL,
                    "description": "How ready this person is to buy. Not the same as fit."
                },
                "decision": { "type": "string", "enum": Decision::ALL },
                "reasoning": {
                    "type": "string",
                    "description": format!("Why, in at most {} characters.", Self::MAX_REASONING_CHARS)
                },
                "evidence": {
                    "type": "array",
                    "description": format!("The facts this rests on, at most {}.", Self::MAX_CLAIMS),
                    "items": claim()
                }
            }
        })
    }
}

fn claim() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["source", "field_path", "value", "claim_type"],
        "properties": {
            "source": {
                "type": "string",
                "enum": Namespace::ALL.map(Namespace::source),
                "description": "The source that owns the path."
            },
            "field_path": {
                "type": "string",
                "description": "The path of the fact in the fact sheet, e.g. enrichment.industry, copied exactly."
            },
            "value": {
                "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }],
                "description": "The fact itself, copied exactly; of a list, one member."
            },
            "claim_type": {
                "type": "string",
                "enum": ClaimType::ALL.map(ClaimType::as_str),
                "description": "FIRMOGRAPHIC rests on ENRICHMENT; BEHAVIOR on MARKETO or PRODUCT; PIPELINE on SALESFORCE or COMPUTED; SCORE on the scores and levels of COMPUTED."
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_names_the_fields_that_parse_requires() {
        let schema = Answer::schema();
        let mut fields: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        fields.sort_unstable();
        let mut required: Vec<_> =
            schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        required.sort_unstable();
        assert_eq!(fields, required);
        for word in schema["properties"]["decision"]["enum"].as_array().unwrap() {
            assert!(Decision::parse(word.as_str().unwrap()).is_some());
        }
    }
}
