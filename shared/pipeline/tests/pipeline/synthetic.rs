//! The synthetic lead passes all stages, calls no outside system, is never written, and leaves one delivery.

use std::time::Duration;

use crm::{CrmMode, Plan, Text};
use lead::{
    Actor, Arrival, CampaignId, EmailAddress, Lead, LeadEvent, LeadStatus, SYNTHETIC_CAMPAIGN,
    SYNTHETIC_EMAIL,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use on_both::on_both;
use pipeline::NotConverted;
use queue::LeadHandler as _;
use serde_json::json;
use sqlx::AssertSqlSafe;
use store::{AuditKind, LeadFilter, Scope, Verdict};

use crate::crm::pipeline;
use crate::support::{Fixture, at, hot, message};

/// A delivery of the synthetic lead, distinguished from the others by its time.
fn synthetic(received: i64) -> LeadEvent {
    let email = EmailAddress::parse(SYNTHETIC_EMAIL).unwrap();
    let mut lead = Lead::new(email, CampaignId::parse(SYNTHETIC_CAMPAIGN).unwrap());
    lead.attributes.insert("posted_at".into(), json!(at(received).to_string()));
    LeadEvent::new(lead, at(received))
}

#[on_both]
async fn synthetic_lead_ends_without_outside_calls(fixture: Fixture) {
    for (second, mode) in [(0, CrmMode::Live), (300, CrmMode::Shadow)] {
        let event = synthetic(second);
        let (pipeline, crm) = pipeline(&fixture, mode, []).await;
        pipeline.handle(&message(&event, 1)).await.unwrap();
        pipeline.handle(&message(&event, 2)).await.unwrap();
        let lead = fixture.lead(&event.lead_id).await;
        assert_eq!((lead.status, lead.failure), (LeadStatus::Synthetic, None));
        let judged = fixture.store.analysis_in_force(&event.lead_id).await.unwrap().unwrap();
        assert_eq!((judged.provider.as_str(), judged.cost_microusd), ("rules", 0));
        assert!(crm.queries.lock().unwrap().is_empty(), "the CRM is not read");
    }
    assert_eq!((fixture.analyst.take_calls(), fixture.provider.take_calls()), (0, 0));
    let id = synthetic(0).lead_id;
    assert!(fixture.crm().await.is_empty());
    assert!(fixture.store.actions(&id, 10).await.unwrap().is_empty());
    assert!(fixture.store.assignment(&id).await.unwrap().is_none(), "no owner is assigned");
    let kinds: Vec<_> =
        fixture.store.audit(&id, 0, 100).await.unwrap().iter().map(|each| each.kind).collect();
    let steps = [AuditKind::Started, AuditKind::Enriched, AuditKind::Judged, AuditKind::SyntheticEnded];
    assert_eq!(kinds[kinds.len() - 4..], steps);
}

#[on_both]
async fn guard_refuses_the_synthetic_lead_on_every_path(fixture: Fixture) {
    let event = synthetic(0);
    let id = &event.lead_id;
    let (pipeline, crm) = pipeline(&fixture, CrmMode::Live, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let handled = async |event: LeadEvent| {
        pipeline.handle(&message(&event, 1)).await.unwrap();
        assert_eq!(fixture.lead(id).await.status, LeadStatus::Synthetic);
    };
    for (rejudge, reason) in [(true, "replay"), (false, "redrive")] {
        handled(fixture.store.reopen(&Actor::admin(), id, rejudge, reason).await.unwrap().unwrap()).await;
    }
    // A defect could leave the lead in a state from which operators write leads.
    let set_status = async |status: LeadStatus| {
        let sql = format!("UPDATE lead SET status = '{}' WHERE lead_id = '{id}'", status.as_str());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(fixture.store.database().pool()).await.unwrap();
    };
    set_status(LeadStatus::Planned).await;
    handled(fixture.store.promote(&Actor::admin(), id).await.unwrap().unwrap()).await;
    for verdict in [Verdict::Approve, Verdict::Rejudge] {
        set_status(LeadStatus::Held).await;
        fixture.store.review(&Actor::admin(), id, verdict, None).await.unwrap();
        handled(fixture.store.reopen(&Actor::admin(), id, false, "review").await.unwrap().unwrap()).await;
    }
    set_status(LeadStatus::Synced).await;
    for apply in [false, true] {
        let converted = pipeline.convert(&Actor::admin(), id, Text::parse("Qualified").unwrap(), apply).await;
        let Err(NotConverted::Failed(failure)) = converted else { panic!("the guard refuses") };
        assert_eq!(failure.code, "synthetic_lead");
    }
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap().overdue, 0);
    assert!(pipeline.restore(&Actor::admin(), id).await.unwrap().is_empty());
    let planned = pipeline.planned(id).await.unwrap();
    assert!(planned.actions.is_empty() && planned.changes.is_empty());
    assert!(pipeline.replay(id).await.unwrap().unwrap().now.is_some());

    let mut plan = permitted_plan(&fixture, &hot("ann", "CTO", 0)).await;
    plan.lead_id = id.clone();
    assert_eq!(pipeline.guard.submit_normal(&plan).await.unwrap_err().code, "synthetic_lead");
    assert_eq!(pipeline.guard.preview(&plan).await.unwrap_err().code, "synthetic_lead");
    assert!(fixture.store.actions(id, 10).await.unwrap().is_empty());
    assert!(fixture.crm().await.is_empty() && crm.queries.lock().unwrap().is_empty());
    assert_eq!(fixture.analyst.take_calls(), 0);
}

/// A plan that the guard permits for other leads.
async fn permitted_plan(fixture: &Fixture, event: &LeadEvent) -> Plan {
    let (shadow, _) = pipeline(fixture, CrmMode::Shadow, []).await;
    shadow.handle(&message(event, 1)).await.unwrap();
    fixture.analyst.take_calls();
    let details = crm::parameters::ConvertLead { converted_status: Text::parse("Qualified").unwrap() };
    let action = crm::Action::ConvertLead(details);
    Plan::new(event.lead_id.clone(), event.delivery_id(), 1, None, vec![action])
}

#[on_both]
async fn history_of_the_synthetic_lead_does_not_grow(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let mut sizes = Vec::new();
    for post in 0..40 {
        // Five signed deliveries that are processed in order, then five that are accepted and not processed.
        let signed = synthetic(post * 300).with_arrival(Arrival::webhook(&format!("msg_{post}")));
        fixture.store.accept(&signed).await.unwrap();
        fixture
            .store
            .accept(&signed.clone().with_arrival(Arrival::webhook(&format!("again_{post}"))))
            .await
            .unwrap();
        if post % 10 < 5 {
            pipeline.handle(&message(&signed, 1)).await.unwrap();
        }
        if post % 10 == 9 {
            // The queue delivers a message that was superseded long ago.
            pipeline.handle(&message(&synthetic((post - 5) * 300), 1)).await.unwrap();
            pipeline.handle(&message(&signed, 1)).await.unwrap();
            sizes.push(rows(&fixture).await);
        }
    }
    assert_eq!(sizes[0], sizes[3], "{sizes:?}");
    assert!(sizes[3].iter().all(|(_, rows)| *rows <= 10), "{sizes:?}");
}

/// The number of rows of each table.
async fn rows(fixture: &Fixture) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in [
        "lead",
        "delivery",
        "analysis",
        "audit_event",
        "webhook_receipt",
        "crm_action",
        "lead_assignment",
        "dead_letter",
        "review_decision",
        "owner_load",
        "routing_turn",
        "enrichment_answer",
    ] {
        let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        counts
            .push((table, sqlx::query_scalar(sql).fetch_one(fixture.store.database().pool()).await.unwrap()));
    }
    counts
}

#[on_both]
async fn lists_and_counts_exclude_the_synthetic_lead(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (ann, event) = (hot("ann", "CTO", 0), synthetic(0));
    for event in [&ann, &event] {
        pipeline.handle(&message(event, 1)).await.unwrap();
    }
    let listed = async |filter: LeadFilter| {
        let leads = fixture.store.leads(&filter, None, 10).await.unwrap();
        leads.into_iter().map(|lead| lead.lead_id).collect::<Vec<_>>()
    };
    assert_eq!(listed(LeadFilter::default()).await, vec![ann.lead_id.clone()]);
    let campaign_id = Some(SYNTHETIC_CAMPAIGN.to_owned());
    assert_eq!(
        listed(LeadFilter { campaign_id, ..LeadFilter::default() }).await,
        vec![event.lead_id.clone()]
    );
    assert_eq!(fixture.store.count_leads().await.unwrap(), [(LeadStatus::Synced, 1)]);
    for scope in [Scope::Every, Scope::InForce] {
        let mut stored = fixture.store.stored_analyses(scope, None);
        assert_eq!(stored.count().await.unwrap(), 1);
        let page = stored.next_page().await.unwrap();
        assert!(page.iter().all(|stored| stored.lead_id == ann.lead_id) && page.len() == 1);
    }
}

#[on_both]
async fn failed_synthetic_lead_is_marked_but_no_dead_letter(fixture: Fixture) {
    let event = synthetic(0);
    fixture.store.accept(&event).await.unwrap();
    let failure = lead::Failure::permanent("worker_lost", "its workers died");
    let body = serde_json::to_string(&event).unwrap();
    fixture.store.record_dead_letter("m", Some(&event), &body, 1, &failure).await.unwrap();
    let lead = fixture.lead(&event.lead_id).await;
    assert_eq!(
        (lead.status, lead.failure.unwrap().code.as_ref()),
        (LeadStatus::PermanentlyFailed, "worker_lost")
    );
    assert_eq!(fixture.store.count_dead_letters().await.unwrap(), 0);

    let next = synthetic(300);
    fixture.pipeline().await.handle(&message(&next, 1)).await.unwrap();
    let lead = fixture.lead(&event.lead_id).await;
    assert_eq!((lead.status, lead.failure), (LeadStatus::Synthetic, None), "the next one passes all stages");
}

#[test]
fn synthetic_lead_duration_is_measured_once() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let fixture = Fixture::sqlite().await;
            let (pipeline, event) = (fixture.pipeline().await, synthetic(0));
            fixture.clock.advance(Duration::from_millis(42_500));
            for attempt in [1, 2] {
                pipeline.handle(&message(&event, attempt)).await.unwrap();
            }
            fixture.clock.advance(Duration::from_hours(1));
            fixture.reopen(&pipeline, &event.lead_id, true, "replay").await;
            pipeline.handle(&message(&hot("ann", "CTO", 3_600), 1)).await.unwrap();
        });
    });
    let metrics = recorder.handle().render();
    let found = |line: &str| metrics.lines().any(|found| found == line);
    assert!(found("revenueflow_synthetic_lead_seconds_sum 42.5"), "{metrics}");
    assert!(found("revenueflow_synthetic_lead_seconds_count 1"), "{metrics}");
    let judged: Vec<_> =
        metrics.lines().filter(|line| line.starts_with("revenueflow_analyses_total{")).collect();
    assert_eq!(judged.len(), 1, "only the judgement of the other lead is counted: {judged:?}");
    assert!(judged[0].contains("fake"), "{judged:?}");
}
