//! The guards of a call (circuit breaker and budget), and the second analyst.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analyst, FallbackAnalyst, ModelAnalyst, Models, Outcome, Prompt, Question, Reply, Service};
use breaker::Day;
use lead::FailureClass::{Deferral, Permanent, Transient};
use lead::{Clock as _, Dependency, Failure};
use sandbox::gemini::{KEY, Says, out_of_quota, overloaded};
use sandbox::{Fake, Fault, Misbehaviour, bedrock};
use serde_json::json;

use crate::support::{self, BUDGET, CLAUDE, GEMINI, Shared, answered, facts, gemini, refusal};

/// An analyst that calls Gemini first, and Bedrock after a failure.
fn relay(shared: &Shared, first: &Fake, second: &Fake) -> FallbackAnalyst {
    FallbackAnalyst::new(
        Arc::new(shared.gemini(first, GEMINI, KEY)),
        Arc::new(shared.bedrock(second, CLAUDE, bedrock::ACCESS_KEY_ID)),
    )
}

#[tokio::test]
async fn open_breaker_stops_all_processes_until_a_probe_succeeds() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let processes = [(); 2].map(|()| shared.gemini(&fake, GEMINI, KEY));
    fake.add_fault(overloaded());
    for turn in 0..5 {
        assert_eq!(refusal(&processes[turn % 2]).await, (Transient, "ai_unavailable".to_owned()));
    }
    for process in &processes {
        assert_eq!(refusal(process).await, (Transient, "ai_away".to_owned()), "the attempt counts");
    }
    assert_eq!(fake.exchanges().len(), 5, "no further request");

    shared.advance(5);
    let ai = &processes[0].dependencies()[0];
    assert!(processes[0].probe(ai).await.is_err(), "still down");
    assert_eq!(refusal(&processes[1]).await.1, "ai_away");
    assert_eq!(fake.exchanges().len(), 6, "one request, by the probe");

    fake.clear_faults();
    shared.advance(5);
    processes[0].probe(ai).await.unwrap();
    answered(&processes[1]).await;
}

#[tokio::test]
async fn exhausted_quota_defers_without_requests() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, GEMINI, KEY);
    fake.add_fault(out_of_quota(Some("26s"), false).times(1));
    assert_eq!(refusal(&analyst).await, (Deferral, "ai_rate_limited".to_owned()));
    shared.advance(6);
    let failure = analyst.analyse(&facts()).await.unwrap_err().failure;
    assert_eq!((failure.class(), failure.code.as_ref()), (Deferral, "ai_rate_limited"));
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(20)));
    assert_eq!(fake.exchanges().len(), 1);
    shared.advance(20);
    answered(&analyst).await;

    fake.add_fault(out_of_quota(None, true).times(1));
    let failure = analyst.analyse(&facts()).await.unwrap_err().failure;
    assert_eq!((failure.class(), failure.code.as_ref()), (Deferral, "ai_quota_exhausted"));
    // The manual clock is 26 seconds after midnight UTC; the quota resets at 8:00.
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(8 * 60 * 60 - 26)));
    shared.advance(8 * 60 * 60 - 27);
    assert_eq!(refusal(&analyst).await, (Deferral, "ai_quota_exhausted".to_owned()));
    shared.advance(1);
    answered(&analyst).await;
}

#[tokio::test]
async fn refused_key_is_not_retried_before_the_pause_ends() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, GEMINI, "wrong");
    for _ in 0..3 {
        assert_eq!(refusal(&analyst).await, (Permanent, "ai_credentials_refused".to_owned()));
    }
    assert_eq!(fake.exchanges().len(), 1);
    // Another process, started with the right key, recovers after five minutes at most.
    let repaired = shared.gemini(&fake, GEMINI, KEY);
    assert!(repaired.analyse(&facts()).await.is_err());
    shared.advance(300);
    answered(&repaired).await;
}

#[tokio::test]
async fn blocked_leads_do_not_open_the_breaker() {
    let (fake, gemini) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, GEMINI, KEY);
    gemini.will(vec![Says::Blocked("SAFETY".into()); 8]);
    for _ in 0..8 {
        assert_eq!(refusal(&analyst).await, (Permanent, "ai_blocked".to_owned()));
    }
    answered(&analyst).await;
}

#[tokio::test]
async fn refused_requests_do_not_open_the_breaker() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, GEMINI, KEY);
    let refused = Misbehaviour::answer(400, json!({ "error": { "status": "INVALID_ARGUMENT" } }));
    fake.add_fault(Fault::on("", refused).times(6));
    for _ in 0..6 {
        assert_eq!(refusal(&analyst).await, (Permanent, "ai_request_refused".to_owned()));
    }
    answered(&analyst).await;
}

/// A service that answers after the call of another analyst has exhausted the quota, or never.
struct Late(Option<ModelAnalyst>);

#[async_trait::async_trait]
impl Service for Late {
    fn provider(&self) -> &'static str {
        "gemini"
    }

    async fn ask(&self, _question: &Question) -> Result<Reply, Failure> {
        let Some(other) = &self.0 else { return std::future::pending().await };
        assert_eq!(refusal(other).await.1, "ai_quota_exhausted");
        Ok(Reply { outcome: Outcome::Text("{}".to_owned()), tokens: None, model: None })
    }

    async fn probe(&self) -> Result<(), Failure> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn late_answer_does_not_end_the_wait_for_a_quota() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    fake.add_fault(overloaded().times(1));
    refusal(&shared.gemini(&fake, GEMINI, KEY)).await;
    fake.add_fault(out_of_quota(None, true));
    let model = Models::built_in().model("gemini", GEMINI).unwrap();
    let slow = Late(Some(shared.gemini(&fake, GEMINI, KEY)));
    let slow = shared.analyst(Arc::new(slow), model, Prompt::built_in());
    assert_eq!(refusal(&slow).await.1, "ai_answer_unreadable", "the late answer");
    assert_eq!(refusal(&slow).await, (Deferral, "ai_quota_exhausted".to_owned()));
    assert_eq!(fake.exchanges().len(), 2, "no further request");
}

#[tokio::test(start_paused = true)]
async fn unanswered_probe_fails_within_seconds() {
    let (fake, _) = gemini().await;
    let shared = Shared::default();
    let analyst = shared.gemini(&fake, GEMINI, "wrong");
    refusal(&analyst).await;
    shared.advance(300);
    let model = Models::built_in().model("gemini", GEMINI).unwrap();
    let silent = shared.analyst(Arc::new(Late(None)), model, Prompt::built_in());
    let ai = &silent.dependencies()[0];
    let probe = tokio::time::timeout(Duration::from_secs(10), silent.probe(ai));
    let failure = probe.await.expect("the probe has a timeout").unwrap_err();
    assert_eq!((failure.class(), failure.code.as_ref()), (Transient, "http_timeout"));
    assert_eq!(failure.dependency(), Some(ai));
    assert_eq!(refusal(&silent).await, (Transient, "ai_away".to_owned()), "the breaker is open");
}

#[tokio::test]
async fn unusable_answer_is_a_failure_with_its_cost() {
    let (fake, gemini) = gemini().await;
    let shared = Shared::with_budget(10_000_000);
    gemini.will([Says::Text("I would call them.".to_owned()), Says::Blocked("SAFETY".into())]);
    let analyst = shared.gemini(&fake, GEMINI, KEY);
    for (class, code, said) in
        [(Transient, "ai_answer_unreadable", "I would call them."), (Permanent, "ai_blocked", "")]
    {
        let no = analyst.analyse(&facts()).await.unwrap_err();
        assert_eq!((no.failure.class(), no.failure.code.as_ref()), (class, code));
        assert_eq!(no.failure.dependency(), Some(&Dependency::new("ai.gemini")));
        assert!(!no.failure.message.contains("call them"), "{}", no.failure.message);
        let spent = no.spent.expect("the call was made");
        assert_eq!((spent.raw_answer.as_str(), spent.model.as_str()), (said, GEMINI));
        assert!(spent.usage.input_tokens > 1_000 && spent.usage.cost_microusd > 0, "{:?}", spent.usage);
    }
}

#[tokio::test]
async fn second_analyst_judges_after_an_unreadable_answer() {
    let (first, script) = gemini().await;
    let (second, _) = support::bedrock().await;
    let shared = Shared::default();
    let relay = relay(&shared, &first, &second);
    let second_only = answered(&shared.bedrock(&second, CLAUDE, bedrock::ACCESS_KEY_ID)).await.0;
    script.will([Says::Text("[]".to_owned())]);
    let analysis = answered(&relay).await.0;
    assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("bedrock", CLAUDE));
    assert!(analysis.usage.cost_microusd > second_only.usage.cost_microusd, "includes the cost of the first");
}

#[tokio::test]
async fn second_analyst_judges_after_any_failure_of_the_first() {
    let (first, script) = gemini().await;
    let (second, _) = support::bedrock().await;
    for fault in [
        None,
        Some(overloaded()),
        Some(out_of_quota(None, true)),
        Some(Fault::on("", Misbehaviour::answer(404, serde_json::json!({})))),
    ] {
        first.clear_faults();
        match fault {
            Some(fault) => first.add_fault(fault),
            None => script.will([Says::Blocked("SPII".into())]),
        }
        let shared = Shared::default();
        let relay = relay(&shared, &first, &second);
        let (analysis, _) = answered(&relay).await;
        assert_eq!((analysis.provider.as_str(), analysis.model.as_str()), ("bedrock", CLAUDE));
        assert_eq!(relay.dependencies().len(), 2);
    }
    first.clear_faults();
    let shared = Shared::default();
    let relay = relay(&shared, &first, &second);
    let before = second.exchanges().len();
    assert_eq!(answered(&relay).await.0.provider, "gemini");
    assert_eq!(second.exchanges().len(), before, "the first answered");
}

#[tokio::test]
async fn concurrent_calls_do_not_overspend_the_budget() {
    let (fake, _) = gemini().await;
    let shared = Shared::with_budget(100_000);
    let analyst = Arc::new(shared.gemini(&fake, GEMINI, KEY));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let analyst = Arc::clone(&analyst);
        running.spawn(async move { analyst.analyse(&facts()).await });
    }
    let results = running.join_all().await;
    let cost: u64 = results.iter().flatten().map(|analysis| analysis.usage.cost_microusd).sum();
    let refused = results.iter().filter_map(|result| Some(&result.as_ref().err()?.failure));
    assert!(refused.clone().count() > 0 && cost > 0);
    assert!(refused.clone().all(|failure| failure.code == "budget_spent" && failure.class() == Deferral));
    assert!(refused.clone().all(|failure| failure.dependency() == Some(&BUDGET)));
    assert!(cost <= 100_000, "{cost}");
    assert_eq!(shared.spending.spent(&BUDGET, Day::of(shared.clock.now())), cost);
    let answered = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(fake.exchanges().len(), answered, "refused calls send nothing");
}

#[tokio::test]
async fn possibly_charged_call_counts_with_its_worst_case() {
    let (fake, gemini) = gemini().await;
    let shared = Shared::with_budget(10_000_000);
    let analyst = shared.gemini(&fake, GEMINI, KEY);
    let spent = || shared.spending.spent(&BUDGET, Day::of(shared.clock.now()));
    fake.add_fault(overloaded().times(1));
    refusal(&analyst).await;
    assert_eq!(spent(), 0, "a refusal costs nothing");
    gemini.will([Says::Blocked("SAFETY".into())]);
    refusal(&analyst).await;
    let blocked = spent();
    assert!(blocked > 0, "the input tokens are charged");
    fake.add_fault(Fault::on("", Misbehaviour::LoseReply).times(1));
    refusal(&analyst).await;
    assert!(spent() - blocked > 30_000, "8,192 tokens at 3.75 dollars a million, and the question");
    let before = spent();
    let silent =
        json!({ "candidates": [{ "content": { "parts": [{ "text": "{" }] }, "finishReason": "STOP" }] });
    fake.add_fault(Fault::on("", Misbehaviour::answer(200, silent)).times(1));
    assert_eq!(refusal(&analyst).await.1, "ai_answer_unreadable");
    assert!(spent() - before > 30_000, "an answer without usage");
}

#[tokio::test]
async fn lead_above_the_daily_budget_does_not_block_others() {
    let (fake, _) = gemini().await;
    let shared = Shared::with_budget(1_000);
    assert_eq!(
        refusal(&shared.gemini(&fake, GEMINI, KEY)).await,
        (Permanent, "ai_budget_too_small".to_owned())
    );
    assert_eq!(fake.exchanges().len(), 0);
}

#[tokio::test]
async fn unused_half_open_probe_passes_to_the_next_caller() {
    let (fake, gemini) = gemini().await;
    let shared = Shared::with_budget(100_000);
    let analyst = shared.gemini(&fake, GEMINI, KEY);
    // Two calls with lost replies use up the budget, and the next three open the breaker.
    fake.add_fault(Fault::on("", Misbehaviour::LoseReply).times(1));
    fake.add_fault(overloaded().times(4));
    for _ in 0..5 {
        refusal(&analyst).await;
    }
    let rich = Shared { budget: None, ..shared.clone() }.gemini(&fake, GEMINI, KEY);
    let poor = Shared { budget: Some(60_000), ..shared.clone() }.gemini(&fake, GEMINI, KEY);
    assert_eq!(refusal(&rich).await.1, "ai_away");
    shared.advance(5);
    assert_eq!(refusal(&poor).await.1, "budget_spent");
    gemini.will([Says::Truth]);
    answered(&rich).await;
}
