//! Returns of a lead to an earlier content, as opposed to retries and repeats.

use std::time::Duration;

use lead::{Actor, Arrival, Failure, LeadEvent, LeadStatus, Stage, TraceContext};
use on_both::on_both;
use store::{Accept, Attempts, AuditKind, Begun, Store};

use crate::support::{Fixture, at, begin, event, kinds, lead, note, settled};

fn signed(person: &str, title: &str, received: i64, id: &str) -> LeadEvent {
    event(person, title, received).with_arrival(Arrival::webhook(id))
}

async fn arrive(store: &Store, event: &LeadEvent) -> (Accept, LeadEvent) {
    let mut transaction = store.database().begin().await.unwrap();
    let arrived = store.accept_arrival(&mut transaction, event).await.unwrap();
    transaction.commit().await.unwrap();
    arrived
}

#[on_both]
async fn a_return_to_an_earlier_content_is_a_revision(fixture: Fixture) {
    let store = fixture.store().await;
    settled(&fixture, &store, &event("ann", "CTO", 0)).await;
    settled(&fixture, &store, &event("ann", "Intern", 1)).await;
    let back = event("ann", "CTO", 2);
    assert_eq!(store.accept(&back).await.unwrap(), Accept::Revision);
    let lead = lead(&store, &back.lead_id).await;
    assert_eq!((lead.status, lead.revision), (LeadStatus::Queued, 3));
    assert_eq!((lead.delivery_id, lead.content), (back.delivery_id(), back.lead.clone()));
    assert_eq!(begin(&store, &back).await.lead, back.lead);
    assert_eq!(store.accept(&event("ann", "CTO", 3)).await.unwrap(), Accept::Duplicate { open: true });
}

#[on_both]
async fn failures_of_a_repeat_are_attempts_of_its_delivery(fixture: Fixture) {
    let store = fixture.store().await;
    let first = event("ann", "CTO", 0);
    store.accept(&first).await.unwrap();
    let locked = Failure::transient("crm_locked", "the record is locked").at(Stage::CrmWrite);
    for (failed, event) in (1..).zip([first.clone(), event("ann", "CTO", 1), event("ann", "CTO", 2)]) {
        begin(&store, &event).await;
        store.record_retry(&event, 1, &locked, Duration::from_secs(2), false).await.unwrap();
        assert_eq!(store.attempts(&event).await.unwrap().at(Stage::CrmWrite), failed);
    }
}

#[on_both]
async fn attempts_are_read_while_a_writer_has_the_lead(fixture: Fixture) {
    let (store, writer) = (fixture.store().await, fixture.store().await);
    let event = event("ann", "CTO", 0);
    begin(&store, &event).await;
    let mut writing = writer.database().begin().await.unwrap();
    sqlx::query("UPDATE lead SET revision = revision").execute(&mut *writing).await.unwrap();
    let read = tokio::time::timeout(Duration::from_mins(1), store.attempts(&event)).await;
    assert_eq!(read.expect("the read does not wait for the writer").unwrap(), Attempts::default());
    writing.commit().await.unwrap();
}

#[on_both]
async fn a_return_is_ordered_by_its_time_of_receipt(fixture: Fixture) {
    let contents = [event("ann", "CTO", 0), event("ann", "Intern", 1), event("ann", "CTO", 2)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let person = format!("ann{}{}{}", order[0], order[1], order[2]);
        let store = fixture.store().await;
        for which in order {
            let event =
                event(&person, contents[which].lead.title.as_deref().unwrap(), i64::try_from(which).unwrap());
            store.accept(&event).await.unwrap();
        }
        let id = event(&person, "CTO", 0).lead_id;
        assert_eq!(lead(&store, &id).await.content.title.as_deref(), Some("CTO"), "{order:?}");
    }
}

#[on_both]
async fn a_repeated_webhook_id_is_a_duplicate(fixture: Fixture) {
    let store = fixture.store().await;
    let first = signed("ann", "CTO", 0, "msg_1");
    settled(&fixture, &store, &first).await;
    // The same content under another id makes no delivery, but its receipt is saved.
    let repeated = signed("ann", "CTO", 1, "msg_2");
    assert_eq!(store.accept(&repeated).await.unwrap(), Accept::Duplicate { open: false });
    let newer = signed("ann", "Intern", 2, "msg_3");
    settled(&fixture, &store, &newer).await;
    for retry in [
        signed("ann", "CTO", 3, "msg_1"),
        signed("ann", "CTO", 4, "msg_2"),
        signed("ann", "CTO, sent at 12:01", 5, "msg_1"),
    ] {
        assert_eq!(store.accept(&retry).await.unwrap(), Accept::Duplicate { open: false });
        assert!(matches!(store.begin_work(&retry, 1).await.unwrap(), Begun::Nothing));
    }
    assert_eq!(lead(&store, &first.lead_id).await.content, newer.lead);
    let back = signed("ann", "CTO", 6, "msg_4");
    assert_eq!(store.accept(&back).await.unwrap(), Accept::Revision);
}

#[on_both]
async fn within_the_retry_window_older_content_is_a_retry(fixture: Fixture) {
    let store = fixture.store().await.with_retry_window(Duration::from_secs(60));
    settled(&fixture, &store, &event("ann", "CTO", 0)).await;
    let newer = event("ann", "Intern", 10);
    settled(&fixture, &store, &newer).await;
    assert_eq!(store.accept(&event("ann", "CTO", 60)).await.unwrap(), Accept::Duplicate { open: false });
    assert_eq!(lead(&store, &newer.lead_id).await.content, newer.lead);
    assert_eq!(store.accept(&event("ann", "CTO", 61)).await.unwrap(), Accept::Revision);
}

#[on_both]
async fn a_clock_that_steps_back_loses_no_revision(fixture: Fixture) {
    let store = fixture.store().await;
    let first = event("ann", "a", 3600);
    assert_eq!(arrive(&store, &first).await, (Accept::New, first.clone()));
    for title in ["b", "c"] {
        let (accepted, kept) = arrive(&store, &event("ann", title, 0)).await;
        assert_eq!(accepted, Accept::Revision);
        assert!(kept.received_at > first.received_at);
        let lead = lead(&store, &first.lead_id).await;
        assert_eq!((lead.delivery_id, lead.content), (kept.delivery_id(), kept.lead.clone()));
        assert_eq!(begin(&store, &kept).await.lead, kept.lead);
    }
}

#[on_both]
async fn a_return_within_one_millisecond_is_a_revision(fixture: Fixture) {
    let store = fixture.store().await;
    let mut accepted = Vec::new();
    for title in ["CTO", "Intern", "CTO", "CTO"] {
        accepted.push(arrive(&store, &event("ann", title, 0)).await.0);
    }
    let expected = [Accept::New, Accept::Revision, Accept::Revision, Accept::Duplicate { open: true }];
    assert_eq!(accepted, expected);
    let id = event("ann", "CTO", 0).lead_id;
    assert_eq!(lead(&store, &id).await.content.title.as_deref(), Some("CTO"));
}

#[on_both]
async fn a_repeat_of_an_open_delivery_works_on_that_delivery(fixture: Fixture) {
    let store = fixture.store().await;
    let (first, repeated) = (event("ann", "a", 0), event("ann", "a", 1));
    note(&store, &repeated).await;
    let work = begin(&store, &first).await;
    assert_eq!(work.delivery_id, repeated.delivery_id(), "noted before the first was worked on");
    let failure = lead::Failure::permanent("refused", "no such country");
    store.record_dead_letter(first.delivery_id().as_str(), Some(&first), "{}", 1, &failure).await.unwrap();
    let letter = store.dead_letter(repeated.delivery_id().as_str()).await.unwrap().unwrap();
    let kept: LeadEvent = serde_json::from_str(&letter.body).unwrap();
    assert_eq!(kept.delivery_id(), repeated.delivery_id(), "a redrive sends the delivery itself");
    fixture.advance(2);
    assert!(matches!(store.begin_work(&first, 1).await.unwrap(), Begun::Nothing));
    assert!(matches!(store.begin_work(&repeated, 1).await.unwrap(), Begun::DeadLettered(_)));
    assert!(store.reopen_dead_lettered(&first, "redrive").await.unwrap());
    assert_eq!(begin(&store, &first).await.delivery_id, repeated.delivery_id());
}

/// The message may reach the worker with an id of its own, or with that of the earlier post.
#[on_both]
async fn a_post_after_a_failure_is_worked_on_again(fixture: Fixture) {
    let store = fixture.store().await;
    let refused = Failure::permanent("refused", "no such country");
    let posts: [fn(i64) -> (LeadEvent, LeadEvent); 4] = [
        |at| (event("ann", "a", at), event("ann", "a", at + 60)),
        |at| (signed("bob", "a", at, "msg_1"), signed("bob", "a", at + 60, "msg_1")),
        |at| (signed("dan", "a", at, "msg_2"), signed("dan", "a", at + 60, "msg_3")),
        |at| {
            let content = |at| event("cem", "a", at).with_arrival(Arrival::Content);
            (content(at), content(at + 60))
        },
    ];
    for (post, start) in posts.iter().zip([0, 110, 220, 330]) {
        let (first, again) = post(start);
        begin(&store, &first).await;
        fixture.advance(10);
        store.record_dead_letter("ignored", Some(&first), "{}", 1, &refused).await.unwrap();
        let delivered_twice = store.begin_work(&first, 1).await.unwrap();
        assert!(matches!(delivered_twice, Begun::DeadLettered(_)), "posted before it failed");
        let work = begin(&store, &again).await;
        assert_eq!(work.delivery_id, first.delivery_id());
        assert_eq!(lead(&store, &first.lead_id).await.status, LeadStatus::Processing);
        assert_eq!(store.count_dead_letters().await.unwrap(), 0);

        // The next failure also ends this post, however often its message is received.
        fixture.advance(100);
        store.record_dead_letter("ignored", Some(&again), "{}", 1, &refused).await.unwrap();
        assert!(!matches!(store.begin_work(&again, 1).await.unwrap(), Begun::Work(_)));
        assert_eq!(store.count_dead_letters().await.unwrap(), 1);
        // Directly from its sender, the clock does not matter.
        let again = again.traced(TraceContext::new(1, 2, true));
        let (accepted, event) = arrive(&store, &again).await;
        assert_eq!((accepted, event.delivery_id()), (Accept::Reopened, first.delivery_id()));
        assert_eq!(event.traceparent, again.traceparent, "the trace of the post that reopened it");
        assert_eq!(arrive(&store, &again).await.0, Accept::Duplicate { open: true });
    }
}

#[on_both]
async fn a_post_of_older_content_reopens_nothing(fixture: Fixture) {
    let store = fixture.store().await.with_retry_window(Duration::from_secs(3_600));
    settled(&fixture, &store, &event("ann", "CTO", 0)).await;
    let newest = event("ann", "Intern", 1);
    begin(&store, &newest).await;
    let refused = Failure::permanent("refused", "no such country");
    store.record_dead_letter("ignored", Some(&newest), "{}", 1, &refused).await.unwrap();
    assert_eq!(store.accept(&event("ann", "CTO", 60)).await.unwrap(), Accept::Duplicate { open: false });
    assert_eq!(lead(&store, &newest.lead_id).await.status, LeadStatus::PermanentlyFailed);
}

#[on_both]
async fn deliveries_of_earlier_versions_keep_their_ids(fixture: Fixture) {
    let store = fixture.store().await;
    let old = event("ann", "a", 0).with_arrival(Arrival::Content);
    settled(&fixture, &store, &old).await;
    let reopened = store.reopen(&Actor::admin(), &old.lead_id, true, "test").await.unwrap().unwrap();
    assert_eq!(reopened, old);
    assert_eq!(begin(&store, &reopened).await.delivery_id, old.delivery_id());
    assert_eq!(store.accept(&event("ann", "a", 1)).await.unwrap(), Accept::Duplicate { open: true });
    assert_eq!(store.open_deliveries(None, at(10), 10).await.unwrap(), std::slice::from_ref(&old));
    assert_eq!(kinds(&store, &old.lead_id).await.last(), Some(&AuditKind::Duplicate));
}

#[on_both]
async fn open_deliveries_are_sent_again_under_their_ids(fixture: Fixture) {
    let store = fixture.store().await;
    for event in [event("ann", "a", 0), signed("bob", "a", 1, "msg_1"), signed("bob", "b", 2, "msg_2")] {
        store.accept(&event).await.unwrap();
    }
    let open = store.open_deliveries(None, at(10), 10).await.unwrap();
    assert_eq!(open[0], event("ann", "a", 0));
    assert_eq!(open.last(), Some(&signed("bob", "b", 2, "msg_2")));
}
