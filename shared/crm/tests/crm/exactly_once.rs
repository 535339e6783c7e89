//! Whatever fails, dies or comes twice: the CRM ends up as if nothing had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crm::testing::{Fault, Script};
use crm::{Object, Plan, PlanOutcome};
use lead::{Decision, FailureClass};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

use crate::support::{Fixture, World, a_plan, no_limits, plan};

/// Submits a plan until it is done, as the queue would: again after each failure, and again after each death.
async fn deliver(world: &World, plan: &Plan) -> PlanOutcome {
    for _ in 0..1000 {
        let process = world.ledger_faults.survive(world.crm_faults.survive(world.guard.submit(plan)));
        if let Some(Some(Ok(outcome))) = process.await {
            return outcome;
        }
        world.clock.advance(Duration::from_secs(30)); // an open breaker lets a trial through
    }
    panic!("the plan is never done");
}

#[tokio::test]
async fn a_process_that_dies_anywhere_leaves_one_record() {
    let fixture = Fixture::sqlite().await;
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseReply] {
        // The sixth call of the CRM and the third of the ledger are already those of a second, undisturbed try.
        for calls_before in 0..6 {
            for of_ledger in [false, true] {
                let faults = || Script::new([Fault::Pass].repeat(calls_before).into_iter().chain([fault]));
                let none = || Script::new([]);
                let (crm, ledger) = if of_ledger { (none(), faults()) } else { (faults(), none()) };
                let world = World::build(&fixture, no_limits(), crm, ledger);
                let name = format!("p{calls_before}{of_ledger}{fault:?}");
                let plan = plan(&name, "{}", 1, Decision::RouteToSdr);
                let outcome = deliver(&world, &plan).await;
                assert_eq!(deliver(&world, &plan).await, outcome);
                assert_eq!(world.writes(&plan).await, [3, 3, 3, 1, 1], "{name}");
                assert_eq!(world.rows(&plan), ["done"; 5], "{name}");
            }
        }
    }
}

#[tokio::test]
async fn two_workers_with_the_same_plan_leave_one_record() {
    for fixture in [Fixture::sqlite().await, Fixture::postgres().await] {
        let world = World::with_limits(&fixture, no_limits());
        let plan = a_plan();
        let submit = || world.guard.submit(&plan);
        let (a, b, c) = tokio::join!(submit(), submit(), submit());
        let ids = [a, b, c].map(|outcome| outcome.unwrap().lead_record.unwrap().record_id);
        assert!(ids.iter().all(|id| *id == ids[0]));
        let records = world.crm.records(10).await.unwrap();
        assert_eq!(records.len(), 3);
        assert!(records.iter().all(|record| record.object == "lead" || record.writes == 1));
    }
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![
        4 => Just(Fault::Pass),
        1 => Just(Fault::Fail(FailureClass::Transient)),
        1 => Just(Fault::Fail(FailureClass::Permanent)),
        1 => Just(Fault::Fail(FailureClass::Deferral)),
        2 => Just(Fault::LoseReply),
        1 => Just(Fault::CrashBefore),
        2 => Just(Fault::CrashAfter),
    ];
    prop::collection::vec(fault, 0..40)
}

/// Deliveries of one lead, in the order in which they are worked on: content, round, decision, and how often it comes.
fn deliveries() -> impl Strategy<Value = Vec<(u8, u32, Decision, usize)>> {
    let decision = prop::sample::select(Decision::ALL);
    prop::collection::vec((0..3_u8, 1..3_u32, decision, 1..3_usize), 1..5)
}

/// The lead's fields, and what else there is, by kind of record.
async fn state(world: &World, plans: &[Plan]) -> (Map<String, Value>, BTreeMap<Object, usize>) {
    let lead = world.crm.record(Object::Lead, plans[0].lead_id.as_str()).await.unwrap().unwrap();
    let mut fields = lead.fields;
    fields.remove("email"); // tells the two leads of a case apart
    let mut others: BTreeMap<Object, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for planned in plans.iter().flat_map(|plan| &plan.actions) {
        let (object, id) = (planned.action.object(), planned.external_id(&plans[0].lead_id));
        if object != Object::Lead && seen.insert(id.to_owned()) {
            let record = world.crm.record(object, id).await.unwrap().unwrap();
            assert_eq!(record.writes, 1, "{object:?} was written more than once");
            *others.entry(object).or_default() += 1;
        }
    }
    (fields, others)
}

#[test]
fn the_crm_ends_up_as_if_nothing_had_gone_wrong() {
    static CASE: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = runtime.block_on(Fixture::sqlite());
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    runner
        .run(&(deliveries(), faults(), faults()), |(deliveries, crm_faults, ledger_faults)| {
            runtime.block_on(async {
                let case = CASE.fetch_add(1, Ordering::Relaxed);
                let plans = |name: &str| -> Vec<Plan> {
                    let of = |(content, round, decision, _): &(u8, u32, Decision, usize)| {
                        // The decision is part of the content: one delivery is judged alike in every try.
                        plan(&format!("{name}{case}"), &format!("t{content}{decision}"), *round, *decision)
                    };
                    deliveries.iter().map(of).collect()
                };
                let (troubled, calm) = (plans("troubled"), plans("calm"));

                let world =
                    World::build(&fixture, no_limits(), Script::new(crm_faults), Script::new(ledger_faults));
                let undisturbed = World::with_limits(&fixture, no_limits());
                let mut sets = 0;
                for ((plan, calm), (.., times)) in troubled.iter().zip(&calm).zip(&deliveries) {
                    let outcome = deliver(&world, plan).await;
                    for _ in 1..*times {
                        prop_assert_eq!(&deliver(&world, plan).await.effects, &outcome.effects);
                    }
                    undisturbed.guard.submit(calm).await.unwrap();
                    sets += 3;
                }
                let expected = state(&undisturbed, &calm).await;
                let found = state(&world, &troubled).await;
                prop_assert_eq!(&found, &expected);
                let records = world.crm.record(Object::Lead, troubled[0].lead_id.as_str()).await.unwrap();
                prop_assert!(records.unwrap().writes <= sets, "a score was written twice");
                for plan in &troubled {
                    prop_assert_eq!(world.rows(plan), ["done"; 5]);
                }
                Ok(())
            })
        })
        .unwrap();
}
