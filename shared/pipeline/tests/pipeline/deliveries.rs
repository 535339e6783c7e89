//! Several deliveries of one lead: one record, the newest content.

use std::sync::Arc;
use std::time::Duration;

use analysis::{Analysis, Analyst, Icp, NoAnalysis, Rules};
use async_trait::async_trait;
use crm::testing::Fault;
use grounding::FactSheet;
use lead::{Decision, Failure, FailureClass, LeadEvent, LeadStatus};
use queue::{LeadHandler as _, Message, settle_failed};
use store::{AuditKind, Store};

use crate::support::{World, at, hot, message};

async fn a_lead_is_enriched_judged_and_written(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let lead = world.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.decision), (LeadStatus::Synced, Some(Decision::RouteToSdr)));
    let record = world.crm_lead(&event.lead_id).await;
    assert_eq!(lead.crm_record_id, Some(record.record_id));
    assert_eq!((&record.fields["industry"], &record.fields["status"]), (&"Fintech".into(), &"new".into()));
    assert!(
        record.fields["summary"].as_str().unwrap().contains("demo_request"),
        "the reason is there to read"
    );
    let task = world.crm().await.into_iter().find(|record| record.object == "task").unwrap();
    assert_eq!(task.fields["due_at"], "2026-01-01T01:00:00Z", "an hour after the judgement");
}

async fn a_revision_updates_the_one_record_and_calls_nobody_twice(world: World) {
    let pipeline = world.pipeline().await;
    let (first, second) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(world.crm_lead(&first.lead_id).await.fields["title"], "CTO");
    let counts: Vec<_> = world.crm_counts().await.into_iter().collect();
    assert_eq!(counts, [("activity".to_owned(), 2), ("lead".to_owned(), 1), ("task".to_owned(), 1)]);
    assert_eq!(world.store.analyses(&first.lead_id, 10).await.unwrap().len(), 2);
}

async fn a_revision_that_arrives_late_changes_nothing(world: World) {
    let pipeline = world.pipeline().await;
    let (older, newer) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    pipeline.handle(&message(&newer, 1)).await.unwrap();
    let before = (world.crm().await, world.store.actions(&newer.lead_id, 100).await.unwrap().len());
    world.analyst.asked();
    pipeline.handle(&message(&older, 1)).await.unwrap();
    let after = (world.crm().await, world.store.actions(&newer.lead_id, 100).await.unwrap().len());
    assert_eq!(after, before);
    assert_eq!(world.analyst.asked(), 0);
    assert_eq!(world.lead(&newer.lead_id).await.status, LeadStatus::Synced);
}

async fn the_same_message_after_the_end_does_nothing(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let before = world.everything(&event.lead_id).await;
    world.clock.advance(Duration::from_mins(1));
    pipeline.handle(&message(&event, 3)).await.unwrap();
    assert_eq!(world.everything(&event.lead_id).await, before);
    assert_eq!((world.provider.asked(), world.analyst.asked()), (1, 1));
}

async fn two_workers_with_the_same_message_do_it_once(world: World) {
    let [one, other] = [world.pipeline().await, world.pipeline().await];
    for n in 0..5 {
        let event = hot(&format!("person{n}"), "CTO", 0);
        let message = message(&event, 1);
        let (first, second) = tokio::join!(one.handle(&message), other.handle(&message));
        first.and(second).unwrap();
        assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
        assert_eq!(world.store.analyses(&event.lead_id, 10).await.unwrap().len(), 1);
        world.audit(&event.lead_id).await;
    }
    let counts: Vec<_> = world.crm_counts().await.into_iter().collect();
    assert_eq!(counts, [("activity".to_owned(), 5), ("lead".to_owned(), 5), ("task".to_owned(), 5)]);
}

async fn a_revision_writes_only_what_it_changes(world: World) {
    let pipeline = world.pipeline().await;
    let kinds = async |event: &LeadEvent| {
        let actions = world.store.actions(&event.lead_id, 100).await.unwrap();
        let of_it = actions.into_iter().filter(|action| action.delivery_id == event.delivery_id());
        of_it.map(|action| action.kind).collect::<Vec<_>>()
    };
    let (first, second) = (hot("ann", "Head of Sales", 0), hot("ann", "Head of Marketing", 1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    pipeline.handle(&message(&second, 1)).await.unwrap();
    assert_eq!(kinds(&second).await, ["upsert_lead", "log_activity"]);
    let record = world.crm_lead(&first.lead_id).await.fields;
    assert_eq!(
        (&record["title"], &record["decision"]),
        (&"Head of Marketing".into(), &"ROUTE_TO_SDR".into())
    );
}

async fn what_may_have_been_written_is_written_again(world: World) {
    let pipeline = world.pipeline().await;
    let mut changed = hot("ann", "CTO", 1).lead;
    changed.marketo.clear();
    let [first, changed, back] =
        [hot("ann", "CTO", 0), LeadEvent::new(changed, at(1)), hot("ann", "Chief Executive", 2)];
    pipeline.handle(&message(&first, 1)).await.unwrap();
    // The second delivery's judgement gets there, its reply does not, and a third delivery overtakes it.
    world.clock.advance(Duration::from_secs(1));
    world.crm_faults.extend([Fault::Pass, Fault::LoseReply]);
    pipeline.handle(&message(&changed, 1)).await.unwrap_err();
    assert_ne!(world.crm_lead(&first.lead_id).await.fields["decision"], "ROUTE_TO_SDR");
    world.clock.advance(Duration::from_secs(1));
    pipeline.handle(&message(&back, 1)).await.unwrap();
    let lead = world.lead(&first.lead_id).await;
    assert_eq!((lead.status, lead.decision), (LeadStatus::Synced, Some(Decision::RouteToSdr)));
    assert_eq!(world.crm_lead(&first.lead_id).await.fields["decision"], "ROUTE_TO_SDR");
}

/// Takes in another delivery while it is asked about one.
struct Meanwhile {
    store: Store,
    event: LeadEvent,
    rules: Rules,
}

#[async_trait]
impl Analyst for Meanwhile {
    fn provider(&self) -> &'static str {
        "fake"
    }

    fn model(&self) -> &'static str {
        "fake-1"
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, NoAnalysis> {
        self.store.accept(&self.event).await.unwrap();
        self.rules.analyse(facts).await
    }
}

async fn what_is_overtaken_while_it_is_judged_is_not_written(world: World) {
    let (older, newer) = (hot("ann", "Engineer", 0), hot("ann", "CTO", 1));
    let mut pipeline = world.pipeline().await;
    let rules = Rules::new(Icp::default_config());
    pipeline.analyst = Arc::new(Meanwhile { store: world.store.clone(), event: newer.clone(), rules });
    pipeline.handle(&message(&older, 1)).await.unwrap();
    assert!(world.crm().await.is_empty());
    assert!(world.kinds(&older.lead_id).await.contains(&AuditKind::Superseded));
    world.pipeline().await.handle(&message(&newer, 1)).await.unwrap();
    assert_eq!(world.crm_lead(&older.lead_id).await.fields["title"], "CTO");
}

async fn what_was_given_up_is_worked_when_it_was_put_back_and_else_given_up_again(world: World) {
    let (pipeline, event) = (world.pipeline().await, hot("ann", "CTO", 0));
    let refused = Failure::permanent("crm_refused", "the CRM refused it");
    pipeline.record(&message(&event, 1), &settle_failed(1, refused)).await.unwrap();
    // The process died before the queue knew.
    let failure = pipeline.handle(&message(&event, 1)).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.class), ("crm_refused", FailureClass::Permanent));
    let before = world.everything(&event.lead_id).await;
    pipeline.record(&message(&event, 1), &settle_failed(1, failure)).await.unwrap();
    assert_eq!(world.everything(&event.lead_id).await, before);
    // Somebody at a dashboard has put it back.
    let redriven = Message { redriven: true, ..message(&event, 1) };
    pipeline.handle(&redriven).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert!(world.kinds(&event.lead_id).await.contains(&AuditKind::Reopened));
    let before = world.everything(&event.lead_id).await;
    pipeline.handle(&redriven).await.unwrap();
    assert_eq!(world.everything(&event.lead_id).await, before, "what is done is not done again");
}

on_both!(
    what_is_overtaken_while_it_is_judged_is_not_written,
    what_was_given_up_is_worked_when_it_was_put_back_and_else_given_up_again,
    a_revision_writes_only_what_it_changes,
    what_may_have_been_written_is_written_again,
    a_lead_is_enriched_judged_and_written,
    a_revision_updates_the_one_record_and_calls_nobody_twice,
    a_revision_that_arrives_late_changes_nothing,
    the_same_message_after_the_end_does_nothing,
    two_workers_with_the_same_message_do_it_once,
);
