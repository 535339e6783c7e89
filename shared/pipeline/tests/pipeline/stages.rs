//! Attempts are counted for each stage, so that a failing stage does not use up the attempts of another.

use std::future::pending;

use crm::testing::Fault;
use lead::{Actor, LeadEvent, LeadStatus, Stage};
use on_both::on_both;
use pipeline::Pipeline;
use queue::{LeadHandler as _, Settlement, attempt};
use serde_json::Value;

use crate::failures::timeout;
use crate::support::{Fixture, Reply, hot, message};

/// Makes one attempt like a worker, with the queue's attempt count, and returns the settlement of the
/// message.
pub(crate) async fn work_on(pipeline: &Pipeline, event: &LeadEvent, number: u32) -> Settlement {
    let message = message(event, number);
    let settlement = attempt(pipeline, &message, pending()).await;
    pipeline.record(&message, &settlement).await.unwrap();
    settlement
}

fn seconds(settlement: &Settlement) -> u64 {
    match settlement {
        Settlement::Retry { after, .. } => after.as_secs(),
        other => panic!("not retried: {other:?}"),
    }
}

#[on_both]
async fn ai_outage_leaves_all_attempts_to_the_crm(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.analyst.will((0..5).map(|_| Reply::Fail(timeout())));
    fixture.crm_faults.extend([Fault::Locked; 4]);
    let mut waits = Vec::new();
    for attempt in 1..=8 {
        waits.push(seconds(&work_on(&pipeline, &event, attempt).await));
    }
    assert_eq!(waits, [2, 4, 8, 16, 2, 4, 8, 16], "each stage has its own backoff");
    assert_eq!(work_on(&pipeline, &event, 9).await, Settlement::Done);
    let lead = fixture.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.fallback), (LeadStatus::Synced, true));
    let trail = fixture.audit(&event.lead_id).await;
    let retries: Vec<_> = trail
        .iter()
        .filter(|event| event.detail["failure"].is_object())
        .map(|event| (event.detail["failure"]["stage"].clone(), event.detail["attempt"].clone()))
        .collect();
    let expected: Vec<(Value, Value)> = (["analysis", "crm_write"].into_iter())
        .flat_map(|stage| (1..=4).map(move |attempt| (stage.into(), attempt.into())))
        .collect();
    assert_eq!(retries, expected, "the audit trail names stage and attempt");
}

#[on_both]
async fn stage_that_fails_five_times_is_dead_lettered(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    fixture.crm_faults.extend([Fault::Locked; 5]);
    for attempt in 1..=4 {
        work_on(&pipeline, &event, attempt).await;
    }
    // The queue has lost its attempt count, but the delivery's row has kept it.
    let last = work_on(&pipeline, &event, 1).await;
    assert!(matches!(last, Settlement::DeadLetter { .. }), "{last:?}");
    let failed = fixture.lead(&event.lead_id).await;
    assert_eq!(failed.status, LeadStatus::PermanentlyFailed);
    assert_eq!(failed.failure.unwrap().stage, Stage::CrmWrite);
    // A redrive resets the attempts.
    fixture.store.reopen(&Actor::admin(), &event.lead_id, false, "redrive").await.unwrap();
    fixture.crm_faults.extend([Fault::Locked; 4]);
    for attempt in 1..=4 {
        assert!(matches!(work_on(&pipeline, &event, attempt).await, Settlement::Retry { .. }));
    }
    assert_eq!(work_on(&pipeline, &event, 5).await, Settlement::Done);
}

#[on_both]
async fn database_outage_costs_no_attempt(fixture: Fixture) {
    let (database, event) = (fixture.connect().await, hot("ann", "CTO", 0));
    let away = fixture.pipeline_on(database.clone());
    fixture.store.accept(&event).await.unwrap();
    database.close().await;
    for number in 1..=20 {
        let settlement = attempt(&away, &message(&event, number), pending()).await;
        let Settlement::Defer { failure, .. } = settlement else { panic!("{settlement:?}") };
        assert_eq!(failure.stage, Stage::Storage);
    }
    // With the database back, the analyst fails four times and then answers.
    let pipeline = fixture.pipeline().await;
    fixture.analyst.will((0..4).map(|_| Reply::Fail(timeout())));
    for attempt in 21..=24 {
        work_on(&pipeline, &event, attempt).await;
    }
    assert_eq!(work_on(&pipeline, &event, 25).await, Settlement::Done);
    assert!(!fixture.lead(&event.lead_id).await.fallback);
}
