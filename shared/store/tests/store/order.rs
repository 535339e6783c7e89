//! The outcome is independent of the order and number of times in which a lead's deliveries are accepted and
//! worked on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use lead::LeadEvent;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::{Accept, Store};

use crate::support::{Fixture, audit, event, has_work, lead};

/// An operation on the delivery with a given number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Accept(usize),
    Begin(usize),
}

/// The time at which each delivery was received, and the operations on them.
fn histories() -> impl Strategy<Value = (Vec<i64>, Vec<Step>)> {
    proptest::collection::vec(0..4_i64, 1..6).prop_flat_map(|received| {
        let which = 0..received.len();
        let step = prop_oneof![3 => which.clone().prop_map(Step::Accept), 1 => which.prop_map(Step::Begin)];
        (Just(received), proptest::collection::vec(step, 1..16))
    })
}

async fn run_and_check_the_newest_wins(store: &Store, events: &[LeadEvent], steps: &[Step]) {
    let mut arrived = BTreeSet::new();
    let mut duplicates = 0;
    for step in steps {
        let order_key = |at: &usize| (events[*at].received_at, events[*at].delivery_id());
        let newest_before = arrived.iter().copied().max_by_key(order_key);
        match *step {
            Step::Accept(at) => {
                let expected = match newest_before {
                    None => Accept::New,
                    Some(_) if arrived.contains(&at) => Accept::Duplicate { open: false },
                    Some(newest) if order_key(&newest) < order_key(&at) => Accept::Revision,
                    Some(_) => Accept::Superseded,
                };
                let accepted = store.accept(&events[at]).await.unwrap();
                if let (Accept::Duplicate { .. }, Accept::Duplicate { .. }) = (accepted, expected) {
                    duplicates += 1;
                } else {
                    assert_eq!(accepted, expected);
                }
                arrived.insert(at);
            }
            Step::Begin(at) => {
                arrived.insert(at);
                let newest = arrived.iter().copied().max_by_key(order_key);
                assert_eq!(has_work(store, &events[at]).await, newest == Some(at));
            }
        }
        let newest = &events[arrived.iter().copied().max_by_key(order_key).unwrap()];
        let lead = lead(store, &newest.lead_id).await;
        assert_eq!((&lead.delivery_id, &lead.content), (&newest.delivery_id(), &newest.lead));
        assert_eq!(lead.revision, i64::try_from(arrived.len()).unwrap());
    }
    let deliveries = store.deliveries(&events[0].lead_id, 100).await.unwrap();
    let revisions: Vec<i64> = deliveries.iter().rev().map(|delivery| delivery.revision).collect();
    assert_eq!(revisions, (1..).take(arrived.len()).collect::<Vec<i64>>());
    assert_eq!(deliveries.iter().map(|delivery| delivery.duplicates).sum::<i64>(), duplicates);
    audit(store, &events[0].lead_id).await;
}

fn check_any_history_ends_the_same(fixture: impl Future<Output = Fixture>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let fixture = runtime.block_on(fixture);
    let store = runtime.block_on(fixture.store());
    let people = AtomicU32::new(0);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&histories(), |(received, steps)| {
            let person = format!("person{}", people.fetch_add(1, Ordering::Relaxed));
            let events: Vec<_> = (received.iter().enumerate())
                .map(|(number, received)| event(&person, &format!("title {number}"), *received))
                .collect();
            runtime.block_on(run_and_check_the_newest_wins(&store, &events, &steps));
            Ok(())
        })
        .unwrap();
    runtime.block_on(store.database().close());
}

#[test]
fn any_history_ends_the_same_on_sqlite() {
    check_any_history_ends_the_same(Fixture::sqlite());
}

#[test]
fn any_history_ends_the_same_on_postgres() {
    check_any_history_ends_the_same(Fixture::postgres());
}
