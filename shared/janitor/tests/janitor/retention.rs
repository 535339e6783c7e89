use std::sync::Arc;
use std::time::Duration;

use janitor::Retainer;
use lead::{Clock as _, Failure};
use on_both::on_both;
use store::{ExpiredKind, Retention};
use testkit::fixtures::event;

use crate::support::Fixture;

const DAY: Duration = Duration::from_hours(24);
const KEEP: Retention =
    Retention { leads: Some(Duration::from_hours(30 * 24)), held: None, content: None, dead_letters: None };

/// Leads that are finished, as many as given.
async fn finished(fixture: &Fixture, leads: usize) {
    let events: Vec<_> = (0..leads).map(|number| event(&format!("n{number}"), "CTO", 0)).collect();
    fixture.post(&events, &[]).await;
    for event in &events {
        fixture.store.record_worked_elsewhere(event).await.unwrap();
    }
}

async fn left(fixture: &Fixture) -> i64 {
    fixture.store.count_leads().await.unwrap().iter().map(|(_, leads)| leads).sum()
}

#[on_both]
async fn rounds_remove_expired_leads_and_continue_a_pass(fixture: Fixture) {
    finished(&fixture, 7).await;
    let janitor = fixture.janitor().with_retention(KEEP);
    assert_eq!(janitor.round().await.unwrap().expired_leads, 0, "nothing is due yet");
    fixture.clock.advance(31 * DAY);
    let round = janitor.round().await.unwrap();
    assert_eq!((round.expired_leads, left(&fixture).await), (7, 0));
    let pass = fixture.store.retention_pass().await.unwrap().unwrap();
    assert!(pass.ended_at.is_some());

    // Another process continues a pass that was cut short.
    finished(&fixture, 3).await;
    fixture.clock.advance(31 * DAY);
    let cut_short = store::RetentionPass::beginning(fixture.clock.now());
    fixture.store.save_retention_pass(&cut_short).await.unwrap();
    assert_eq!(fixture.janitor().with_retention(KEEP).round().await.unwrap().expired_leads, 3);
}

#[on_both]
async fn nothing_is_removed_without_a_setting(fixture: Fixture) {
    finished(&fixture, 2).await;
    fixture.clock.advance(3_000 * DAY);
    fixture.janitor().with_retention(Retention::default()).round().await.unwrap();
    assert_eq!(left(&fixture).await, 2);
}

#[on_both]
async fn retainer_counts_first_and_then_removes_the_same(fixture: Fixture) {
    finished(&fixture, 1_100).await;
    let failure = Failure::permanent("x", "x");
    for id in ["m1", "m2"] {
        fixture.store.record_dead_letter(id, None, "broken", 1, &failure).await.unwrap();
    }
    fixture.clock.advance(31 * DAY);
    let retention = Retention { dead_letters: Some(30 * DAY), ..KEEP };
    let retainer = || {
        let (queue, clock) = (Arc::clone(&fixture.queue), Arc::new(fixture.clock.clone()));
        Retainer::new(fixture.store.clone(), queue, clock, retention)
    };
    let counted = retainer().count(|_| ()).await.unwrap();
    assert_eq!(counted.count(ExpiredKind::Leads), 1_100, "more than one batch");
    assert_eq!(counted.count(ExpiredKind::DeadLetters), 2);
    assert!(counted.of(ExpiredKind::Leads).unwrap().oldest < fixture.clock.now());
    assert_eq!(retainer().apply(|_| ()).await.unwrap(), counted);
    assert!(retainer().count(|_| ()).await.unwrap().is_empty());
    assert_eq!((left(&fixture).await, fixture.store.count_dead_letters().await.unwrap()), (0, 0));
}
