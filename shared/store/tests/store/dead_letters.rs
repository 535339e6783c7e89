//! Dead-lettered messages.

use lead::{Actor, Failure, FailureClass, LeadStatus};
use on_both::on_both;
use store::{AuditKind, Begun, Cursor};

use crate::support::{Fixture, begin, event, has_work, kinds, lead, settled};

fn failure() -> Failure {
    Failure::permanent("crm_rejected", "the CRM refused it")
}

#[on_both]
async fn a_dead_letter_fails_its_lead_with_the_reason(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    begin(&store, &event).await;
    store.record_dead_letter("ignored", Some(&event), "the body", 5, &failure()).await.unwrap();
    let parked = lead(&store, &event.lead_id).await;
    assert_eq!((parked.status, parked.failure), (LeadStatus::PermanentlyFailed, Some(failure())));
    let letter = store.dead_letters(None, 10).await.unwrap().swap_remove(0);
    assert_eq!(
        (&letter.id, &letter.lead_id),
        (&event.delivery_id().to_string(), &Some(event.lead_id.clone()))
    );
    assert_eq!((letter.attempts, &letter.failure), (5, &failure()));
    for id in [event.delivery_id().to_string(), event.lead_id.to_string()] {
        let found = store.dead_letter(&id).await.unwrap().unwrap();
        assert_eq!((found.id, found.body.as_str()), (letter.id.clone(), "the body"));
    }
    assert!(store.dead_letter("another").await.unwrap().is_none());
}

#[on_both]
async fn dead_lettering_twice_leaves_one_dead_letter(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    for attempts in [5, 6] {
        store.record_dead_letter("m1", Some(&event), "{}", attempts, &failure()).await.unwrap();
        store.record_dead_letter("m2", None, "unreadable", attempts, &failure()).await.unwrap();
    }
    assert_eq!(store.count_dead_letters().await.unwrap(), 2);
    let letter = |id: &str, letters: &[store::DeadLetter]| {
        letters.iter().find(|letter| letter.id == id).map(|letter| letter.attempts)
    };
    let letters = store.dead_letters(None, 10).await.unwrap();
    assert_eq!(letter(event.delivery_id().as_str(), &letters), Some(5), "the first time ended it");
    assert_eq!(letter("m2", &letters), Some(6));
    assert_eq!(kinds(&store, &event.lead_id).await, [AuditKind::Accepted, AuditKind::DeadLettered]);
}

#[on_both]
async fn reopening_deletes_the_dead_letter_and_a_failure_adds_another(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.record_dead_letter("m1", Some(&event), "{}", 5, &failure()).await.unwrap();
    store.reopen(&Actor::admin(), &event.lead_id, false, "redrive").await.unwrap();
    assert_eq!(store.count_dead_letters().await.unwrap(), 0);
    assert!(has_work(&store, &event).await);
    store.record_dead_letter("m1", Some(&event), "{}", 1, &failure()).await.unwrap();
    // The redrive may remove the dead letter late.
    store.remove_dead_letter(event.delivery_id().as_str()).await.unwrap();
    assert_eq!(store.count_dead_letters().await.unwrap(), 1);
}

#[on_both]
async fn a_revision_deletes_the_superseded_dead_letter(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    store.record_dead_letter("m1", Some(&older), "{}", 5, &failure()).await.unwrap();
    settled(&fixture, &store, &newer).await;
    assert_eq!(store.count_dead_letters().await.unwrap(), 0);
    assert_eq!(lead(&store, &newer.lead_id).await.failure, None);
}

#[on_both]
async fn a_superseded_delivery_is_not_dead_lettered(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    begin(&store, &older).await;
    store.accept(&newer).await.unwrap();
    store.record_dead_letter("m1", Some(&older), "{}", 5, &failure()).await.unwrap();
    assert_eq!(store.count_dead_letters().await.unwrap(), 0);
    assert_eq!(lead(&store, &newer.lead_id).await.status, LeadStatus::Queued);
    assert_eq!(kinds(&store, &newer.lead_id).await.last(), Some(&AuditKind::Superseded));
}

#[on_both]
async fn an_unreadable_message_is_dead_lettered(fixture: Fixture) {
    let store = fixture.store().await;
    let body = "\u{0}{\"emoji\": \"😀\", 'quotes' % _ \\";
    store.record_dead_letter("a\u{0}b", None, body, 1, &failure()).await.unwrap();
    let letter = store.dead_letters(None, 10).await.unwrap().swap_remove(0);
    assert_eq!(letter.lead_id, None);
    // PostgreSQL cannot store NUL in text; a replacement character marks it.
    assert_eq!(letter.id, "a\u{fffd}b");
    let found = store.dead_letter("a\u{0}b").await.unwrap().unwrap();
    assert_eq!(found.body, body.replace('\u{0}', "\u{fffd}"));
    store.remove_dead_letter(&letter.id).await.unwrap();
    assert_eq!(store.count_dead_letters().await.unwrap(), 0);
}

#[on_both]
async fn dead_letters_are_paged_newest_first(fixture: Fixture) {
    let store = fixture.store().await;
    for n in 0..7 {
        store.record_dead_letter(&format!("m{n}"), None, "x", 1, &failure()).await.unwrap();
        fixture.advance(n % 2);
    }
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.dead_letters(cursor.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(Cursor::at(last.failed_at, last.id.clone()));
        ids.extend(page.into_iter().map(|letter| letter.id));
    }
    assert_eq!(ids, ["m6", "m5", "m4", "m3", "m2", "m1", "m0"]);
}

#[on_both]
async fn a_dead_lettered_newest_delivery_reports_its_failure(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    begin(&store, &event).await;
    let timeout = Failure::transient("crm_timeout", "no answer");
    store.record_dead_letter("ignored", Some(&event), "the body", 5, &timeout).await.unwrap();
    let before = kinds(&store, &event.lead_id).await;
    let Begun::DeadLettered(why) = store.begin_work(&event, 5).await.unwrap() else {
        panic!("it was dead-lettered")
    };
    assert_eq!(
        (why.code.as_ref(), why.class()),
        ("crm_timeout", FailureClass::Permanent),
        "no attempt is left"
    );
    assert_eq!(kinds(&store, &event.lead_id).await, before);
    store.accept(&crate::support::event("ann", "b", 1)).await.unwrap();
    assert!(matches!(store.begin_work(&event, 5).await.unwrap(), Begun::Nothing), "superseded");
}

#[on_both]
async fn only_the_newest_dead_lettered_delivery_is_reopened(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    assert!(!store.reopen_dead_lettered(&older, "redrive").await.unwrap(), "there is no such delivery");
    begin(&store, &older).await;
    assert!(!store.reopen_dead_lettered(&older, "redrive").await.unwrap(), "it is open");
    store.record_dead_letter("ignored", Some(&older), "the body", 5, &failure()).await.unwrap();
    assert!(store.reopen_dead_lettered(&older, "redrive").await.unwrap());
    assert!(!store.reopen_dead_lettered(&older, "redrive").await.unwrap());
    assert_eq!(kinds(&store, &older.lead_id).await.last(), Some(&AuditKind::Reopened));
    assert_eq!(lead(&store, &older.lead_id).await.status, LeadStatus::Queued);
    assert_eq!(store.count_dead_letters().await.unwrap(), 0);
    assert!(has_work(&store, &older).await);
    store.record_dead_letter("ignored", Some(&older), "the body", 5, &failure()).await.unwrap();
    store.accept(&newer).await.unwrap();
    assert!(!store.reopen_dead_lettered(&older, "redrive").await.unwrap(), "it is superseded");
}
