//! Sending again what fell out of the queue.

use janitor::{Place, Reconciled};
use lead::{LeadEvent, LeadStatus};

use crate::support::{House, event, only};

async fn a_delivery_that_is_in_no_queue_is_sent_again_and_worked_off(house: House) {
    let (janitor, lost) = (house.janitor(), event(&house, "ann"));
    house.post(std::slice::from_ref(&lost), &[0]).await;
    house.advance(60);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "it may be on its way there");
    house.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = 1));
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "now it is a duplicate");
    house.work().await;
    assert_eq!(house.store.lead(&lost.lead_id).await.unwrap().unwrap().status, LeadStatus::Synced);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "what is done is not sent again");
    assert_eq!(house.queue.depth().await.unwrap().messages, 0);
}

async fn what_waits_in_the_queue_stays_there_once(house: House) {
    let events: Vec<_> = (0..5).map(|n| event(&house, &format!("person{n}"))).collect();
    house.post(&events, &[]).await;
    let leased = house.queue.receive(2).await.unwrap();
    assert_eq!(leased.len(), 2);
    house.advance(61);
    assert_eq!(house.janitor().round().await.unwrap(), only(|_| ()));
    assert_eq!(house.queue.depth().await.unwrap().messages, 5);
}

/// More than two batches are waiting; what is lost is the last of them.
async fn a_backlog(house: &House, seconds_apart: u64) -> Vec<LeadEvent> {
    let mut backlog = Vec::new();
    for n in 0..450 {
        backlog.push(event(house, &format!("person{n}")));
        house.advance(seconds_apart);
    }
    backlog.sort_by_key(|event| (event.received_at, event.delivery_id()));
    house.post(&backlog, &[449]).await;
    house.advance(61);
    backlog
}

async fn what_is_lost_behind_a_long_backlog_is_found(house: House, seconds_apart: u64) {
    let janitor = house.janitor();
    a_backlog(&house, seconds_apart).await;
    for expected in [0, 0, 1, 0, 0, 0] {
        assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = expected));
    }
    assert_eq!(house.queue.depth().await.unwrap().messages, 450);
}

async fn a_backlog_is_gone_through_batch_by_batch(house: House) {
    what_is_lost_behind_a_long_backlog_is_found(house, 1).await;
}

async fn a_backlog_that_came_in_one_moment_is_gone_through_too(house: House) {
    what_is_lost_behind_a_long_backlog_is_found(house, 0).await;
}

async fn janitors_that_follow_one_another_share_a_pass(house: House) {
    let place = Place::default();
    a_backlog(&house, 1).await;
    for expected in [0, 0, 1, 0] {
        let janitor = house.janitor().going_on_from(&place);
        assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = expected));
    }
}

async fn a_pass_that_is_over_begins_again(house: House) {
    let janitor = house.janitor();
    let backlog = a_backlog(&house, 1).await;
    for _ in 0..3 {
        janitor.round().await.unwrap();
    }
    let mut transaction = house.store.database().begin().await.unwrap();
    for table in ["queue_message", "queue_group"] {
        let statement = format!("DELETE FROM {table} WHERE group_id = $1");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(backlog[0].lead_id.as_str())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.requeued = 1));
}

async fn an_operator_can_have_everything_looked_at_at_once(house: House) {
    let janitor = house.janitor();
    a_backlog(&house, 0).await;
    house.post(&[event(&house, "young")], &[0]).await;
    house.advance(1);
    let mut progress = Vec::new();
    let reconciled = janitor.reconcile_all(|looked_at| progress.push(looked_at)).await.unwrap();
    assert_eq!(reconciled, Reconciled { sent: 2, waiting: 449, elsewhere: 0 });
    assert_eq!(progress, [200, 400, 451]);
}

on_both!(
    a_delivery_that_is_in_no_queue_is_sent_again_and_worked_off,
    what_waits_in_the_queue_stays_there_once,
    a_backlog_is_gone_through_batch_by_batch,
    a_backlog_that_came_in_one_moment_is_gone_through_too,
    janitors_that_follow_one_another_share_a_pass,
    a_pass_that_is_over_begins_again,
    an_operator_can_have_everything_looked_at_at_once,
);
