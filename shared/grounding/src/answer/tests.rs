use serde_json::json;

use super::*;

fn parse(raw: &str) -> Result<Answer, AnswerError> {
    Answer::parse(raw)
}

fn good() -> Value {
    json!({
        "fit_score": 85, "intent": "HIGH", "decision": "ROUTE_TO_SDR", "reasoning": "because",
        "evidence": [{"source": "ENRICHMENT", "field_path": "enrichment.industry", "value": "Fintech",
                      "claim_type": "FIRMOGRAPHIC"}],
    })
}

fn with(pointer: &str, value: Value) -> Result<Answer, AnswerError> {
    let mut answer = good();
    *answer.pointer_mut(pointer).unwrap() = value;
    parse(&answer.to_string())
}

#[test]
fn answer_in_the_agreed_shape_is_read() {
    let answer = parse(&good().to_string()).unwrap();
    assert_eq!((answer.fit_score.get(), answer.intent), (85, Intent::High));
    assert_eq!(answer.evidence[0].value, json!("Fintech"));
}

#[test]
fn text_around_one_object_is_ignored() {
    let json = good().to_string();
    for around in [
        "```json\n{}\n```",
        " \n```\n{}```\n",
        "\n{} ",
        "\u{feff}{}",
        "Here you are:\n```json\n{}\n```",
        "```python\n{}\n``` Done.",
        "{}\nDone.",
        "<answer>{}</answer>",
    ] {
        assert!(parse(&around.replace("{}", &json)).is_ok(), "{around}");
    }
    for around in ["{} {}", "[{}]", "[{}", "{}]", "{} {\"fit_score\": 1}", "{", "Sure!", "", "``````", "```"]
    {
        let text = around.replace("{}", &json);
        assert!(
            matches!(parse(&text), Err(AnswerError::NotJson { .. } | AnswerError::Shape { .. })),
            "{around}"
        );
    }
}

#[test]
fn answer_and_its_claims_are_objects() {
    let claim = json!(["ENRICHMENT", "enrichment.industry", "Fintech", "FIRMOGRAPHIC"]);
    let array = json!([85, "HIGH", "ROUTE_TO_SDR", "because", [claim]]);
    assert!(parse(&array.to_string()).is_err());
    assert!(matches!(with("/evidence/0", claim), Err(AnswerError::Shape { .. })));
}

#[test]
fn unknown_fields_are_ignored() {
    assert!(parse(&good().to_string().replacen('{', r#"{"fit":"HIGH","#, 1)).is_ok());
}

#[test]
fn every_field_is_required_once() {
    for field in ["fit_score", "intent", "decision", "reasoning", "evidence"] {
        let mut answer = good();
        answer.as_object_mut().unwrap().remove(field);
        assert_eq!(parse(&answer.to_string()), Err(AnswerError::Missing(field)));
    }
    for field in ["source", "field_path", "value", "claim_type"] {
        let mut answer = good();
        answer["evidence"][0].as_object_mut().unwrap().remove(field);
        assert!(matches!(parse(&answer.to_string()), Err(AnswerError::Missing(_))), "{field}");
    }
    let json = good().to_string();
    let twice = json.replacen('{', r#"{"fit_score":1,"#, 1);
    for wrong in [twice.as_str(), "[]", "null", "7"] {
        assert!(matches!(parse(wrong), Err(AnswerError::Shape { .. })), "{wrong}");
    }
    assert_eq!(with("/evidence/0", json!({"note": 1})), Err(AnswerError::Missing("evidence.value")));
}

#[test]
fn score_is_a_whole_number_from_0_to_100() {
    for score in [json!(0), json!(100), json!(85.0)] {
        assert!(with("/fit_score", score.clone()).is_ok(), "{score}");
    }
    for score in [json!(-1), json!(101), json!(85.5), json!(1e300), json!("85"), json!(null), json!(true)] {
        assert_eq!(with("/fit_score", score.clone()), Err(AnswerError::Invalid("fit_score")), "{score}");
    }
}

#[test]
fn words_outside_the_vocabulary_are_refused() {
    assert!(with("/intent", json!("high")).is_ok() && with("/decision", json!("Nurture")).is_ok());
    assert_eq!(with("/intent", json!("HIGH ")), Err(AnswerError::Invalid("intent")));
    assert_eq!(with("/intent", json!(null)), Err(AnswerError::Invalid("intent")));
    assert_eq!(with("/decision", json!("CALL_NOW")), Err(AnswerError::Invalid("decision")));
    assert_eq!(with("/reasoning", json!(["x"])), Err(AnswerError::Invalid("reasoning")));
    assert_eq!(with("/evidence/0/source", json!(1)), Err(AnswerError::Invalid("evidence.source")));
}

#[test]
fn every_part_is_bounded() {
    let claim = good()["evidence"][0].clone();
    assert!(with("/evidence", json!(vec![claim.clone(); 50])).is_ok());
    assert_eq!(with("/evidence", json!(vec![claim; 51])), Err(AnswerError::Invalid("evidence")));
    assert!(with("/reasoning", json!("é".repeat(4000))).is_ok());
    assert_eq!(with("/reasoning", json!("x".repeat(4001))), Err(AnswerError::Invalid("reasoning")));
    assert!(with("/evidence/0/value", json!("x".repeat(4094))).is_ok());
    assert!(with("/evidence/0/value", json!("x".repeat(4095))).is_err());
    assert!(with("/evidence/0/field_path", json!("x".repeat(257))).is_err());
    assert_eq!(parse(&" ".repeat(Answer::MAX_BYTES + 1)), Err(AnswerError::TooLong));
}

#[test]
fn debug_output_and_errors_repeat_nothing_of_the_model() {
    let mut answer = good();
    answer["reasoning"] = json!("Ann Smith called");
    let debug = format!("{:?}", parse(&answer.to_string()).unwrap());
    assert!(!debug.contains("Ann") && !debug.contains("Fintech"), "{debug}");
    let unknown = parse(r#"{"Ann Smith": 1}"#).unwrap_err().to_string();
    assert!(!unknown.contains("Ann"), "{unknown}");
}
