//! The final state of the CRM does not depend on failures, crashes or repeated deliveries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crm::testing::{Fault, Script};
use crm::{Object, Plan, PlanOutcome};
use lead::{Decision, FailureClass};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value};

use crate::support::{DatabaseFixture, GuardFixture, default_plan, plan};

/// Submits a plan until it is done, as the queue would: again after each failure and each crash.
async fn deliver(fixture: &GuardFixture, plan: &Plan) -> PlanOutcome {
    for _ in 0..1000 {
        let process = fixture
            .ledger_faults
            .run_until_crash(fixture.crm_faults.run_until_crash(fixture.guard.submit_normal(plan)));
        if let Some(Some(Ok(outcome))) = process.await {
            return outcome;
        }
        fixture.clock.advance(Duration::from_secs(30)); // an open breaker becomes half-open
    }
    panic!("the plan is never done");
}

#[tokio::test]
async fn crash_at_any_call_leaves_one_record() {
    let database = DatabaseFixture::sqlite().await;
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseReply] {
        // The sixth call of the CRM and the third of the ledger already belong to an undisturbed second
        // attempt.
        for calls_before in 0..6 {
            for of_ledger in [false, true] {
                let faults = || Script::new([Fault::Pass].repeat(calls_before).into_iter().chain([fault]));
                let none = || Script::new([]);
                let (crm, ledger) = if of_ledger { (none(), faults()) } else { (faults(), none()) };
                let fixture = GuardFixture::on(&database, crm, ledger);
                let name = format!("p{calls_before}{of_ledger}{fault:?}");
                let plan = plan(&name, "{}", 1, Decision::RouteToSdr);
                let outcome = deliver(&fixture, &plan).await;
                assert_eq!(deliver(&fixture, &plan).await, outcome);
                assert_eq!(fixture.writes(&plan).await, [3, 3, 3, 1, 1], "{name}");
                assert_eq!(fixture.rows(&plan), ["done"; 5], "{name}");
            }
        }
    }
}

#[tokio::test]
async fn concurrent_submits_of_a_plan_leave_one_record() {
    for database in [DatabaseFixture::sqlite().await, DatabaseFixture::postgres().await] {
        let fixture = GuardFixture::on(&database, Script::new([]), Script::new([]));
        let plan = default_plan();
        let submit = || fixture.guard.submit_normal(&plan);
        let (a, b, c) = tokio::join!(submit(), submit(), submit());
        let ids = [a, b, c].map(|outcome| outcome.unwrap().lead_record.unwrap().record_id);
        assert!(ids.iter().all(|id| *id == ids[0]));
        let records = fixture.crm.records(10).await.unwrap();
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

/// Deliveries of one lead in processing order: content, round, decision, and number of submissions.
fn deliveries() -> impl Strategy<Value = Vec<(u8, u32, Decision, usize)>> {
    let decision = prop::sample::select(Decision::ALL);
    prop::collection::vec((0..3_u8, 1..3_u32, decision, 1..3_usize), 1..5)
}

/// The lead's fields, and the number of other records by kind.
async fn state(fixture: &GuardFixture, plans: &[Plan]) -> (Map<String, Value>, BTreeMap<Object, usize>) {
    let lead = fixture.crm.record(Object::Lead, plans[0].lead_id.as_str()).await.unwrap().unwrap();
    let mut fields = lead.fields;
    fields.remove("email"); // differs between the two leads of a case
    let mut others: BTreeMap<Object, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for planned in plans.iter().flat_map(|plan| &plan.actions) {
        let (object, id) = (planned.action.object(), planned.external_id(&plans[0].lead_id));
        if object != Object::Lead && seen.insert(id.to_owned()) {
            let record = fixture.crm.record(object, id).await.unwrap().unwrap();
            assert_eq!(record.writes, 1, "{object:?} was written more than once");
            *others.entry(object).or_default() += 1;
        }
    }
    (fields, others)
}

#[test]
fn random_faults_do_not_change_the_final_crm_state() {
    static CASE: AtomicU32 = AtomicU32::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(DatabaseFixture::sqlite());
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    runner
        .run(&(deliveries(), faults(), faults()), |(deliveries, crm_faults, ledger_faults)| {
            runtime.block_on(async {
                let case = CASE.fetch_add(1, Ordering::Relaxed);
                let plans = |name: &str| -> Vec<Plan> {
                    let of = |(content, round, decision, _): &(u8, u32, Decision, usize)| {
                        // The decision is part of the content, so that a delivery has the same judgement in
                        // every attempt.
                        plan(&format!("{name}{case}"), &format!("t{content}{decision}"), *round, *decision)
                    };
                    deliveries.iter().map(of).collect()
                };
                let (troubled, calm) = (plans("troubled"), plans("calm"));

                let fixture =
                    GuardFixture::on(&database, Script::new(crm_faults), Script::new(ledger_faults));
                let undisturbed = GuardFixture::on(&database, Script::new([]), Script::new([]));
                let mut sets = 0;
                for ((plan, calm), (.., times)) in troubled.iter().zip(&calm).zip(&deliveries) {
                    let outcome = deliver(&fixture, plan).await;
                    for _ in 1..*times {
                        prop_assert_eq!(&deliver(&fixture, plan).await.effects, &outcome.effects);
                    }
                    undisturbed.guard.submit_normal(calm).await.unwrap();
                    sets += 3;
                }
                let expected = state(&undisturbed, &calm).await;
                let found = state(&fixture, &troubled).await;
                prop_assert_eq!(&found, &expected);
                let records = fixture.crm.record(Object::Lead, troubled[0].lead_id.as_str()).await.unwrap();
                prop_assert!(records.unwrap().writes <= sets, "a score was written twice");
                for plan in &troubled {
                    prop_assert_eq!(fixture.rows(plan), ["done"; 5]);
                }
                Ok(())
            })
        })
        .unwrap();
}
