//! Retention of leads, contents and dead letters.

use std::time::Duration;

use crm::testing::every_action;
use crm::{Authority, Effect, Outcome, Plan};
use database::testing::tables;
use lead::{Clock as _, Failure, LeadEvent, LeadStatus};
use on_both::on_both;
use sqlx::{AssertSqlSafe, Column as _, Row as _};
use store::{
    Accept, Begun, Expired, ExpiredKind, Finish, LEAD_ROWS, Retention, RetentionPass, Scope, Store, Verdict,
};

use crate::support::{
    Fixture, begin, begin_plan, event, finish, finish_actions, judged, new_lead, rejected_body,
    save_judgement, settled, synced,
};

const DAY: Duration = Duration::from_hours(24);
const DAY_SECONDS: u64 = 24 * 60 * 60;

fn leads_for(days: u32) -> Retention {
    Retention { leads: Some(days * DAY), ..Retention::default() }
}

/// A whole pass over the leads.
async fn retain(store: &Store, retention: Retention, apply: bool) -> Expired {
    let (mut expired, mut after) = (Expired::default(), None);
    loop {
        let batch = store
            .retain_leads(&lead::Actor::janitor(), &retention, &LEAD_ROWS, after.as_ref(), apply)
            .await
            .unwrap();
        expired.merge(&batch.expired);
        let Some(next) = batch.next else { return expired };
        after = Some(next);
    }
}

/// The columns in which a text occurs.
async fn places_of(store: &Store, needle: &str) -> Vec<String> {
    let mut places = Vec::new();
    for table in tables(store.database()).await {
        let sql = AssertSqlSafe(format!("SELECT * FROM {table}"));
        for row in sqlx::query(sql).fetch_all(store.database().pool()).await.unwrap() {
            for column in row.columns() {
                let text = row.try_get::<Option<String>, _>(column.ordinal()).ok().flatten();
                if text.is_some_and(|text| text.contains(needle)) {
                    places.push(format!("{table}.{}", column.name()));
                }
            }
        }
    }
    places
}

/// A lead that was written to a CRM, with rows in most tables.
async fn written(fixture: &Fixture, store: &Store, event: &LeadEvent) {
    store.accept(event).await.unwrap();
    let mut work = begin(store, event).await;
    save_judgement(store, judged(fixture, &work, "rules"), &mut work).await.unwrap();
    let plan = Plan::new(
        work.lead_id.clone(),
        work.delivery_id.clone(),
        1,
        None,
        every_action(&work.lead_id, &work.delivery_id),
    );
    begin_plan(store, "mock", &plan, Authority::Normal).await;
    let done =
        |planned: &crm::PlannedAction| (planned.action_id.clone(), Outcome::Done(Effect::new("00Q1", true)));
    finish_actions(store, &plan.actions.iter().map(done).collect::<Vec<_>>()).await;
    finish(store, synced(), &mut work).await.unwrap();
}

#[on_both]
async fn finished_lead_goes_with_everything_that_belongs_to_it(fixture: Fixture) {
    let store = fixture.store().await;
    let (old, young) = (event("zebulon", "CTO", 0), event("bob", "CTO", 0));
    written(&fixture, &store, &old).await;
    fixture.advance(20 * DAY_SECONDS);
    written(&fixture, &store, &young).await;
    fixture.advance(15 * DAY_SECONDS);
    let places = places_of(&store, old.lead_id.as_str()).await;
    assert!(places.len() > 8, "{places:?}");

    let counted = retain(&store, leads_for(30), false).await;
    assert_eq!(places_of(&store, old.lead_id.as_str()).await, places, "a dry run changes nothing");
    let removed = retain(&store, leads_for(30), true).await;
    assert_eq!(removed, counted);
    assert_eq!(removed.count(ExpiredKind::Leads), 1);

    assert_eq!(places_of(&store, old.lead_id.as_str()).await, ["expired_lead.lead_id"]);
    assert!(places_of(&store, "zebulon").await.is_empty());
    assert!(store.lead(&young.lead_id).await.unwrap().is_some());
    assert!(retain(&store, leads_for(30), true).await.is_empty());
}

#[on_both]
async fn lead_that_waits_or_is_under_way_is_not_removed(fixture: Fixture) {
    let store = fixture.store().await;
    let names = ["queued", "processing", "held", "failed"];
    let events = names.map(|name| event(name, "CTO", 0));
    for event in &events {
        store.accept(event).await.unwrap();
    }
    begin(&store, &events[1]).await;
    let mut work = begin(&store, &events[2]).await;
    save_judgement(&store, judged(&fixture, &work, "gemini"), &mut work).await.unwrap();
    finish(&store, Finish::Held, &mut work).await.unwrap();
    let failure = Failure::permanent("crm_refused", "refused");
    let id = events[3].delivery_id();
    store.record_dead_letter(id.as_str(), Some(&events[3]), "{}", 5, &failure).await.unwrap();
    fixture.advance(400 * DAY_SECONDS);
    let everything_but_held = Retention { content: Some(DAY), ..leads_for(30) };
    assert!(retain(&store, everything_but_held, true).await.is_empty());

    // What waits for a person has settings of its own.
    let held = Retention { held: Some(30 * DAY), ..Retention::default() };
    assert_eq!(retain(&store, held, true).await.count(ExpiredKind::HeldLeads), 1);
    let before = fixture.clock.now();
    let letters = store.expired_dead_letters(before, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(store.remove_expired_dead_letters(&[letters[0].0.as_str()], before).await.unwrap(), 1);
    assert_eq!(retain(&store, leads_for(30), true).await.count(ExpiredKind::Leads), 1);
    let left = store.count_leads().await.unwrap();
    let open = [LeadStatus::Queued, LeadStatus::Processing].map(|status| (status, 1));
    assert!(open.iter().all(|count| left.contains(count)), "{left:?}");
    assert_eq!(left.iter().map(|(_, leads)| leads).sum::<i64>(), 2);
}

#[on_both]
async fn late_copy_is_dropped_and_a_new_post_is_a_new_lead(fixture: Fixture) {
    let store = fixture.store().await;
    let (superseded, newest) = (event("ann", "CTO", 0), event("ann", "CEO", 5));
    store.accept(&superseded).await.unwrap();
    settled(&fixture, &store, &newest).await;
    fixture.advance(31 * DAY_SECONDS);
    assert_eq!(retain(&store, leads_for(30), true).await.count(ExpiredKind::Leads), 1);
    for copy in [&superseded, &newest] {
        assert_eq!(store.accept(copy).await.unwrap(), Accept::Erased);
        assert!(matches!(store.begin_work(copy, 1).await.unwrap(), Begun::Nothing));
        crate::support::note(&store, copy).await;
    }
    assert!(store.lead(&newest.lead_id).await.unwrap().is_none());

    // It was accepted and waits in a queue: it is newer than what was removed, so it is not lost.
    let waiting = event("ann", "CFO", 6);
    assert_eq!(store.accept(&waiting).await.unwrap(), Accept::New);
    assert_eq!(store.accept(&newest).await.unwrap(), Accept::Erased, "still a late copy");
    // A sender that posts with a clock that was set back is not a late copy.
    let mut transaction = store.database().begin().await.unwrap();
    let (accept, _) = store.accept_arrival(&mut transaction, &event("ann", "CIO", 1)).await.unwrap();
    assert_eq!(accept, Accept::Revision);
}

#[on_both]
async fn tombstones_end_after_some_months(fixture: Fixture) {
    let store = fixture.store().await;
    let ann = event("ann", "CTO", 0);
    settled(&fixture, &store, &ann).await;
    fixture.advance(31 * DAY_SECONDS);
    retain(&store, leads_for(30), true).await;
    assert_eq!(store.remove_expired_tombstones().await.unwrap(), 0);
    assert!(store.is_expired(&ann.lead_id).await.unwrap());
    fixture.advance(91 * DAY_SECONDS);
    assert_eq!(store.remove_expired_tombstones().await.unwrap(), 1);
    assert!(!store.is_expired(&ann.lead_id).await.unwrap());
}

#[on_both]
async fn contents_go_and_hashes_and_verdicts_stay(fixture: Fixture) {
    let store = fixture.store().await;
    let (first, second) = (event("ann", "Chief Zebulon", 0), event("ann", "CEO", 5));
    store.accept(&first).await.unwrap();
    let mut work = begin(&store, &first).await;
    let mut analysis = judged(&fixture, &work, "gemini");
    analysis.raw_answer = "Zebulon is ready".into();
    save_judgement(&store, analysis, &mut work).await.unwrap();
    finish(&store, synced(), &mut work).await.unwrap();
    settled(&fixture, &store, &second).await;
    fixture.advance(31 * DAY_SECONDS);
    let before = store.analysis_in_force(&first.lead_id).await.unwrap().unwrap();

    let retention = Retention { content: Some(30 * DAY), ..Retention::default() };
    let counted = retain(&store, retention, false).await;
    let removed = retain(&store, retention, true).await;
    assert_eq!(removed, counted);
    assert_eq!((removed.count(ExpiredKind::Contents), removed.count(ExpiredKind::Answers)), (1, 2));
    assert!(places_of(&store, "Zebulon").await.is_empty());
    assert!(retain(&store, retention, true).await.is_empty(), "once");

    let after = store.analysis_in_force(&first.lead_id).await.unwrap().unwrap();
    assert_eq!((&after.verdict, &after.facts), (&before.verdict, &before.facts));
    assert_eq!(after.raw_answer, "");
    assert_eq!(after.removed.unwrap().sha256.len(), 64);
    let mut all = store.stored_analyses(Scope::Every, None);
    assert_eq!((all.count().await.unwrap(), all.count_removed().await.unwrap()), (0, 2));
    assert!(all.next_page().await.unwrap().is_empty());
    // The content hash still recognises a retry.
    assert_eq!(store.accept(&first).await.unwrap(), Accept::Duplicate { open: false });
    // The newest content is needed for a new judgement.
    let event = store.reopen(&lead::Actor::admin(), &first.lead_id, true, "test").await.unwrap().unwrap();
    assert_eq!(event.lead.title.as_deref(), Some("CEO"));
}

#[on_both]
async fn ledger_loses_old_values_and_keeps_its_effects(fixture: Fixture) {
    let store = fixture.store().await;
    let ann = event("ann", "CTO", 0);
    written(&fixture, &store, &ann).await;
    let changed = "UPDATE crm_action SET changes = '[]' WHERE kind = 'upsert_lead'";
    sqlx::query(changed).execute(store.database().pool()).await.unwrap();
    fixture.advance(31 * DAY_SECONDS);
    let effects = store.actions(&ann.lead_id, 100).await.unwrap().len();
    let retention = Retention { content: Some(30 * DAY), ..Retention::default() };
    assert_eq!(retain(&store, retention, true).await.count(ExpiredKind::CrmValues), 1);
    assert_eq!(store.actions(&ann.lead_id, 100).await.unwrap().len(), effects);
    let written = store.written("mock", &ann.lead_id).await.unwrap();
    assert_eq!(written.iter().filter(|action| action.changes_removed_at.is_some()).count(), 1);
}

#[on_both]
async fn reviewer_keeps_the_answer_of_a_held_lead(fixture: Fixture) {
    let store = fixture.store().await;
    let ann = event("ann", "CTO", 0);
    store.accept(&ann).await.unwrap();
    let mut work = begin(&store, &ann).await;
    save_judgement(&store, judged(&fixture, &work, "gemini"), &mut work).await.unwrap();
    finish(&store, Finish::Held, &mut work).await.unwrap();
    fixture.advance(31 * DAY_SECONDS);
    let retention = Retention { content: Some(30 * DAY), ..Retention::default() };
    assert!(retain(&store, retention, true).await.is_empty());
    store.review(&lead::Actor::admin(), &ann.lead_id, Verdict::Dismiss, Some("spam")).await.unwrap();
    assert_eq!(retain(&store, retention, true).await.count(ExpiredKind::Answers), 1);
}

#[on_both]
async fn lead_that_changes_meanwhile_stays(fixture: Fixture) {
    let store = fixture.store().await;
    let ann = event("ann", "CTO", 0);
    settled(&fixture, &store, &ann).await;
    fixture.advance(31 * DAY_SECONDS);
    // Between the reading of a batch and its transaction.
    let retention = leads_for(30);
    let batch =
        store.retain_leads(&lead::Actor::janitor(), &retention, &LEAD_ROWS, None, false).await.unwrap();
    assert_eq!(batch.expired.count(ExpiredKind::Leads), 1);
    let revised = LeadEvent::new(new_lead("ann@example.com", "other"), fixture.clock.now());
    store.accept(&revised).await.unwrap();
    let mut lead = new_lead("ann@example.com", ann.lead.campaign_id.as_str());
    lead.title = Some("CEO".to_owned());
    store.accept(&LeadEvent::new(lead, fixture.clock.now())).await.unwrap();
    assert!(retain(&store, retention, true).await.is_empty());
}

#[on_both]
async fn leads_that_come_in_during_retention_are_all_kept(fixture: Fixture) {
    let store = fixture.store().await;
    let old: Vec<_> = (0..120).map(|number| event(&format!("old{number}"), "CTO", 0)).collect();
    for event in &old {
        settled(&fixture, &store, event).await;
    }
    fixture.advance(31 * DAY_SECONDS);
    let (now, intake) = (fixture.clock.now(), fixture.store().await);
    let posted = tokio::spawn(async move {
        // New leads, and new content of leads that are about to be removed.
        let mut posted = Vec::new();
        for number in 0..120 {
            let name = if number % 2 == 0 { format!("new{number}") } else { format!("old{number}") };
            let mut lead = event(&name, "CEO", 0).lead;
            lead.company = Some("Again".to_owned());
            let event = LeadEvent::new(lead, now);
            let mut transaction = intake.database().begin_ahead().await.unwrap();
            let (accept, event) = intake.accept_arrival(&mut transaction, &event).await.unwrap();
            transaction.commit().await.unwrap();
            assert!(matches!(accept, Accept::New | Accept::Revision), "{accept:?}");
            posted.push(event);
        }
        posted
    });
    let removed = retain(&store, leads_for(30), true).await.count(ExpiredKind::Leads);
    let posted = posted.await.unwrap();
    for event in &posted {
        let lead = store.lead(&event.lead_id).await.unwrap().expect("an accepted lead is never lost");
        assert_eq!((lead.status, &lead.delivery_id), (LeadStatus::Queued, &event.delivery_id()));
    }
    assert!((60..=120).contains(&removed), "{removed}");
    let left = retain(&store, leads_for(30), true).await;
    assert!(left.is_empty(), "one pass suffices: {left:?}");
}

#[on_both]
async fn pass_is_continued_where_it_was_saved(fixture: Fixture) {
    let store = fixture.store().await;
    assert_eq!(store.retention_pass().await.unwrap(), None);
    let mut pass = RetentionPass::beginning(fixture.clock.now());
    store.save_retention_pass(&pass).await.unwrap();
    assert_eq!(store.retention_pass().await.unwrap().as_ref(), Some(&pass));
    pass.after = Some(store::Cursor::at(fixture.clock.now(), "x"));
    pass.ended_at = Some(fixture.clock.now());
    store.save_retention_pass(&pass).await.unwrap();
    assert_eq!(store.retention_pass().await.unwrap().as_ref(), Some(&pass));
}

#[on_both]
async fn dead_letter_that_failed_again_stays(fixture: Fixture) {
    let store = fixture.store().await;
    let failure = Failure::permanent("x", "x");
    store.record_dead_letter("m1", None, "broken", 1, &failure).await.unwrap();
    store.quarantine(&rejected_body("aaaa", b"x", fixture.clock.now())).await.unwrap();
    fixture.advance(60);
    let before = fixture.clock.now();
    assert_eq!(store.expired_dead_letters(before, 10).await.unwrap().len(), 1);
    let counted = store.count_expired_dead_letters(before).await.unwrap();
    assert_eq!(counted.count(ExpiredKind::DeadLetters), 1);
    store.record_dead_letter("m1", None, "broken", 2, &failure).await.unwrap();
    assert_eq!(store.remove_expired_dead_letters(&["m1"], before).await.unwrap(), 0);
    assert_eq!(store.count_dead_letters().await.unwrap(), 1);
}
