//! What becomes of a lead when the analyst or the CRM fails.

use std::time::Duration;

use crm::testing::Fault;
use lead::{Decision, Dependency, Failure, FailureClass, LeadEvent, LeadStatus, Stage};
use queue::{LeadHandler as _, MAX_ATTEMPTS, Settlement, settle_failed};
use store::AuditKind;

use crate::support::{Say, World, hot, message};

const AI: Dependency = Dependency::new("ai.fake");

pub(crate) fn timeout() -> Failure {
    Failure::transient("ai_timeout", "no answer").on(AI)
}

/// The lead went on without an AI, and says so wherever it is looked at.
async fn has_the_neutral_verdict(world: &World, event: &LeadEvent) {
    let lead = world.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.fit_score.unwrap().get()), (LeadStatus::Synced, 50));
    assert_eq!((lead.decision, lead.fallback), (Some(Decision::ManualReview), true));
    let fields = world.crm_lead(&event.lead_id).await.fields;
    assert_eq!((&fields["fit_score"], &fields["decision"]), (&50.into(), &"MANUAL_REVIEW".into()));
    assert_eq!((&fields["fallback"], &fields["status"]), (&true.into(), &"in_review".into()));
    assert_eq!(world.crm_counts().await.into_iter().collect::<Vec<_>>(), [("lead".to_owned(), 1)]);
}

async fn an_analyst_that_fails_five_times_is_done_without(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.analyst.will((1..=MAX_ATTEMPTS).map(|_| Say::Fail(timeout())));
    for attempt in 1..MAX_ATTEMPTS {
        let failure = pipeline.handle(&message(&event, attempt)).await.unwrap_err();
        assert_eq!(failure, timeout().at(Stage::Analysis));
        let settlement = settle_failed(attempt, failure);
        pipeline.record(&message(&event, attempt), &settlement).await.unwrap();
        assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Retrying);
        assert!(world.crm().await.is_empty());
    }
    pipeline.handle(&message(&event, MAX_ATTEMPTS)).await.unwrap();
    has_the_neutral_verdict(&world, &event).await;
    assert_eq!((world.provider.asked(), world.analyst.asked()), (1, 5));
    let retries =
        world.kinds(&event.lead_id).await.iter().filter(|kind| **kind == AuditKind::Retrying).count();
    assert_eq!(retries, 4);
}

async fn an_analyst_that_will_never_answer_is_done_without_at_once(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.analyst.will([Say::Fail(Failure::permanent("ai_refused", "the model does not exist"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    has_the_neutral_verdict(&world, &event).await;
}

async fn an_answer_that_cannot_be_read_counts_as_an_attempt(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.analyst.will([Say::Text("Sure! Here is my analysis."), Say::Text("{\"fit_score\": 900}")]);
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Transient, "ai_answer_unreadable"));
    assert!(!failure.message.contains("Sure"), "the model's words are not logged");
    world.has_failed(&pipeline, &event, Stage::Analysis, MAX_ATTEMPTS - 1).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    has_the_neutral_verdict(&world, &event).await;
}

async fn an_answer_that_can_be_read_the_second_time_is_used(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.analyst.will([Say::Text("")]);
    pipeline.handle(&message(&event, 1)).await.unwrap_err();
    pipeline.handle(&message(&event, 2)).await.unwrap();
    let lead = world.lead(&event.lead_id).await;
    assert_eq!((lead.decision, lead.fallback), (Some(Decision::RouteToSdr), false));
}

async fn a_deferral_is_passed_on_and_never_becomes_a_neutral_verdict(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    let quota = Failure::deferral(AI, "ai_quota", "the daily quota is reached", Some(Duration::from_mins(1)));
    world.analyst.will([Say::Fail(quota.clone())]);
    let last = message(&event, MAX_ATTEMPTS);
    let failure = pipeline.handle(&last).await.unwrap_err();
    assert_eq!(failure, quota.at(Stage::Analysis));
    let settlement = settle_failed(MAX_ATTEMPTS, failure);
    assert!(matches!(settlement, Settlement::Defer { .. }));
    pipeline.record(&last, &settlement).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Retrying);
    assert_eq!(world.kinds(&event.lead_id).await.last(), Some(&AuditKind::Deferred));
    assert!(world.store.analyses(&event.lead_id, 10).await.unwrap().is_empty());
    pipeline.handle(&last).await.unwrap();
    assert!(!world.lead(&event.lead_id).await.fallback);
}

async fn a_crm_that_fails_is_tried_again_with_the_judgement_that_is_stored(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Transient)]);
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_outage"));
    assert!(failure.message.contains("test_reset"), "{failure}");
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!((world.provider.asked(), world.analyst.asked()), (1, 1));
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
}

async fn what_the_crm_refuses_is_parked_and_a_redrive_goes_on_from_what_is_stored(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Permanent)]);
    let first = message(&event, 1);
    let failure = pipeline.handle(&first).await.unwrap_err();
    pipeline.record(&first, &settle_failed(1, failure)).await.unwrap();
    let parked = world.lead(&event.lead_id).await;
    assert_eq!(
        (parked.status, parked.failure.unwrap().code.as_ref()),
        (LeadStatus::PermanentlyFailed, "test_refused")
    );
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!(
        (world.lead(&event.lead_id).await.status, failure.code.as_ref()),
        (LeadStatus::PermanentlyFailed, "test_refused"),
        "given up is given up"
    );

    let letter = world.store.dead_letter(event.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<LeadEvent>(&letter.body).unwrap(), event);
    let reopened = world.store.reopen(&event.lead_id, false, "redrive").await.unwrap().unwrap();
    pipeline.handle(&message(&reopened, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert_eq!((world.provider.asked(), world.analyst.asked()), (1, 1));
    let counts: Vec<_> = world.crm_counts().await.into_values().collect();
    assert_eq!(counts, [1, 1, 1]);
}

async fn a_lead_that_is_judged_again_is_brought_up_to_date_in_the_crm(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.analyst.will([Say::Fail(Failure::permanent("ai_refused", "no such model"))]);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    has_the_neutral_verdict(&world, &event).await;
    let again = world.store.reopen(&event.lead_id, true, "second look").await.unwrap().unwrap();
    pipeline.handle(&message(&again, 1)).await.unwrap();
    let fields = world.crm_lead(&event.lead_id).await.fields;
    assert_eq!((&fields["decision"], &fields["fallback"]), (&"ROUTE_TO_SDR".into(), &false.into()));
    assert!(!world.lead(&event.lead_id).await.fallback);
    let counts: Vec<_> = world.crm_counts().await.into_values().collect();
    assert_eq!(counts, [1, 1, 1]);
}

async fn what_a_judgement_that_could_not_be_used_has_cost_is_stored_with_the_neutral_one(world: World) {
    let pipeline = world.pipeline().await;
    let (blocked, unreadable, away) = (hot("ann", "CTO", 0), hot("bob", "CTO", 0), hot("cyd", "CTO", 0));
    world.analyst.will([
        Say::Paid(Failure::permanent("ai_blocked", "kept back")),
        Say::Text("I would call them."),
        Say::Fail(Failure::permanent("ai_model_retired", "gone")),
    ]);
    for event in [&blocked, &unreadable, &away] {
        world.has_failed(&pipeline, event, Stage::Analysis, MAX_ATTEMPTS - 1).await;
        pipeline.handle(&message(event, 5)).await.unwrap();
    }
    let stored = async |event: &LeadEvent| {
        let analysis = world.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
        assert!(analysis.fallback);
        assert_eq!(analysis.verdict.decision, Decision::ManualReview);
        analysis
    };
    let paid = stored(&blocked).await;
    assert_eq!((paid.input_tokens, paid.output_tokens, paid.cost_microusd), (1_000, 20, 7));
    assert_eq!((paid.latency_ms, paid.raw_answer.as_str()), (1_234, "half an ans"));
    assert_eq!(paid.prompt_version.as_deref(), Some("judge-v2@test"));
    assert_eq!(stored(&unreadable).await.raw_answer, "I would call them.");
    let nobody = stored(&away).await;
    assert_eq!((nobody.cost_microusd, nobody.latency_ms, nobody.raw_answer.as_str()), (0, 0, ""));
    let mut problems = Vec::new();
    pipeline::verify(&world.store, None, |one| problems.extend(one.problem)).await.unwrap();
    assert_eq!(problems, [], "and each comes out again");
}

on_both!(
    what_a_judgement_that_could_not_be_used_has_cost_is_stored_with_the_neutral_one,
    an_analyst_that_fails_five_times_is_done_without,
    an_analyst_that_will_never_answer_is_done_without_at_once,
    an_answer_that_cannot_be_read_counts_as_an_attempt,
    an_answer_that_can_be_read_the_second_time_is_used,
    a_deferral_is_passed_on_and_never_becomes_a_neutral_verdict,
    a_crm_that_fails_is_tried_again_with_the_judgement_that_is_stored,
    what_the_crm_refuses_is_parked_and_a_redrive_goes_on_from_what_is_stored,
    a_lead_that_is_judged_again_is_brought_up_to_date_in_the_crm,
);
