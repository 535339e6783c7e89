//! Several deliveries of one lead give one CRM record with the newest content.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analysis, AnalysisError, Analyst, Icp, Rules};
use async_trait::async_trait;
use crm::testing::{Fault, named};
use grounding::FactSheet;
use lead::{Decision, Failure, LeadEvent, LeadStatus};
use on_both::on_both;
use queue::{LeadHandler as _, Message, settle_failed};
use store::{AuditKind, Store};
use testkit::fixtures::analyses;

use crate::support::{Fixture, at, hot, message};

#[on_both]
async fn lead_is_enriched_judged_and_written(fixture: Fixture) {
    let (_, event) = fixture.with_lead().await;
    let lead = fixture.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.decision), (LeadStatus::Synced, Some(Decision::RouteToSdr)));
    let record = fixture.crm_lead(&event.lead_id).await;
    assert_eq!(lead.crm_record_id, Some(record.record_id));
    assert_eq!((&record.fields["industry"], &record.fields["status"]), (&"Fintech".into(), &"new".into()));
    assert!(
        record.fields["summary"].as_str().unwrap().contains("demo_request"),
        "the summary contains the reason"
    );
    let task = fixture.crm().await.into_iter().find(|record| record.object == "task").unwrap();
    assert_eq!(task.fields["due_at"], "2026-01-01T01:00:00Z", "an hour after the judgement");
}

#[on_both]
async fn revision_updates_the_record_without_a_second_task(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (first, second) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(fixture.crm_lead(&first.lead_id).await.fields["title"], "CTO");
    assert_eq!(fixture.crm_counts().await, [1, 1, 2]);
    assert_eq!(analyses(&fixture.store, &first.lead_id).await.len(), 2);
}

#[on_both]
async fn revision_that_arrives_late_changes_nothing(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (older, newer) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&newer, 1)).await.unwrap();
    let before = (fixture.crm().await, fixture.store.actions(&newer.lead_id, 100).await.unwrap().len());
    fixture.analyst.take_calls();
    pipeline.handle(&message(&older, 1)).await.unwrap();
    let after = (fixture.crm().await, fixture.store.actions(&newer.lead_id, 100).await.unwrap().len());
    assert_eq!(after, before);
    assert_eq!(fixture.analyst.take_calls(), 0);
    assert_eq!(fixture.lead(&newer.lead_id).await.status, LeadStatus::Synced);
}

#[on_both]
async fn finished_message_is_ignored_when_received_again(fixture: Fixture) {
    let (pipeline, event) = fixture.with_lead().await;
    let before = fixture.snapshot(&event.lead_id).await;
    fixture.clock.advance(Duration::from_mins(1));
    pipeline.handle(&message(&event, 3)).await.unwrap();
    assert_eq!(fixture.snapshot(&event.lead_id).await, before);
    assert_eq!((fixture.provider.take_calls(), fixture.analyst.take_calls()), (1, 1));
}

#[on_both]
async fn two_workers_with_the_same_message_write_once(fixture: Fixture) {
    let [one, other] = [fixture.pipeline().await, fixture.pipeline().await];
    for n in 0..5 {
        let event = hot(&format!("person{n}"), "CTO", 0);
        let message = message(&event, 1);
        let (first, second) = tokio::join!(one.handle(&message), other.handle(&message));
        first.and(second).unwrap();
        assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
        assert_eq!(analyses(&fixture.store, &event.lead_id).await.len(), 1);
        fixture.audit(&event.lead_id).await;
    }
    assert_eq!(fixture.crm_counts().await, [5, 5, 5]);
}

#[on_both]
async fn revision_writes_only_changed_fields(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let kinds = async |event: &LeadEvent| {
        let actions = fixture.store.actions(&event.lead_id, 100).await.unwrap();
        let of_it = actions.into_iter().filter(|action| action.delivery_id == event.delivery_id());
        of_it.map(|action| action.kind).collect::<Vec<_>>()
    };
    let (first, second) = (hot("ann", "Head of Sales", 0), hot("ann", "Head of Marketing", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1));
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(kinds(&second).await, ["upsert_lead", "log_activity"]);
    let record = fixture.crm_lead(&first.lead_id).await.fields;
    assert_eq!(
        (&record["title"], &record["decision"]),
        (&"Head of Marketing".into(), &"ROUTE_TO_SDR".into())
    );
}

#[on_both]
async fn write_with_an_unknown_outcome_is_repeated(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let mut changed = hot("ann", "CTO", 1).lead;
    changed.marketo.clear();
    let [first, changed, back] =
        [hot("ann", "CTO", 0), LeadEvent::new(changed, at(1)), hot("ann", "Chief Executive", 2)];
    pipeline.handle(&message(&first, 1)).await.unwrap();
    // The second delivery's judgement is written but the reply is lost, and a third delivery supersedes it.
    fixture.clock.advance(Duration::from_secs(1));
    fixture.crm_faults.extend([Fault::Pass, Fault::LoseReply]);
    pipeline.handle(&message(&changed, 1)).await.unwrap_err();
    assert_ne!(fixture.crm_lead(&first.lead_id).await.fields["decision"], "ROUTE_TO_SDR");
    fixture.clock.advance(Duration::from_secs(1));
    pipeline.handle(&message(&back, 1)).await.unwrap();
    let lead = fixture.lead(&first.lead_id).await;
    assert_eq!((lead.status, lead.decision), (LeadStatus::Synced, Some(Decision::RouteToSdr)));
    assert_eq!(fixture.crm_lead(&first.lead_id).await.fields["decision"], "ROUTE_TO_SDR");
}

/// An analyst that accepts another delivery during its call.
struct AcceptsRevision {
    store: Store,
    event: LeadEvent,
    rules: Rules,
}

#[async_trait]
impl Analyst for AcceptsRevision {
    fn provider(&self) -> &'static str {
        "fake"
    }

    fn model(&self) -> &'static str {
        "fake-1"
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        self.store.accept(&self.event).await.unwrap();
        self.rules.analyse(facts).await
    }
}

#[on_both]
async fn delivery_superseded_during_its_judgement_is_not_written(fixture: Fixture) {
    let (older, newer) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    let mut pipeline = fixture.pipeline().await;
    let rules = Rules::new(Icp::default_config());
    pipeline.analyst =
        Arc::new(AcceptsRevision { store: fixture.store.clone(), event: newer.clone(), rules });
    pipeline.handle(&message(&older, 1)).await.unwrap();
    assert!(fixture.crm().await.is_empty());
    assert!(fixture.kinds(&older.lead_id).await.contains(&AuditKind::Superseded));
    fixture.pipeline().await.handle(&message(&newer, 1)).await.unwrap();
    assert_eq!(fixture.crm_lead(&older.lead_id).await.fields["title"], "CTO");
}

#[on_both]
async fn dead_letter_is_processed_only_after_a_redrive(fixture: Fixture) {
    let (pipeline, event) = (fixture.pipeline().await, hot("ann", "CTO", 0));
    let refused = Failure::permanent("crm_refused", "the CRM refused it");
    pipeline.record(&message(&event, 1), &settle_failed(1, refused)).await.unwrap();
    // The process dies before it settles the message.
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!(named(&failure), "permanent crm_refused");
    let before = fixture.snapshot(&event.lead_id).await;
    pipeline.record(&message(&event, 1), &settle_failed(1, failure)).await.unwrap();
    assert_eq!(fixture.snapshot(&event.lead_id).await, before);
    // An operator redrives the message.
    let redriven = Message { redriven: true, ..message(&event, 1) };
    pipeline.handle(&redriven).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert!(fixture.kinds(&event.lead_id).await.contains(&AuditKind::Reopened));
    let before = fixture.snapshot(&event.lead_id).await;
    pipeline.handle(&redriven).await.unwrap();
    assert_eq!(fixture.snapshot(&event.lead_id).await, before, "a finished delivery is not processed again");
}
