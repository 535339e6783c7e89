//! Work on a delivery, from its beginning to its end.

use std::time::Duration;

use lead::{Clock as _, Dependency, Failure, LeadStatus};
use on_both::on_both;
use serde_json::json;
use store::{AuditKind, Begun, Finish, NotSaved};

use crate::support::{
    Fixture, analyses, audit, begin, company, event, execute, finish, has_work, judged, kinds, lead,
    save_enrichment, save_judgement, settled, synced,
};

#[on_both]
async fn beginning_work_accepts_an_unknown_delivery(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let work = begin(&store, &event).await;
    assert_eq!((work.revision, work.round), (1, 1));
    assert_eq!((work.lead_id, work.delivery_id), (event.lead_id.clone(), event.delivery_id()));
    assert!(work.enrichment.is_none() && work.analysis.is_none());
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Processing);
    assert_eq!(kinds(&store, &event.lead_id).await, [AuditKind::Accepted, AuditKind::Started]);
}

#[on_both]
async fn an_unknown_older_delivery_has_no_work(fixture: Fixture) {
    let store = fixture.store().await;
    store.accept(&event("ann", "b", 1)).await.unwrap();
    assert!(!has_work(&store, &event("ann", "a", 0)).await);
    assert_eq!(lead(&store, &event("ann", "b", 1).lead_id).await.revision, 2);
}

#[on_both]
async fn work_continues_from_saved_results(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut work = begin(&store, &event).await;
    save_enrichment(&store, company("Fintech"), json!({}), &mut work).await.unwrap();
    save_judgement(&store, judged(&fixture, &work, "rules"), &mut work).await.unwrap();
    let again = begin(&store, &event).await;
    assert_eq!(again.enrichment, Some(company("Fintech")));
    let analysis = again.analysis.unwrap();
    assert_eq!((analysis.round, analysis.provider.as_str(), analysis.cost_microusd), (1, "rules", 3));
}

#[on_both]
async fn a_delivery_that_is_not_open_has_no_work(fixture: Fixture) {
    let store = fixture.store().await;
    let done = event("done", "a", 0);
    settled(&fixture, &store, &done).await;
    let failed = event("failed", "a", 0);
    store.accept(&failed).await.unwrap();
    let failure = Failure::permanent("bad", "bad");
    store.record_dead_letter("m1", Some(&failed), "{}", 1, &failure).await.unwrap();
    let superseded = event("overtaken", "a", 0);
    store.accept(&superseded).await.unwrap();
    store.accept(&event("overtaken", "b", 1)).await.unwrap();
    for (event, status) in [
        (&done, LeadStatus::Synced),
        (&failed, LeadStatus::PermanentlyFailed),
        (&superseded, LeadStatus::Queued),
    ] {
        assert!(!has_work(&store, event).await);
        let trail = kinds(&store, &event.lead_id).await;
        assert!(!has_work(&store, event).await);
        assert_eq!(lead(&store, &event.lead_id).await.status, status);
        assert_eq!(kinds(&store, &event.lead_id).await, trail, "the second time is not audited");
    }
    let states = store.deliveries(&superseded.lead_id, 10).await.unwrap();
    assert_eq!(states.iter().map(|d| d.state.as_str()).collect::<Vec<_>>(), ["open", "superseded"]);
}

#[on_both]
async fn the_first_enrichment_result_is_final(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut work = begin(&store, &event).await;
    save_enrichment(&store, company("1"), json!({}), &mut work).await.unwrap();
    let second = save_enrichment(&store, company("2"), json!({}), &mut work).await;
    assert!(matches!(second, Err(NotSaved::Raced)));
    assert_eq!(store.enrichment_of(&work.delivery_id).await.unwrap(), Some(company("1")));
    let enriched = [AuditKind::Accepted, AuditKind::Started, AuditKind::Enriched];
    assert_eq!(kinds(&store, &event.lead_id).await, enriched);
}

#[on_both]
async fn the_first_judgement_of_a_round_is_final(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut work = begin(&store, &event).await;
    save_judgement(&store, judged(&fixture, &work, "first"), &mut work).await.unwrap();
    let second = save_judgement(&store, judged(&fixture, &work, "second"), &mut work).await;
    assert!(matches!(second, Err(NotSaved::Raced)));
    assert_eq!(analyses(&store, &event.lead_id).await.len(), 1);
    assert_eq!(store.analysis_in_force(&event.lead_id).await.unwrap().unwrap().provider, "first");
    let lead = lead(&store, &event.lead_id).await;
    assert_eq!((lead.fit_score.unwrap().get(), lead.fallback), (50, true));
    let last = audit(&store, &event.lead_id).await.pop().unwrap();
    assert_eq!((last.kind, &last.detail["provider"]), (AuditKind::Judged, &json!("first")));
}

#[on_both]
async fn finishing_a_delivery_twice_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut work = settled(&fixture, &store, &event).await;
    let (before, trail) = (lead(&store, &event.lead_id).await, kinds(&store, &event.lead_id).await);
    assert_eq!(
        (before.crm_provider.as_deref(), before.crm_record_id.as_deref()),
        (Some("mock"), Some("00Q1"))
    );
    fixture.advance(60);
    finish(&store, Finish::Held, &mut work).await.unwrap();
    let other = Finish::Synced { provider: "mock", record_id: "other".into() };
    finish(&store, other, &mut work).await.unwrap();
    let after = lead(&store, &event.lead_id).await;
    assert_eq!((after.status, after.updated_at), (LeadStatus::Synced, before.updated_at));
    assert_eq!(after.crm_record_id, before.crm_record_id);
    assert_eq!(kinds(&store, &event.lead_id).await, trail);
}

#[on_both]
async fn finishing_an_older_delivery_does_not_settle_the_newer_one(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    let mut work = begin(&store, &older).await;
    store.accept(&newer).await.unwrap();
    save_judgement(&store, judged(&fixture, &work, "late"), &mut work).await.unwrap();
    finish(&store, synced(), &mut work).await.unwrap();
    let lead = lead(&store, &newer.lead_id).await;
    assert_eq!((lead.status, lead.fit_score), (LeadStatus::Queued, None));
    assert_eq!(
        lead.crm_record_id.as_deref(),
        Some("00Q1"),
        "the record is the lead's, whichever delivery made it"
    );
    assert!(has_work(&store, &newer).await);
}

#[on_both]
async fn a_held_lead_has_status_and_audit_event(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut work = begin(&store, &event).await;
    finish(&store, Finish::Held, &mut work).await.unwrap();
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Held);
    assert_eq!(kinds(&store, &event.lead_id).await.last(), Some(&AuditKind::Held));
}

#[on_both]
async fn a_failure_is_shown_until_the_next_attempt_begins(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    begin(&store, &event).await;
    let failure = Failure::transient("timeout", "no answer").on(Dependency::new("crm.mock"));
    store.record_retry(&event, 1, &failure, Duration::from_secs(2), false).await.unwrap();
    let waiting = lead(&store, &event.lead_id).await;
    assert_eq!((waiting.status, waiting.failure), (LeadStatus::Retrying, Some(failure)));
    let last = audit(&store, &event.lead_id).await.pop().unwrap();
    assert_eq!((last.kind, &last.detail["after_ms"]), (AuditKind::Retrying, &json!(2000)));

    let deferral = Failure::deferral(Dependency::new("crm.mock"), "breaker_open", "open", None);
    store.record_retry(&event, 1, &deferral, Duration::from_secs(30), true).await.unwrap();
    assert_eq!(kinds(&store, &event.lead_id).await.last(), Some(&AuditKind::Deferred));

    begin(&store, &event).await;
    let working = lead(&store, &event.lead_id).await;
    assert_eq!((working.status, working.failure), (LeadStatus::Processing, None));
}

#[on_both]
async fn a_full_limit_is_audited_once_an_hour(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let wait = Duration::from_secs(30);
    let crm = || Dependency::new("crm.mock");
    let of_all = Failure::limit(crm(), "crm_rate_limit", "full", wait);
    let of_account = Failure::lead_deferral("account_rate_limit", "full", wait);
    let away = Failure::deferral(crm(), "breaker_open", "away", Some(wait));
    let defer = async |failure: &Failure| {
        begin(&store, &event).await;
        store.record_retry(&event, 1, failure, Duration::from_secs(30), true).await.unwrap();
        let waiting = lead(&store, &event.lead_id).await;
        assert_eq!((waiting.status, waiting.failure.as_ref()), (LeadStatus::Retrying, Some(failure)));
    };
    let length = async || audit(&store, &event.lead_id).await.len();
    for _ in 0..20 {
        defer(&of_all).await;
        fixture.clock.advance(Duration::from_mins(1));
    }
    let first = [AuditKind::Accepted, AuditKind::Started, AuditKind::Deferred];
    assert_eq!(kinds(&store, &event.lead_id).await, first);
    defer(&of_account).await;
    assert_eq!(length().await, 4, "another reason");
    fixture.clock.advance(Duration::from_hours(1));
    defer(&of_account).await;
    assert_eq!(length().await, 5, "another hour");
    // Each outage of the CRM is audited.
    defer(&away).await;
    defer(&away).await;
    assert_eq!(length().await, 8, "deferred, started, deferred");
    defer(&of_account).await;
    assert_eq!(length().await, 10, "after an outage the deferral is audited again");
}

#[on_both]
async fn a_failure_after_the_end_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    settled(&fixture, &store, &older).await;
    let failure = Failure::transient("timeout", "no answer");
    let trail = kinds(&store, &older.lead_id).await;
    store.record_retry(&older, 1, &failure, Duration::ZERO, false).await.unwrap();
    store.record_dead_letter("m1", Some(&older), "{}", 5, &failure).await.unwrap();
    assert_eq!(lead(&store, &older.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(kinds(&store, &older.lead_id).await, trail);
    assert_eq!(store.count_dead_letters().await.unwrap(), 0);

    store.accept(&newer).await.unwrap();
    store.record_retry(&older, 2, &failure, Duration::ZERO, false).await.unwrap();
    assert_eq!(lead(&store, &newer.lead_id).await.status, LeadStatus::Queued);
}

#[on_both]
async fn a_failure_before_acceptance_creates_the_lead(fixture: Fixture) {
    let store = fixture.store().await;
    let failure = Failure::permanent("worker_lost", "workers died");
    let (retried, dead_lettered) = (event("ann", "a", 0), event("bob", "a", 0));
    store.record_retry(&retried, 1, &failure, Duration::ZERO, false).await.unwrap();
    store.record_dead_letter("m1", Some(&dead_lettered), "{}", 1, &failure).await.unwrap();
    assert_eq!(lead(&store, &retried.lead_id).await.status, LeadStatus::Retrying);
    let parked = lead(&store, &dead_lettered.lead_id).await;
    assert_eq!((parked.status, parked.failure), (LeadStatus::PermanentlyFailed, Some(failure)));
    assert_eq!(kinds(&store, &dead_lettered.lead_id).await, [AuditKind::Accepted, AuditKind::DeadLettered]);
}

#[on_both]
async fn an_unreadable_stored_value_is_a_permanent_failure(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    begin(&store, &event).await;
    execute(&store, "UPDATE delivery SET enrichment = '{secret'").await;
    let failure: Failure = store.begin_work(&event, 2).await.map(|_: Begun| ()).unwrap_err().into();
    assert_eq!(failure.code, "stored_data_unreadable");
    assert!(!format!("{failure:?}").contains("secret"));
    assert_eq!(failure.class(), lead::FailureClass::Permanent);
}

#[on_both]
async fn work_of_another_application_is_closed_once(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    begin(&store, &event).await;
    for _ in 0..2 {
        store.record_worked_elsewhere(&event).await.unwrap();
    }
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::WorkedElsewhere);
    let trail = kinds(&store, &event.lead_id).await;
    assert_eq!(trail, [AuditKind::Accepted, AuditKind::Started, AuditKind::WorkedElsewhere]);
    assert!(!has_work(&store, &event).await);
    assert!(store.open_deliveries(None, fixture.clock.now(), 10).await.unwrap().is_empty());
}
