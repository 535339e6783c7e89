//! The Bedrock client against its fake.

use analysis::{Analyst as _, Guards, ModelAnalyst, Models};
use grounding::{Contract, GroundingStatus, check};
use lead::FailureClass::{Deferral, Permanent, Transient};
use sandbox::bedrock::{ACCESS_KEY_ID, Says, fails};
use sandbox::{Fault, Misbehaviour};
use serde_json::json;

use crate::support::{CLAUDE, Shared, answered, bedrock, facts, last, listed, refusal};

#[tokio::test]
async fn every_output_mode_gives_an_answer() {
    let (fake, _) = bedrock().await;
    for (model, part) in [
        (CLAUDE, Some("outputConfig")),
        ("us.amazon.nova-2-lite-v1:0", Some("toolConfig")),
        ("openai.gpt-oss-120b-1:0", None),
    ] {
        let (analysis, answer) = answered(&Shared::default().bedrock(&fake, model, ACCESS_KEY_ID)).await;
        let verdict = check(&facts(), &answer, &Contract::default());
        assert_eq!(verdict.status, GroundingStatus::Valid, "{model}: {:?}", verdict.reasons);
        assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("bedrock", model));
        assert!(analysis.usage.cost_microusd > 0, "{model}");
        let request = last(&fake).json();
        for shape in ["outputConfig", "toolConfig"] {
            assert_eq!(request.get(shape).is_some(), part == Some(shape), "{model}: {shape}");
        }
        let in_words = request["system"][0]["text"].as_str().unwrap().contains("\"fit_score\":{");
        assert_eq!(
            in_words,
            part.is_none(),
            "{model}: the schema is in the prompt if no other field holds it"
        );
        assert!(request["inferenceConfig"]["maxTokens"].as_i64().unwrap() > 0, "always bounded");
        assert_eq!(request["inferenceConfig"].as_object().unwrap().len(), 1, "no sampling parameters");
    }
}

#[tokio::test]
async fn fixed_part_of_the_prompt_is_first_and_cacheable() {
    let (fake, _) = bedrock().await;
    answered(&Shared::default().bedrock(&fake, CLAUDE, ACCESS_KEY_ID)).await;
    let request = last(&fake).json();
    assert_eq!(request["system"][1]["cachePoint"]["type"], "default");
    // The instructions contain an example with facts of its own, so the test looks for a fact of this lead
    // only.
    let (fixed, baseline) = (request["system"].to_string(), "\"engagement_score\":85");
    assert!(!fixed.replace('\\', "").contains(baseline), "no facts of the lead");
    assert!(request["messages"][0]["content"][0]["text"].as_str().unwrap().contains(baseline));
    assert!(request["messages"][0]["content"][0]["text"].as_str().unwrap().contains("demo_request"));
}

#[tokio::test]
async fn stop_reasons_are_classified() {
    let (fake, bedrock) = bedrock().await;
    for (says, class, code) in [
        (Says::Ends("max_tokens".into()), Permanent, "ai_answer_cut"),
        (Says::Ends("model_context_window_exceeded".into()), Permanent, "ai_answer_cut"),
        (Says::Ends("guardrail_intervened".into()), Permanent, "ai_blocked"),
        (Says::Ends("content_filtered".into()), Permanent, "ai_blocked"),
        (Says::Ends("malformed_model_output".into()), Transient, "ai_answer_unusable"),
        (Says::Text(" ".to_owned()), Transient, "ai_answer_unusable"),
    ] {
        bedrock.will([says.clone()]);
        let analyst = Shared::default().bedrock(&fake, CLAUDE, ACCESS_KEY_ID);
        assert_eq!(refusal(&analyst).await, (class, code.to_owned()), "{says:?}");
    }
    bedrock.will([Says::Reasoning]);
    answered(&Shared::default().bedrock(&fake, CLAUDE, ACCESS_KEY_ID)).await;
}

#[tokio::test]
async fn errors_are_classified_and_not_retried() {
    let (fake, _) = bedrock().await;
    for (fault, class, code) in [
        (fails(503, "ServiceUnavailableException", "busy"), Transient, "ai_unavailable"),
        (Fault::on("", Misbehaviour::Refuse), Transient, "http_reply_lost"),
        (Fault::on("", Misbehaviour::answer(502, json!("<html>"))), Transient, "ai_unavailable"),
        (fails(429, "ThrottlingException", "Too many tokens per day"), Deferral, "ai_quota_exhausted"),
        (fails(400, "ValidationException", "bad"), Permanent, "ai_request_refused"),
    ] {
        fake.clear_faults();
        fake.add_fault(fault.clone());
        let before = fake.exchanges().len();
        let analyst = Shared::default().bedrock(&fake, CLAUDE, ACCESS_KEY_ID);
        assert_eq!(refusal(&analyst).await, (class, code.to_owned()), "{fault:?}");
        assert_eq!(fake.exchanges().len(), before + 1, "only the pipeline retries");
    }
}

#[tokio::test]
async fn wrong_key_and_wrong_model_have_different_codes() {
    let (fake, _) = bedrock().await;
    let wrong_key = Shared::default().bedrock(&fake, CLAUDE, "AKIDSOMEBODYELSE");
    assert_eq!(refusal(&wrong_key).await, (Permanent, "ai_credentials_refused".to_owned()));
    for id in ["anthropic.claude-haiku-5-5", "anthropic.claude-v2:1", "anthropic.nothing"] {
        let model = listed("bedrock", id, "prompt", "");
        let analyst = Shared::default().bedrock_of(&fake, model, ACCESS_KEY_ID);
        assert_eq!(refusal(&analyst).await, (Permanent, "ai_model_retired".to_owned()), "{id}");
    }
}

#[tokio::test]
async fn refused_connection_costs_nothing() {
    let shared = Shared::with_budget(1_000_000);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let model = Models::built_in().model("bedrock", CLAUDE).unwrap();
    let service = Shared::bedrock_service(&format!("http://{closed}"), &model, ACCESS_KEY_ID);
    let analyst = shared.analyst(service, model, analysis::Prompt::built_in());
    assert_eq!(refusal(&analyst).await, (Transient, "http_connect".to_owned()));
    let day = breaker::Day::of(lead::Clock::now(&shared.clock));
    assert_eq!(shared.spending.spent(&crate::support::BUDGET, day), 0);
}

#[tokio::test]
async fn probe_without_guards_calls_the_service() {
    let (fake, _) = bedrock().await;
    let model = Models::built_in().model("bedrock", CLAUDE).unwrap();
    let service = Shared::bedrock_service(&fake.url(), &model, ACCESS_KEY_ID);
    let clock = std::sync::Arc::new(lead::SystemClock);
    let prompt = analysis::Prompt::built_in();
    let analyst = ModelAnalyst::new(service, model, prompt, Contract::default(), Guards::default(), clock);
    analyst.probe(&ModelAnalyst::dependency("bedrock")).await.unwrap();
    assert_eq!(last(&fake).json()["inferenceConfig"]["maxTokens"], 16);
}

#[tokio::test]
async fn every_listed_model_answers_through_every_profile() {
    let (fake, _) = bedrock().await;
    let models = Models::built_in();
    for id in models.ids("bedrock") {
        for profile in ["us.", "eu.", "apac.", "us-gov.", "jp.", "au.", "global."] {
            let model = format!("{profile}{id}");
            let (analysis, _) = answered(&Shared::default().bedrock(&fake, &model, ACCESS_KEY_ID)).await;
            assert_eq!(analysis.model, model);
        }
    }
}

#[tokio::test]
async fn self_test_compiles_the_schema_with_a_long_timeout() {
    let (fake, _) = bedrock().await;
    let model = Models::built_in().model("bedrock", CLAUDE).unwrap();
    let impatient = Shared::bedrock_service_within(&fake.url(), &model, ACCESS_KEY_ID, 1);
    let analyst = Shared::default().analyst(impatient, model, analysis::Prompt::built_in());
    fake.add_fault(Fault::on("", Misbehaviour::DelayMs(1_500)));
    assert_eq!(refusal(&analyst).await, (Transient, "http_timeout".to_owned()));
    analyst.self_test(&ModelAnalyst::dependency("bedrock")).await.unwrap();
    let request = last(&fake).json();
    assert_eq!(request["outputConfig"]["textFormat"]["type"], "json_schema");
    assert_eq!(request["inferenceConfig"]["maxTokens"], 16);
}
