//! The Gemini client against its fake.

use analysis::{Analyst as _, Models, Objection};
use grounding::{Answer, Contract, GroundingStatus, check};
use lead::FailureClass::{Permanent, Transient};
use lead::{Decision, Dependency};
use sandbox::gemini::{KEY, Says};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{GEMINI, Shared, answered, facts, gemini, last, listed, refusal};

#[tokio::test]
async fn truthful_answer_passes_the_contract_with_its_cost() {
    let (fake, _) = gemini().await;
    let (analysis, answer) = answered(&Shared::default().gemini(&fake, GEMINI, KEY)).await;
    let verdict = check(&facts(), &answer, &Contract::default());
    assert_eq!(verdict.status, GroundingStatus::Valid, "{:?}", verdict.reasons);
    assert_eq!(answer.evidence[0].value, json!("Fintech"));
    assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("gemini", GEMINI));
    assert!(analysis.prompt_version.unwrap().starts_with("judge-v2@"));
    let usage = analysis.usage;
    assert!(usage.input_tokens > 1_000 && usage.output_tokens > 50, "{usage:?}");
    // 0.75 and 3.75 dollars per million: the manual clock is before the day of the first price.
    let nanos = usage.input_tokens * 750 + usage.output_tokens * 3_750;
    assert_eq!(usage.cost_microusd, nanos.div_ceil(1_000));
}

#[tokio::test]
async fn request_is_bounded_and_has_no_sampling_parameter() {
    let (fake, _) = gemini().await;
    answered(&Shared::default().gemini(&fake, GEMINI, KEY)).await;
    let request = last(&fake);
    assert_eq!(request.path, "/v1beta/models/gemini-3.8-flash:generateContent");
    let generation = &request.json()["generationConfig"];
    let mut names: Vec<_> = generation.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["maxOutputTokens", "responseJsonSchema", "responseMimeType", "thinkingConfig"]);
    assert!(!request.path.contains(KEY), "the key is in a header only");
    let text = String::from_utf8(request.body.to_vec()).unwrap();
    assert!(!text.contains("ann.smith"), "nothing personal is sent");
}

#[tokio::test]
async fn every_output_mode_gives_an_answer() {
    let (fake, _) = gemini().await;
    for mode in ["json_schema", "tool", "prompt"] {
        let model = listed("gemini", GEMINI, mode, "");
        let (_, answer) = answered(&Shared::default().gemini_of(&fake, model, KEY)).await;
        assert_eq!(answer.decision, Decision::Ignore, "{mode}");
    }
}

#[tokio::test]
async fn finish_reasons_are_classified() {
    let (fake, gemini) = gemini().await;
    for (says, class, code) in [
        (Says::Blocked("PROHIBITED_CONTENT".into()), Permanent, "ai_blocked"),
        (Says::Ends("SPII".into()), Permanent, "ai_blocked"),
        (Says::Ends("MAX_TOKENS".into()), Permanent, "ai_answer_cut"),
        (Says::ThinksTooLong, Permanent, "ai_answer_cut"),
        (Says::Ends("MALFORMED_RESPONSE".into()), Transient, "ai_answer_unusable"),
        (Says::Text(String::new()), Transient, "ai_answer_unusable"),
    ] {
        gemini.will([says.clone()]);
        let analyst = Shared::default().gemini(&fake, GEMINI, KEY);
        assert_eq!(refusal(&analyst).await, (class, code.to_owned()), "{says:?}");
    }
    gemini.will([Says::Thoughts]);
    answered(&Shared::default().gemini(&fake, GEMINI, KEY)).await;
    gemini.will([Says::Invention]);
    let (_, answer) = answered(&Shared::default().gemini(&fake, GEMINI, KEY)).await;
    let verdict = check(&facts(), &answer, &Contract::default());
    assert_eq!(verdict.status, GroundingStatus::Rejected);
}

#[tokio::test]
async fn errors_are_classified() {
    let (fake, _) = gemini().await;
    fake.add_fault(Fault::on("", Misbehaviour::Refuse));
    let analyst = Shared::default().gemini(&fake, GEMINI, KEY);
    assert_eq!(refusal(&analyst).await, (Transient, "http_reply_lost".to_owned()));
    fake.clear_faults();
    let wrong = Shared::default().gemini(&fake, GEMINI, "wrong");
    assert_eq!(refusal(&wrong).await, (Permanent, "ai_credentials_refused".to_owned()));
    let retired = listed("gemini", "gemini-2.0-flash", "prompt", "");
    let retired = Shared::default().gemini_of(&fake, retired, KEY);
    assert_eq!(refusal(&retired).await, (Permanent, "ai_model_retired".to_owned()));
}

#[tokio::test]
async fn probe_with_a_closed_breaker_sends_nothing() {
    let (fake, _) = gemini().await;
    let analyst = Shared::default().gemini(&fake, GEMINI, KEY);
    analyst.probe(&Dependency::new("ai.gemini")).await.unwrap();
    assert_eq!(fake.exchanges().len(), 0);
}

#[tokio::test]
async fn every_listed_model_answers() {
    let (fake, _) = gemini().await;
    for model in Models::built_in().ids("gemini") {
        assert_eq!(answered(&Shared::default().gemini(&fake, model, KEY)).await.0.model, model);
    }
}

#[tokio::test]
async fn rejected_answer_is_retried_with_rules_and_paths() {
    let (fake, script) = gemini().await;
    let analyst = Shared::default().gemini(&fake, GEMINI, KEY);
    script.will([Says::Invention]);
    let (first, invented) = answered(&analyst).await;
    let verdict = check(&facts(), &invented, &Contract::default());
    let objections = Objection::of(&verdict, &facts());
    let second = analyst.correct(&facts(), &first, &objections).await.unwrap().expect("a model can retry");
    let answer = Answer::parse(&second.raw_answer).unwrap();
    assert_eq!(check(&facts(), &answer, &Contract::default()).status, GroundingStatus::Valid);
    assert!(second.usage.cost_microusd > 0);
    let request = String::from_utf8_lossy(&last(&fake).body).into_owned();
    assert!(request.contains("value_conflict") && !request.contains("Interplanetary"), "{request}");
}
