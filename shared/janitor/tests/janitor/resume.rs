//! Pauses end when the dependency answers again.

use std::time::Duration;

use lead::{Dependency, Failure};
use on_both::on_both;
use testkit::fixtures::execute;

use crate::support::{CRM, Fixture, event, only};

#[on_both]
async fn successful_probe_resumes_consumption_when_due(fixture: Fixture) {
    let janitor = fixture.janitor();
    fixture.post(&[event(&fixture, "ann")], &[]).await;
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(30)).await.unwrap();
    fixture.advance(29);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
    assert_eq!(fixture.crm.asked(), 0);
    assert!(fixture.queue.receive(1).await.unwrap().is_empty());
    fixture.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.resumed = 1));
    assert_eq!(fixture.crm.asked(), 1);
    assert_eq!(fixture.queue.receive(1).await.unwrap().len(), 1);
}

#[on_both]
async fn failing_dependency_is_probed_again_later(fixture: Fixture) {
    let janitor = fixture.janitor();
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(0)).await.unwrap();
    let hours = Failure::deferral(CRM, "maintenance", "back later", Some(Duration::from_hours(2)));
    fixture.crm.will_fail([Failure::transient("crm_timeout", "no answer"), hours]);
    for wait in [30, 7200] {
        assert_eq!(janitor.round().await.unwrap(), only(|round| round.still_down = 1));
        let pause = fixture.queue.pauses().await.unwrap().swap_remove(0);
        assert_eq!(pause.until, fixture.in_seconds(wait));
        fixture.advance(wait - 1);
        assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
        fixture.advance(1);
    }
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.resumed = 1));
    assert_eq!(fixture.crm.asked(), 3);
}

#[on_both]
async fn pause_without_a_probe_ends_when_due(fixture: Fixture) {
    fixture.queue.pause(&Dependency::new("ai.unheard_of"), "quota", fixture.in_seconds(0)).await.unwrap();
    assert_eq!(fixture.janitor().round().await.unwrap(), only(|round| round.resumed = 1));
    assert!(fixture.queue.pauses().await.unwrap().is_empty());
}

#[on_both]
async fn consumption_resumes_after_the_last_pause_ends(fixture: Fixture) {
    let janitor = fixture.janitor();
    fixture.post(&[event(&fixture, "ann")], &[]).await;
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(0)).await.unwrap();
    fixture.queue.pause(&Dependency::new("ai.unheard_of"), "quota", fixture.in_seconds(0)).await.unwrap();
    fixture.crm.will_fail([Failure::transient("crm_timeout", "no answer")]);
    let both = only(|round| (round.resumed, round.still_down) = (1, 1));
    assert_eq!(janitor.round().await.unwrap(), both);
    assert!(fixture.queue.receive(1).await.unwrap().is_empty());
    fixture.advance(30);
    janitor.round().await.unwrap();
    assert_eq!(fixture.queue.receive(1).await.unwrap().len(), 1);
}

#[on_both]
async fn hanging_probe_does_not_stop_other_chores(fixture: Fixture) {
    let janitor = fixture.janitor().with_probe_timeout(Duration::from_millis(100));
    let unheard_of = Dependency::new("ai.unheard_of");
    fixture.post(&[event(&fixture, "ann")], &[0]).await;
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(0)).await.unwrap();
    fixture.queue.pause(&unheard_of, "quota", fixture.in_seconds(0)).await.unwrap();
    fixture.advance(61);
    fixture.crm.will_hang();
    let all = only(|round| (round.resumed, round.still_down, round.requeued) = (1, 1, 1));
    assert_eq!(janitor.round().await.unwrap(), all);
    let pause = fixture.queue.pauses().await.unwrap().swap_remove(0);
    assert_eq!((pause.dependency, pause.until), (CRM, fixture.in_seconds(30)));
    assert!(pause.reason.contains("no answer to a probe in time"), "{}", pause.reason);
}

#[on_both]
async fn failing_chore_does_not_stop_others(fixture: Fixture) {
    fixture.post(&[event(&fixture, "ann")], &[0]).await;
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(0)).await.unwrap();
    fixture.advance(61);
    execute(&fixture.store, "DROP TABLE queue_group").await;
    let failure = fixture.janitor().round().await.unwrap_err();
    assert_eq!(failure.code, "queue_unavailable");
    assert!(fixture.queue.pauses().await.unwrap().is_empty());
}
