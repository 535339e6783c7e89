//! Attempts are counted for each stage: what one of them uses up, another still has.

use crm::testing::Fault;
use lead::{LeadEvent, LeadStatus, Stage};
use pipeline::Pipeline;
use queue::{LeadHandler as _, Settlement, settle_counted};
use serde_json::Value;

use crate::failures::timeout;
use crate::support::{Say, World, hot, message};

/// One attempt as a worker makes it, with the count that a queue would have by now; says what became of the message.
pub(crate) async fn work_on(pipeline: &Pipeline, event: &LeadEvent, attempt: u32) -> Settlement {
    let message = message(event, attempt);
    let Err(failure) = pipeline.handle(&message).await else { return Settlement::Done };
    let settlement = settle_counted(pipeline, &message, failure).await;
    pipeline.record(&message, &settlement).await.unwrap();
    settlement
}

fn seconds(settlement: &Settlement) -> u64 {
    match settlement {
        Settlement::Retry { after, .. } => after.as_secs(),
        other => panic!("not tried again: {other:?}"),
    }
}

async fn an_ai_outage_leaves_the_crm_all_its_attempts(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.analyst.will((0..5).map(|_| Say::Fail(timeout())));
    world.crm_faults.extend([Fault::Locked; 4]);
    let mut waits = Vec::new();
    for attempt in 1..=8 {
        waits.push(seconds(&work_on(&pipeline, &event, attempt).await));
    }
    assert_eq!(waits, [2, 4, 8, 16, 2, 4, 8, 16], "each stage has waits of its own");
    assert_eq!(work_on(&pipeline, &event, 9).await, Settlement::Done);
    let lead = world.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.fallback), (LeadStatus::Synced, true));
    let trail = world.audit(&event.lead_id).await;
    let retries: Vec<_> = trail
        .iter()
        .filter(|event| event.detail["failure"].is_object())
        .map(|event| (event.detail["failure"]["stage"].clone(), event.detail["attempt"].clone()))
        .collect();
    let expected: Vec<(Value, Value)> = (["analysis", "crm_write"].into_iter())
        .flat_map(|stage| (1..=4).map(move |attempt| (stage.into(), attempt.into())))
        .collect();
    assert_eq!(retries, expected, "and the trail says so");
}

async fn a_stage_that_fails_five_times_ends_the_lead(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    world.crm_faults.extend([Fault::Locked; 5]);
    for attempt in 1..=4 {
        work_on(&pipeline, &event, attempt).await;
    }
    // The queue has forgotten how often it was tried; the lead's row has not.
    let last = work_on(&pipeline, &event, 1).await;
    assert!(matches!(last, Settlement::DeadLetter { .. }), "{last:?}");
    let parked = world.lead(&event.lead_id).await;
    assert_eq!(parked.status, LeadStatus::PermanentlyFailed);
    assert_eq!(parked.failure.unwrap().stage, Stage::CrmWrite);
    // A redrive has all attempts before it.
    world.store.reopen(&event.lead_id, false, "redrive").await.unwrap();
    world.crm_faults.extend([Fault::Locked; 4]);
    for attempt in 1..=4 {
        assert!(matches!(work_on(&pipeline, &event, attempt).await, Settlement::Retry { .. }));
    }
    assert_eq!(work_on(&pipeline, &event, 5).await, Settlement::Done);
}

async fn a_database_that_is_away_costs_no_attempt(world: World) {
    let (database, event) = (world.connect().await, hot("ann", "CTO", 0));
    let away = world.pipeline_on(database.clone());
    world.store.accept(&event).await.unwrap();
    database.close().await;
    for attempt in 1..=20 {
        let message = message(&event, attempt);
        let failure = away.handle(&message).await.unwrap_err();
        assert_eq!(failure.stage, Stage::Storage);
        let settlement = settle_counted(&away, &message, failure).await;
        assert!(matches!(settlement, Settlement::Defer { .. }), "{settlement:?}");
    }
    // Back, the AI fails four times, and the fifth time it answers.
    let pipeline = world.pipeline().await;
    world.analyst.will((0..4).map(|_| Say::Fail(timeout())));
    for attempt in 21..=24 {
        work_on(&pipeline, &event, attempt).await;
    }
    assert_eq!(work_on(&pipeline, &event, 25).await, Settlement::Done);
    assert!(!world.lead(&event.lead_id).await.fallback);
}

on_both!(
    an_ai_outage_leaves_the_crm_all_its_attempts,
    a_stage_that_fails_five_times_ends_the_lead,
    a_database_that_is_away_costs_no_attempt,
);
