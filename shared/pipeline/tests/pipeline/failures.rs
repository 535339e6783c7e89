//! Processing of a lead when the analyst or the CRM fails.

use std::time::Duration;

use crm::testing::{Fault, named};
use lead::{Decision, Dependency, Failure, FailureClass, LeadEvent, LeadStatus, Stage};
use on_both::on_both;
use queue::{LeadHandler as _, MAX_ATTEMPTS, Settlement, settle_failed};
use store::{AuditKind, Scope};
use testkit::fixtures::analyses;

use crate::support::{Fixture, Reply, hot, message};

const AI: Dependency = Dependency::new("ai.fake");

pub(crate) fn timeout() -> Failure {
    Failure::transient("ai_timeout", "no answer").on(AI)
}

/// Asserts that the lead has the neutral fallback verdict in the store and in the CRM.
async fn assert_neutral_verdict(fixture: &Fixture, event: &LeadEvent) {
    let lead = fixture.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.fit_score.unwrap().get()), (LeadStatus::Synced, 50));
    assert_eq!((lead.decision, lead.fallback), (Some(Decision::ManualReview), true));
    let fields = fixture.crm_lead(&event.lead_id).await.fields;
    assert_eq!((&fields["fit_score"], &fields["decision"]), (&50.into(), &"MANUAL_REVIEW".into()));
    assert_eq!((&fields["fallback"], &fields["status"]), (&true.into(), &"in_review".into()));
    assert_eq!(fixture.crm_counts().await, [1, 0, 0]);
}

#[on_both]
async fn analyst_that_fails_five_times_gives_a_fallback(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.analyst.will((1..=MAX_ATTEMPTS).map(|_| Reply::Fail(timeout())));
    for attempt in 1..MAX_ATTEMPTS {
        let failure = pipeline.handle(&message(&event, attempt)).await.unwrap_err();
        assert_eq!(failure, timeout().at(Stage::Analysis));
        let settlement = settle_failed(attempt, failure);
        pipeline.record(&message(&event, attempt), &settlement).await.unwrap();
        assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Retrying);
        assert!(fixture.crm().await.is_empty());
    }
    pipeline.handle(&message(&event, MAX_ATTEMPTS)).await.unwrap();
    assert_neutral_verdict(&fixture, &event).await;
    assert_eq!((fixture.provider.take_calls(), fixture.analyst.take_calls()), (1, 5));
    let retries =
        fixture.kinds(&event.lead_id).await.iter().filter(|kind| **kind == AuditKind::Retrying).count();
    assert_eq!(retries, 4);
}

#[on_both]
async fn permanent_analyst_failure_gives_a_fallback_at_once(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.analyst.will([Reply::Fail(Failure::permanent("ai_refused", "the model does not exist"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_neutral_verdict(&fixture, &event).await;
}

#[on_both]
async fn unreadable_answer_counts_as_an_attempt(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.analyst.will([Reply::Text("Sure! Here is my analysis."), Reply::Text("{\"fit_score\": 900}")]);
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!(named(&failure), "transient ai_answer_unreadable");
    assert!(!failure.message.contains("Sure"), "the model's words are not logged");
    fixture.record_failures(&pipeline, &event, Stage::Analysis, MAX_ATTEMPTS - 1).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_neutral_verdict(&fixture, &event).await;
}

#[on_both]
async fn readable_answer_of_a_retry_is_used(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.analyst.will([Reply::Text("")]);
    pipeline.handle(&message(&event, 1)).await.unwrap_err();
    pipeline.handle(&message(&event, 2)).await.unwrap();
    let lead = fixture.lead(&event.lead_id).await;
    assert_eq!((lead.decision, lead.fallback), (Some(Decision::RouteToSdr), false));
}

#[on_both]
async fn deferral_never_becomes_a_fallback(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    let quota = Failure::deferral(AI, "ai_quota", "the daily quota is reached", Some(Duration::from_mins(1)));
    fixture.analyst.will([Reply::Fail(quota.clone())]);
    let last = message(&event, MAX_ATTEMPTS);
    let failure = pipeline.handle(&last).await.unwrap_err();
    assert_eq!(failure, quota.at(Stage::Analysis));
    let settlement = settle_failed(MAX_ATTEMPTS, failure);
    assert!(matches!(settlement, Settlement::Defer { .. }));
    pipeline.record(&last, &settlement).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Retrying);
    assert_eq!(fixture.kinds(&event.lead_id).await.last(), Some(&AuditKind::Deferred));
    assert!(analyses(&fixture.store, &event.lead_id).await.is_empty());
    pipeline.handle(&last).await.unwrap();
    assert!(!fixture.lead(&event.lead_id).await.fallback);
}

#[on_both]
async fn crm_retry_uses_the_stored_judgement(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Transient)]);
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!(named(&failure), "deferral crm_outage");
    assert!(failure.message.contains("test_reset"), "{failure}");
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!((fixture.provider.take_calls(), fixture.analyst.take_calls()), (1, 1));
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
}

#[on_both]
async fn redrive_after_a_crm_refusal_resumes_from_stored_data(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Permanent)]);
    let first = message(&event, 1);
    let failure = pipeline.handle(&first).await.unwrap_err();
    pipeline.record(&first, &settle_failed(1, failure)).await.unwrap();
    let failed = fixture.lead(&event.lead_id).await;
    assert_eq!(
        (failed.status, failed.failure.unwrap().code.as_ref()),
        (LeadStatus::PermanentlyFailed, "test_refused")
    );
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!(
        (fixture.lead(&event.lead_id).await.status, failure.code.as_ref()),
        (LeadStatus::PermanentlyFailed, "test_refused"),
        "a dead-lettered lead stays dead-lettered"
    );

    let letter = fixture.store.dead_letter(event.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<LeadEvent>(&letter.body).unwrap(), event);
    fixture.reopen(&pipeline, &event.lead_id, false, "redrive").await;
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert_eq!((fixture.provider.take_calls(), fixture.analyst.take_calls()), (1, 1));
    assert_eq!(fixture.crm_counts().await, [1, 1, 1]);
}

#[on_both]
async fn rescored_lead_is_updated_in_the_crm(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.analyst.will([Reply::Fail(Failure::permanent("ai_refused", "no such model"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_neutral_verdict(&fixture, &event).await;
    fixture.reopen(&pipeline, &event.lead_id, true, "second look").await;
    let fields = fixture.crm_lead(&event.lead_id).await.fields;
    assert_eq!((&fields["decision"], &fields["fallback"]), (&"ROUTE_TO_SDR".into(), &false.into()));
    assert!(!fixture.lead(&event.lead_id).await.fallback);
    assert_eq!(fixture.crm_counts().await, [1, 1, 1]);
}

#[on_both]
async fn cost_of_an_unusable_answer_is_stored_with_the_fallback(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (blocked, unreadable, away) = (hot("ann", "CTO", 0), hot("bob", "CTO", 0), hot("cyd", "CTO", 0));
    fixture.analyst.will([
        Reply::Paid(Failure::permanent("ai_blocked", "kept back")),
        Reply::Text("I would call them."),
        Reply::Fail(Failure::permanent("ai_model_retired", "gone")),
    ]);
    for event in [&blocked, &unreadable, &away] {
        fixture.record_failures(&pipeline, event, Stage::Analysis, MAX_ATTEMPTS - 1).await;
        pipeline.handle(&message(event, 5)).await.unwrap();
    }
    let stored = async |event: &LeadEvent| {
        let analysis = fixture.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
        assert!(analysis.fallback);
        assert_eq!(analysis.verdict.decision, Decision::ManualReview);
        analysis
    };
    let paid = stored(&blocked).await;
    assert_eq!((paid.input_tokens, paid.output_tokens, paid.cost_microusd), (1_000, 20, 7));
    assert_eq!((paid.latency_ms, paid.raw_answer.as_str()), (1_234, "half an ans"));
    assert_eq!(paid.prompt_version.as_deref(), Some("judge-v2@test"));
    assert_eq!(stored(&unreadable).await.raw_answer, "I would call them.");
    let unanswered = stored(&away).await;
    assert_eq!((unanswered.cost_microusd, unanswered.latency_ms, unanswered.raw_answer.as_str()), (0, 0, ""));
    let all = fixture.store.stored_analyses(Scope::Every, None).next_page().await.unwrap();
    assert!(all.iter().all(|one| pipeline::verify(one).is_none()), "every verdict is reproducible");
}
