//! The Gemini client against its fake.

use analysis::{Analyst as _, Models, Objection};
use grounding::{Answer, Contract, GroundingStatus, check};
use lead::FailureClass::{Deferral, Permanent, Transient};
use lead::{Decision, Dependency};
use sandbox::gemini::{Gemini, KEY, Says, out_of_quota, overloaded};
use sandbox::{Fake, Fault, Misbehaviour};
use serde_json::json;

use crate::support::{Shared, answered, facts, last, refusal};

const MODEL: &str = "gemini-3.8-flash";

async fn gemini() -> (Fake, Gemini) {
    let gemini = Gemini::default();
    (Fake::serve("gemini", gemini.router()).await.unwrap(), gemini)
}

#[tokio::test]
async fn truthful_answer_passes_the_contract_with_its_cost() {
    let (fake, _) = gemini().await;
    let (analysis, answer) = answered(&Shared::default().gemini(&fake, MODEL, KEY)).await;
    let verdict = check(&facts(), &answer, &Contract::default());
    assert_eq!(verdict.status, GroundingStatus::Valid, "{:?}", verdict.reasons);
    assert_eq!(answer.evidence[0].value, json!("Fintech"));
    assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("gemini", MODEL));
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
    answered(&Shared::default().gemini(&fake, MODEL, KEY)).await;
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
        let list = format!(
            "[[models]]\nprovider = \"gemini\"\nid = \"{MODEL}\"\noutput = \"{mode}\"\nmax_output_tokens = 4096\n\
             prices = [{{ from = \"2026-01-01\", input = 1, output = 1 }}]"
        );
        let model = Models::parse(&list).unwrap().model("gemini", MODEL).unwrap();
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
        let analyst = Shared::default().gemini(&fake, MODEL, KEY);
        assert_eq!(refusal(&analyst).await, (class, code.to_owned()), "{says:?}");
    }
    gemini.will([Says::Thoughts]);
    answered(&Shared::default().gemini(&fake, MODEL, KEY)).await;
    gemini.will([Says::Invention]);
    let (_, answer) = answered(&Shared::default().gemini(&fake, MODEL, KEY)).await;
    let verdict = check(&facts(), &answer, &Contract::default());
    assert_eq!(verdict.status, GroundingStatus::Rejected);
}

#[tokio::test]
async fn errors_are_classified() {
    let (fake, _) = gemini().await;
    let answer = |status| Fault::on("", Misbehaviour::answer(status, json!(null)));
    for (fault, class, code) in [
        (overloaded(), Transient, "ai_unavailable"),
        (answer(500), Transient, "ai_unavailable"),
        (Fault::on("", Misbehaviour::Refuse), Transient, "http_reply_lost"),
        (out_of_quota(Some("26.5s"), false), Deferral, "ai_rate_limited"),
        (out_of_quota(None, true), Deferral, "ai_quota_exhausted"),
    ] {
        fake.clear_faults();
        fake.add_fault(fault);
        let analyst = Shared::default().gemini(&fake, MODEL, KEY);
        assert_eq!(refusal(&analyst).await, (class, code.to_owned()));
    }
    fake.clear_faults();
    let wrong = Shared::default().gemini(&fake, MODEL, "wrong");
    assert_eq!(refusal(&wrong).await, (Permanent, "ai_credentials_refused".to_owned()));
    let list = "[[models]]\nprovider = \"gemini\"\nid = \"gemini-2.0-flash\"\noutput = \"prompt\"\nmax_output_tokens = 9\n\
                prices = [{ from = \"2026-01-01\", input = 1, output = 1 }]";
    let retired = Models::parse(list).unwrap().model("gemini", "gemini-2.0-flash").unwrap();
    let retired = Shared::default().gemini_of(&fake, retired, KEY);
    assert_eq!(refusal(&retired).await, (Permanent, "ai_model_retired".to_owned()));
}

#[tokio::test]
async fn probe_with_a_closed_breaker_sends_nothing() {
    let (fake, _) = gemini().await;
    let analyst = Shared::default().gemini(&fake, MODEL, KEY);
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
async fn fake_can_be_scripted_over_http() {
    let (fake, _) = gemini().await;
    let analyst = || Shared::default().gemini(&fake, MODEL, KEY);
    let client =
        http_client::Http::new(Dependency::new("sandbox"), http_client::HttpSettings::default()).unwrap();
    let script = async |lines: serde_json::Value| {
        let url = format!("{}/_says", fake.url()).parse().unwrap();
        client
            .send(client.request(http_client::Method::POST, url).json(&lines))
            .await
            .unwrap()
            .status
            .as_u16()
    };
    assert_eq!(script(json!({ "says": { "blocked": "SAFETY" }, "times": 2 })).await, 204);
    assert_eq!(script(json!({ "says": { "ends": "MAX_TOKENS" } })).await, 204);
    assert_eq!(script(json!({ "says": "invention" })).await, 204);
    assert_eq!(script(json!({ "says": "nonsense" })).await, 422);
    for code in ["ai_blocked", "ai_blocked", "ai_answer_cut"] {
        assert_eq!(refusal(&analyst()).await.1, code);
    }
    let invented = answered(&analyst()).await.1;
    assert_eq!(check(&facts(), &invented, &Contract::default()).status, GroundingStatus::Rejected);
    let truth = answered(&analyst()).await.1;
    assert_eq!(check(&facts(), &truth, &Contract::default()).status, GroundingStatus::Valid);
}

#[tokio::test]
async fn rejected_answer_is_retried_with_rules_and_paths() {
    let (fake, script) = gemini().await;
    let analyst = Shared::default().gemini(&fake, MODEL, KEY);
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
