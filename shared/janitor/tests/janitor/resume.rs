//! Ending the pauses of what answers again.

use std::time::Duration;

use lead::{Dependency, Failure};

use crate::support::{CRM, House, event, only};

async fn a_dependency_is_asked_when_its_time_has_come_and_what_it_held_up_goes_on(house: House) {
    let janitor = house.janitor();
    house.post(&[event(&house, "ann")], &[]).await;
    house.queue.pause(&CRM, "down", house.in_seconds(30)).await.unwrap();
    house.advance(29);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
    assert_eq!(house.crm.asked(), 0);
    assert!(house.queue.receive(1).await.unwrap().is_empty());
    house.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.resumed = 1));
    assert_eq!(house.crm.asked(), 1);
    assert_eq!(house.queue.receive(1).await.unwrap().len(), 1);
}

async fn a_dependency_that_is_still_down_is_asked_again_later(house: House) {
    let janitor = house.janitor();
    house.queue.pause(&CRM, "down", house.in_seconds(0)).await.unwrap();
    let hours = Failure::deferral(CRM, "maintenance", "back later", Some(Duration::from_hours(2)));
    house.crm.will_fail([Failure::transient("crm_timeout", "no answer"), hours]);
    for wait in [30, 7200] {
        assert_eq!(janitor.round().await.unwrap(), only(|round| round.still_down = 1));
        let pause = house.queue.pauses().await.unwrap().swap_remove(0);
        assert_eq!(pause.until, house.in_seconds(wait));
        house.advance(wait - 1);
        assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
        house.advance(1);
    }
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.resumed = 1));
    assert_eq!(house.crm.asked(), 3);
}

async fn a_dependency_that_nobody_can_probe_is_given_another_try(house: House) {
    house.queue.pause(&Dependency::new("ai.unheard_of"), "quota", house.in_seconds(0)).await.unwrap();
    assert_eq!(house.janitor().round().await.unwrap(), only(|round| round.resumed = 1));
    assert!(house.queue.pauses().await.unwrap().is_empty());
}

async fn consumption_goes_on_once_the_last_of_several_is_back(house: House) {
    let janitor = house.janitor();
    house.post(&[event(&house, "ann")], &[]).await;
    house.queue.pause(&CRM, "down", house.in_seconds(0)).await.unwrap();
    house.queue.pause(&Dependency::new("ai.unheard_of"), "quota", house.in_seconds(0)).await.unwrap();
    house.crm.will_fail([Failure::transient("crm_timeout", "no answer")]);
    let both = only(|round| (round.resumed, round.still_down) = (1, 1));
    assert_eq!(janitor.round().await.unwrap(), both);
    assert!(house.queue.receive(1).await.unwrap().is_empty());
    house.advance(30);
    janitor.round().await.unwrap();
    assert_eq!(house.queue.receive(1).await.unwrap().len(), 1);
}

async fn a_dependency_that_hangs_keeps_nothing_else_from_being_done(house: House) {
    let janitor = house.janitor().waiting_for_probes(Duration::from_millis(100));
    let unheard_of = Dependency::new("ai.unheard_of");
    house.post(&[event(&house, "ann")], &[0]).await;
    house.queue.pause(&CRM, "down", house.in_seconds(0)).await.unwrap();
    house.queue.pause(&unheard_of, "quota", house.in_seconds(0)).await.unwrap();
    house.advance(61);
    house.crm.will_hang();
    let all = only(|round| (round.resumed, round.still_down, round.requeued) = (1, 1, 1));
    assert_eq!(janitor.round().await.unwrap(), all);
    let pause = house.queue.pauses().await.unwrap().swap_remove(0);
    assert_eq!((pause.dependency, pause.until), (CRM, house.in_seconds(30)));
    assert!(pause.reason.contains("no answer to a probe in time"), "{}", pause.reason);
}

async fn a_chore_that_fails_does_not_keep_the_others_from_being_done(house: House) {
    house.post(&[event(&house, "ann")], &[0]).await;
    house.queue.pause(&CRM, "down", house.in_seconds(0)).await.unwrap();
    house.advance(61);
    let mut transaction = house.store.database().begin().await.unwrap();
    sqlx::query("DROP TABLE queue_group").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let failure = house.janitor().round().await.unwrap_err();
    assert_eq!(failure.code, "queue_unavailable");
    assert!(house.queue.pauses().await.unwrap().is_empty());
}

on_both!(
    a_dependency_is_asked_when_its_time_has_come_and_what_it_held_up_goes_on,
    a_dependency_that_is_still_down_is_asked_again_later,
    a_dependency_that_nobody_can_probe_is_given_another_try,
    consumption_goes_on_once_the_last_of_several_is_back,
    a_dependency_that_hangs_keeps_nothing_else_from_being_done,
    a_chore_that_fails_does_not_keep_the_others_from_being_done,
);
