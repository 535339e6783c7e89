//! Reopening of leads.

use std::time::Duration;

use lead::{Actor, Failure, LeadStatus};
use on_both::on_both;
use serde_json::json;
use store::{AuditKind, Cursor, Finish};

use crate::support::{
    Fixture, analyses, at, audit, begin, company, event, finish, has_work, judged, kinds, lead,
    save_enrichment, save_judgement, settled, synced,
};

#[on_both]
async fn reopening_continues_from_saved_results(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    settled(&fixture, &store, &event).await;
    assert_eq!(
        store.reopen(&Actor::admin(), &event.lead_id, false, "redrive").await.unwrap(),
        Some(event.clone())
    );
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Queued);
    let last = audit(&store, &event.lead_id).await.pop().unwrap();
    assert_eq!((last.kind, &last.detail["reason"]), (AuditKind::Reopened, &json!("redrive")));
    let work = begin(&store, &event).await;
    assert_eq!(work.round, 1);
    assert!(work.analysis.is_some());
}

#[on_both]
async fn a_new_judgement_is_a_new_round_with_the_same_enrichment(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut work = begin(&store, &event).await;
    save_enrichment(&store, company("a"), json!({}), &mut work).await.unwrap();
    save_judgement(&store, judged(&fixture, &work, "first"), &mut work).await.unwrap();
    finish(&store, Finish::Held, &mut work).await.unwrap();
    store.reopen(&Actor::admin(), &event.lead_id, true, "look again").await.unwrap();
    let mut work = begin(&store, &event).await;
    assert_eq!((work.round, work.analysis.is_none()), (2, true));
    assert_eq!(work.enrichment, Some(company("a")));
    save_judgement(&store, judged(&fixture, &work, "second"), &mut work).await.unwrap();
    let providers: Vec<_> =
        analyses(&store, &event.lead_id).await.into_iter().map(|a| (a.round, a.provider)).collect();
    assert_eq!(providers, [(2, "second".to_owned()), (1, "first".to_owned())]);
    assert_eq!(store.analysis_in_force(&event.lead_id).await.unwrap().unwrap().round, 2);
}

#[on_both]
async fn an_open_delivery_stays_unchanged(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    begin(&store, &event).await;
    let trail = kinds(&store, &event.lead_id).await;
    assert_eq!(
        store.reopen(&Actor::admin(), &event.lead_id, true, "again").await.unwrap(),
        Some(event.clone())
    );
    assert_eq!(kinds(&store, &event.lead_id).await, trail);
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Processing);
    assert_eq!(begin(&store, &event).await.round, 1);
}

#[on_both]
async fn only_the_newest_delivery_is_reopened(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    settled(&fixture, &store, &older).await;
    settled(&fixture, &store, &newer).await;
    assert_eq!(
        store.reopen(&Actor::admin(), &older.lead_id, true, "again").await.unwrap(),
        Some(newer.clone())
    );
    assert!(!has_work(&store, &older).await);
    assert!(has_work(&store, &newer).await);
}

#[on_both]
async fn an_unknown_lead_cannot_be_reopened(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(
        store.reopen(&Actor::admin(), &event("ann", "a", 0).lead_id, true, "again").await.unwrap(),
        None
    );
}

#[on_both]
async fn settled_leads_judged_without_an_ai_are_rescored(fixture: Fixture) {
    let store = fixture.store().await;
    let (first, second, failed, open) =
        (event("first", "a", 0), event("second", "a", 0), event("failed", "a", 0), event("open", "a", 0));
    settled(&fixture, &store, &first).await;
    fixture.advance(10);
    settled(&fixture, &store, &second).await;
    let mut work = begin(&store, &failed).await;
    save_judgement(&store, judged(&fixture, &work, "rules"), &mut work).await.unwrap();
    let failure = Failure::permanent("bad", "bad");
    store.record_dead_letter("m1", Some(&failed), "{}", 1, &failure).await.unwrap();
    let mut work = begin(&store, &open).await;
    save_judgement(&store, judged(&fixture, &work, "rules"), &mut work).await.unwrap();
    let real = event("real", "a", 0);
    settled(&fixture, &store, &real).await;
    store.reopen(&Actor::admin(), &real.lead_id, true, "again").await.unwrap();
    let mut work = begin(&store, &real).await;
    let mut judgement = judged(&fixture, &work, "gemini");
    judgement.fallback = false;
    save_judgement(&store, judgement, &mut work).await.unwrap();
    finish(&store, Finish::Held, &mut work).await.unwrap();

    let found = async |second, rest, limit| {
        store.leads_to_rescore(at(second), Duration::from_secs(rest), limit).await.unwrap()
    };
    assert_eq!(found(10, 0, 10).await, std::slice::from_ref(&first.lead_id));
    assert_eq!(found(70, 60, 10).await, std::slice::from_ref(&first.lead_id));
    assert_eq!(found(71, 60, 10).await, [first.lead_id.clone(), second.lead_id]);
    assert_eq!(found(71, 60, 1).await, [first.lead_id]);
}

#[on_both]
async fn the_wait_for_rescoring_grows_each_time(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("blocked", "a", 0);
    settled(&fixture, &store, &event).await;
    let mut now = 0;
    for round in 1..6_u64 {
        let rest = 60 * round * round;
        let found = async |after| {
            let moment = at(i64::try_from(now + after).unwrap());
            store.leads_to_rescore(moment, Duration::from_secs(60), 10).await.unwrap()
        };
        assert_eq!(found(rest).await, [], "round {round}");
        assert_eq!(found(rest + 1).await, std::slice::from_ref(&event.lead_id), "round {round}");
        fixture.advance(rest + 1);
        now += rest + 1;
        store.reopen(&Actor::admin(), &event.lead_id, true, "again").await.unwrap();
        let mut work = begin(&store, &event).await;
        save_judgement(&store, judged(&fixture, &work, "rules"), &mut work).await.unwrap();
        finish(&store, synced(), &mut work).await.unwrap();
    }
}

#[on_both]
async fn open_deliveries_are_paged_oldest_first(fixture: Fixture) {
    let store = fixture.store().await;
    let mut open = Vec::new();
    for n in 0..25 {
        let event = event(&format!("person{n}"), "a", n / 10); // ten of each second
        store.accept(&event).await.unwrap();
        open.push(event);
    }
    settled(&fixture, &store, &event("done", "a", 0)).await;
    store.accept(&event("young", "a", 3)).await.unwrap();
    open.sort_by_key(|event| (event.received_at, event.delivery_id()));
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = store.open_deliveries(after.as_ref(), at(3), 4).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Cursor::at(last.received_at, last.delivery_id()));
        assert!(page.len() <= 4);
        listed.extend(page);
    }
    assert_eq!(listed, open);
    assert!(listed.iter().all(lead::LeadEvent::is_consistent));
}
