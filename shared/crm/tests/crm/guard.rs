use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm::testing::{Fault, MemoryHealth, MemoryLedger, every_action};
use crm::{
    About, Effect, Executor, FieldChange, Guard, GuardSettings, Health as _, HealthRecord, Known,
    LimitSettings, Open, Plan, PlannedAction, Restored, SchemaProblem, SlidingWindow,
};
use jiff::Timestamp;
use lead::{ContentHash, Decision, DeliveryId, Dependency, Failure, FailureClass, LeadId, SystemClock};
use tokio::time::Instant;

use crate::support::{Fixture, World, a_plan, lead, lead_record, no_limits, plan};

const DEPENDENCY: Dependency = Dependency::new("crm.mock");

#[tokio::test]
async fn a_plan_is_done_in_order_and_its_effects_are_told() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    let outcome = world.guard.submit(&plan).await.unwrap();
    assert_eq!(outcome.provider, "mock");
    assert!(lead_record(&outcome).created);
    let ids: Vec<_> = outcome.effects.iter().map(|(id, _)| id).collect();
    assert_eq!(ids, plan.actions.iter().map(|planned| &planned.action_id).collect::<Vec<_>>());
    assert_eq!(world.writes(&plan).await, [3, 3, 3, 1, 1]);
    assert_eq!(world.rows(&plan), ["done"; 5]);
}

#[tokio::test]
async fn a_plan_that_comes_again_does_nothing_and_says_the_same() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    let first = world.guard.submit(&plan).await.unwrap();
    for _ in 0..10 {
        assert_eq!(world.guard.submit(&plan).await.unwrap(), first);
    }
    assert_eq!(world.writes(&plan).await, [3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn the_synthetic_lead_reaches_neither_ledger_nor_crm() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let mut plan = a_plan();
    plan.lead_id = lead::SYNTHETIC_LEAD_ID.parse().unwrap();
    assert_eq!(world.guard.submit(&plan).await.unwrap_err().code, "synthetic_lead");
    assert_eq!(world.guard.preview(&plan).await.unwrap_err().code, "synthetic_lead");
    assert_eq!(world.rows(&plan), ["-"; 5]);
    assert!(world.crm.records(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revision_updates_the_record_and_asks_nobody_twice() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    let first = world.guard.submit(&plan("ann", "old title", 1, Decision::RouteToSdr)).await.unwrap();
    let revision = plan("ann", "new title", 1, Decision::RouteToSdr);
    let second = world.guard.submit(&revision).await.unwrap();
    assert_eq!(lead_record(&first).record_id, lead_record(&second).record_id);
    assert_eq!(world.writes(&revision).await, [6, 6, 6, 1, 1]);
    let records = world.crm.records(10).await.unwrap();
    let count = |object: &str| records.iter().filter(|record| record.object == object).count();
    assert_eq!((count("lead"), count("task"), count("activity")), (1, 1, 2));
    let lead = records.iter().find(|record| record.object == "lead").unwrap();
    assert_eq!(lead.fields["title"], "new title");
}

#[tokio::test]
async fn one_refused_action_stops_the_whole_plan() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    let lead_id = lead("ann");
    let delivery = DeliveryId::derive(&lead_id, &ContentHash::of("{}"));
    let plan = Plan::new(lead_id.clone(), delivery.clone(), 1, None, every_action(&lead_id, &delivery));
    let refused: Vec<_> =
        world.guard.review(&plan).into_iter().filter(|review| review.refusal.is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert!(world.ledger.is_empty(), "a review leaves no trace");

    let failure = world.guard.submit(&plan).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Permanent, "action_not_allowed"));
    assert!(world.crm.records(10).await.unwrap().is_empty());
    let mut rows = ["-"; 13];
    rows[6] = "refused";
    assert_eq!(world.rows(&plan), rows);
}

#[tokio::test]
async fn an_effect_asked_for_twice_is_refused_without_touching_its_row() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    let task = plan.actions[3].action.clone();
    let twice = Plan::new(plan.lead_id.clone(), plan.delivery_id, 1, None, vec![task.clone(), task]);
    assert_eq!(world.guard.submit(&twice).await.unwrap_err().code, "duplicate_action");
    assert!(world.ledger.is_empty());
}

#[tokio::test]
async fn a_lead_over_its_limit_waits_alone_and_a_full_crm_makes_all_wait() {
    let fixture = Fixture::sqlite().await;
    let limits = LimitSettings { per_lead: 10, per_account: 15, global: 20, ..LimitSettings::default() };
    let world = World::with_limits(&fixture, limits);
    let submit = async |name: &str, content: &str, account: Option<&str>| {
        let mut plan = plan(name, content, 1, Decision::Nurture);
        plan.account = account.map(str::to_owned);
        world.guard.submit(&plan).await.map_err(|failure| {
            assert_eq!(world.rows(&plan)[0], "-", "a plan that waits leaves no trace");
            assert_eq!(failure.ends_by_itself, failure.dependency.is_some(), "nobody has to probe");
            (failure.class, failure.code.into_owned(), failure.dependency, failure.retry_after)
        })
    };
    let deferral = |code: &str, dependency| {
        Err((FailureClass::Deferral, code.to_owned(), dependency, Some(Duration::from_mins(1))))
    };
    let full = deferral("crm_rate_limit", Some(DEPENDENCY));
    submit("ann", "1", Some("example.com")).await.unwrap();
    // Its task was made by the first plan: of these five actions only four are sent.
    submit("ann", "2", Some("example.com")).await.unwrap();
    assert_eq!(submit("ann", "3", None).await, deferral("lead_rate_limit", None));
    submit("bob", "1", Some("example.com")).await.unwrap();
    assert_eq!(submit("bob", "2", Some("example.com")).await, deferral("account_rate_limit", None));
    submit("cid", "1", None).await.unwrap();
    assert_eq!(submit("dan", "1", None).await, full);
    world.clock.advance(Duration::from_mins(1));
    submit("dan", "1", None).await.unwrap();
}

#[tokio::test]
async fn only_what_is_sent_counts_towards_the_limits() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    // Four failed tries of the first action and one that succeeds: nine actions sent, within ten.
    world.crm_faults.extend([Fault::Fail(FailureClass::Deferral); 4]);
    for _ in 0..4 {
        assert_eq!(world.guard.submit(&plan).await.unwrap_err().code, "test_quota");
    }
    world.guard.submit(&plan).await.unwrap();
}

#[tokio::test]
async fn a_lost_reply_is_settled_by_looking_not_by_doing_it_again() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    world.crm_faults.extend([Fault::LoseReply]);
    let failure = world.guard.submit(&plan).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_outage"));
    assert!(failure.message.contains("test_lost_reply"), "{failure}");
    assert_eq!(world.rows(&plan), ["pending", "skipped", "skipped", "skipped", "skipped"]);
    assert_eq!(world.writes(&plan).await, [1, 1, 1, 0, 0]);
    let outcome = world.guard.submit(&plan).await.unwrap();
    assert!(lead_record(&outcome).created);
    assert_eq!(world.writes(&plan).await, [3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn while_looking_fails_nothing_is_sent() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    world.crm_faults.extend([
        Fault::Pass,
        Fault::Pass,
        Fault::LoseReply,
        Fault::Fail(FailureClass::Transient),
    ]);
    world.guard.submit(&plan).await.unwrap_err();
    assert!(world.guard.submit(&plan).await.unwrap_err().message.contains("test_reset"));
    assert_eq!(world.rows(&plan), ["done", "done", "pending", "skipped", "skipped"]);
    world.guard.submit(&plan).await.unwrap();
    assert_eq!(world.writes(&plan).await, [3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn what_the_crm_refuses_is_final_and_what_was_done_before_it_stays() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    world.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Permanent)]);
    let failure = world.guard.submit(&plan).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Permanent, "test_refused"));
    assert_eq!(world.rows(&plan), ["done", "failed", "skipped", "skipped", "skipped"]);
    // Sent again by an operator, once the cause is gone, it goes on where it stopped.
    world.guard.submit(&plan).await.unwrap();
    assert_eq!(world.writes(&plan).await, [3, 3, 3, 1, 1]);
    assert_eq!(world.ledger.row(&plan.actions[0].action_id).unwrap().attempts, 1);
    assert_eq!(world.ledger.row(&plan.actions[1].action_id).unwrap().attempts, 2);
}

#[tokio::test]
async fn five_failures_in_a_row_open_the_breaker_and_a_probe_closes_it() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    let fail = Fault::Fail(FailureClass::Transient);
    world.crm_faults.extend([fail; 5]);
    for i in 0..4 {
        let plan = plan(&format!("p{i}"), "{}", 1, Decision::Nurture);
        let failure = world.guard.submit(&plan).await.unwrap_err();
        assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_outage"));
        assert_eq!((failure.dependency, failure.retry_after), (None, Some(Duration::from_secs(2 << i))));
    }
    let fifth = plan("p5", "{}", 1, Decision::Nurture);
    assert_eq!(world.guard.submit(&fifth).await.unwrap_err().code, "breaker_open");
    assert_eq!(world.rows(&fifth)[0], "pending", "it was tried, and nobody knows what became of it");
    let plan = a_plan();
    let failure = world.guard.submit(&plan).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "breaker_open"));
    assert_eq!(failure.dependency, Some(DEPENDENCY));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(30)));

    world.clock.advance(Duration::from_secs(30));
    world.crm_faults.extend([fail]);
    let failure = world.guard.submit(&plan).await.unwrap_err();
    assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "breaker_open"));
    assert!(world.crm_faults.is_over(), "the probe took the fault, not the lead");
    assert_eq!(world.rows(&plan), ["-"; 5]);

    world.clock.advance(Duration::from_secs(30));
    world.guard.submit(&plan).await.unwrap();
}

#[tokio::test]
async fn an_operator_s_probe_closes_the_breaker_at_once() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    let fail = Fault::Fail(FailureClass::Transient);
    world.crm_faults.extend([fail; 6]);
    for _ in 0..5 {
        world.guard.submit(&a_plan()).await.unwrap_err();
    }
    assert_eq!(world.guard.probe().await.unwrap_err().class, FailureClass::Transient);
    assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().code, "breaker_open");
    world.guard.probe().await.unwrap();
    world.guard.submit(&a_plan()).await.unwrap();
}

#[tokio::test]
async fn refusals_and_deferrals_of_the_crm_do_not_open_the_breaker() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    for class in [FailureClass::Permanent, FailureClass::Deferral] {
        world.crm_faults.extend([Fault::Fail(class); 10]);
        for _ in 0..10 {
            assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().class, class);
        }
    }
    // Four failures, a refusal, four failures: never five in a row.
    let fail = Fault::Fail(FailureClass::Transient);
    for i in 0..9 {
        world.crm_faults.extend([if i == 4 { Fault::Fail(FailureClass::Permanent) } else { fail }]);
        world.guard.submit(&plan(&format!("p{i}"), "{}", 1, Decision::Nurture)).await.unwrap_err();
    }
    world.guard.submit(&a_plan()).await.unwrap();
}

#[tokio::test]
async fn who_is_let_through_after_a_probe_closes_the_breaker_or_opens_it_again() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    let fail = Fault::Fail(FailureClass::Transient);
    world.crm_faults.extend([fail; 5]);
    for _ in 0..5 {
        world.guard.submit(&a_plan()).await.unwrap_err();
    }
    for _ in 0..3 {
        world.guard.probe().await.unwrap();
        // It failed last: for a while another lead could be the one that tries.
        assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().code, "crm_probe_reserved");
        world.clock.advance(Duration::from_secs(15));
        // The probe of the one that tries, its look for what it may have done, and its write, which fails.
        world.crm_faults.extend([Fault::Pass, Fault::Pass, fail]);
        assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().code, "breaker_open");
        assert!(world.crm_faults.is_over(), "it was tried");
        let other = plan("bob", "{}", 1, Decision::Nurture);
        assert_eq!(world.guard.submit(&other).await.unwrap_err().code, "breaker_open");
        assert_eq!(world.rows(&other)[0], "-", "and no other");
    }
    world.guard.probe().await.unwrap();
    assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().code, "crm_probe_reserved");
    world.guard.submit(&plan("bob", "{}", 1, Decision::Nurture)).await.unwrap();
    world.guard.submit(&a_plan()).await.unwrap();
}

#[tokio::test]
async fn that_a_crm_can_be_read_does_not_show_that_it_can_be_written() {
    let fixture = Fixture::sqlite().await;
    let world = World::with_limits(&fixture, no_limits());
    for _ in 0..5 {
        world.crm_faults.extend([Fault::Fail(FailureClass::Transient)]);
        world.guard.submit(&plan("bob", "{}", 1, Decision::Nurture)).await.unwrap_err();
        world.guard.preview(&a_plan()).await.unwrap();
    }
    assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().code, "breaker_open");
    world.guard.preview(&a_plan()).await.unwrap();
    assert_eq!(world.guard.submit(&a_plan()).await.unwrap_err().code, "breaker_open");
}

/// Answers in a way that no executor should, or as seldom does.
enum Odd {
    Hangs,
    SaysNothing,
    IsLocked(&'static str),
    /// Takes a second for each plan, and notes when it began.
    IsSlow(Mutex<Vec<Instant>>),
}

fn guard(odd: &Arc<Odd>) -> (Guard, Arc<MemoryLedger>, Arc<MemoryHealth>) {
    let (clock, ledger) = (Arc::new(SystemClock), Arc::new(MemoryLedger::default()));
    let health = Arc::new(MemoryHealth::default());
    let guard = Guard::new(
        Arc::clone(odd) as _,
        Arc::clone(&ledger) as _,
        Arc::clone(&health) as _,
        Arc::new(SlidingWindow::new(no_limits(), clock.clone())),
        clock,
        GuardSettings::default(),
    );
    (guard, ledger, health)
}

#[tokio::test]
async fn a_record_that_is_locked_counts_as_an_attempt_and_not_against_the_crm() {
    for code in ["crm_unable_to_lock_row", "crm_entity_is_locked", "crm_conflict", "crm_locked"] {
        let (guard, ..) = guard(&Arc::new(Odd::IsLocked(code)));
        for _ in 0..10 {
            let failure = guard.submit(&a_plan()).await.unwrap_err();
            assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Transient, code));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_not_answered_has_failed_after_ten_seconds() {
    let (guard, ..) = guard(&Arc::new(Odd::Hangs));
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(guard.probe().await.unwrap_err().code, "crm_timeout");
        assert_eq!(began.elapsed().as_secs(), 10);
    }
    assert_eq!(guard.submit(&a_plan()).await.unwrap_err().code, "breaker_open", "it counts");
}

#[tokio::test(start_paused = true)]
async fn work_cut_off_in_a_crm_call_is_the_outage_of_the_crm() {
    let (guard, ..) = guard(&Arc::new(Odd::Hangs));
    let plan = a_plan();
    for n in 1..=5 {
        let cut = tokio::time::timeout(Duration::from_secs(30), guard.submit(&plan)).await;
        assert!(cut.is_err(), "the caller has no more time");
        let failure = guard.interrupted(&plan.lead_id).await.unwrap();
        let code = if n < 5 { "crm_outage" } else { "breaker_open" };
        assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, code));
        assert_eq!(guard.interrupted(&plan.lead_id).await, None, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_come_while_one_lead_tries_the_crm_wait_for_what_it_finds_out() {
    let slow = Arc::new(Odd::IsSlow(Mutex::default()));
    let (guard, _, health) = guard(&slow);
    let (opened_at, retry_at) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let open = Open { reason: "test".into(), opened_at, retry_at, trial: false };
    let down = HealthRecord { failures: 5, open: Some(open), recovered_at: None, failed_caller: None };
    health.update(&Dependency::new("crm.odd"), &mut |record| *record = down.clone()).await.unwrap();
    let submit = async |name| guard.submit(&plan(name, "{}", 1, Decision::Nurture)).await;
    assert_eq!(submit("ann").await.unwrap_err().code, "breaker_open");
    guard.probe().await.unwrap();
    let (ann, bob, cid) = tokio::join!(submit("ann"), submit("bob"), submit("cid"));
    ann.unwrap();
    bob.unwrap();
    cid.unwrap();
    let Odd::IsSlow(began) = &*slow else { unreachable!() };
    let began = began.lock().unwrap();
    let after = |n: usize| began[n] - began[0];
    assert!(after(1) >= Duration::from_secs(1), "one alone: {:?}", after(1));
    assert!(after(2) < Duration::from_secs(2), "then all: {:?}", after(2));
}

#[async_trait]
impl Executor for Odd {
    fn provider(&self) -> &'static str {
        "odd"
    }

    async fn execute(&self, _: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        match self {
            Self::Hangs => std::future::pending().await,
            Self::SaysNothing => Vec::new(),
            Self::IsLocked(code) => vec![Err(Failure::transient(code, "locked"))],
            Self::IsSlow(began) => {
                began.lock().unwrap().push(Instant::now());
                tokio::time::sleep(Duration::from_secs(1)).await;
                let effect = Effect::new("1", true);
                actions.iter().map(|_| Ok(effect.clone())).collect()
            }
        }
    }

    async fn find(&self, _: &LeadId, _: &PlannedAction) -> Result<Option<Effect>, Failure> {
        Ok(None)
    }

    async fn probe(&self) -> Result<(), Failure> {
        match self {
            Self::Hangs => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn facts(&self, _: &About) -> Result<Known, Failure> {
        Ok(Known::default())
    }

    async fn preview(&self, _: &LeadId, _: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        Ok(Vec::new())
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        Ok(Vec::new())
    }

    async fn restore(&self, _: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        Ok(Vec::new())
    }
}

#[tokio::test(start_paused = true)]
async fn a_crm_that_hangs_or_says_nothing_leaves_the_outcome_unknown() {
    for (odd, code) in [(Odd::Hangs, "crm_timeout"), (Odd::SaysNothing, "crm_incomplete_answer")] {
        let (guard, ledger, _) = guard(&Arc::new(odd));
        let plan = a_plan();
        let failure = guard.submit(&plan).await.unwrap_err();
        assert_eq!((failure.class, failure.code.as_ref()), (FailureClass::Deferral, "crm_outage"));
        assert!(failure.message.contains(code), "{failure}");
        for planned in &plan.actions {
            let row = ledger.row(&planned.action_id).unwrap();
            assert_eq!((row.state, row.failure.unwrap().code.as_ref()), ("pending", code));
        }
    }
}
