use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm::testing::{Fault, MemoryHealth, MemoryLedger, MemoryLimits, full_plan, named};
use crm::{
    About, Effect, Executor, FieldChange, Guard, GuardSettings, Health as _, HealthRecord, Known,
    LimitSettings, Open, OpenCause, Plan, PlannedAction, Restored, SchemaProblem,
};
use jiff::Timestamp;
use lead::{Cause, Decision, Dependency, Failure, FailureClass, LeadId, SystemClock};
use tokio::time::Instant;

use crate::support::{GuardFixture, default_plan, lead_record, plan};

const DEPENDENCY: Dependency = Dependency::new("crm.mock");

#[tokio::test]
async fn plan_runs_in_order_and_returns_its_effects() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    let outcome = fixture.guard.submit_normal(&plan).await.unwrap();
    assert_eq!(outcome.provider, "mock");
    assert!(lead_record(&outcome).created);
    let ids: Vec<_> = outcome.effects.iter().map(|(id, _)| id).collect();
    assert_eq!(ids, plan.actions.iter().map(|planned| &planned.action_id).collect::<Vec<_>>());
    assert_eq!(fixture.writes(&plan).await, [3, 3, 3, 1, 1]);
    assert_eq!(fixture.rows(&plan), ["done"; 5]);
}

#[tokio::test]
async fn resubmitted_plan_does_nothing_and_returns_the_same() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    let first = fixture.guard.submit_normal(&plan).await.unwrap();
    for _ in 0..10 {
        assert_eq!(fixture.guard.submit_normal(&plan).await.unwrap(), first);
    }
    assert_eq!(fixture.writes(&plan).await, [3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn one_refused_action_stops_the_whole_plan() {
    let fixture = GuardFixture::unlimited().await;
    let plan = full_plan();
    let refused: Vec<_> =
        fixture.guard.review(&plan).into_iter().filter(|review| review.refusal.is_some()).collect();
    assert_eq!(refused.len(), 1);
    assert!(fixture.ledger.is_empty(), "a review writes no ledger rows");

    assert_eq!(named(&fixture.guard.submit_normal(&plan).await.unwrap_err()), "permanent action_not_allowed");
    assert!(fixture.crm.records(10).await.unwrap().is_empty());
    let mut rows = ["-"; 13];
    rows[6] = "refused";
    assert_eq!(fixture.rows(&plan), rows);
}

#[tokio::test]
async fn duplicate_action_is_refused_without_changing_its_row() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    let task = plan.actions[3].action.clone();
    let twice = Plan::new(plan.lead_id.clone(), plan.delivery_id, 1, None, vec![task.clone(), task]);
    assert_eq!(fixture.guard.submit_normal(&twice).await.unwrap_err().code, "duplicate_action");
    assert!(fixture.ledger.is_empty());
}

#[tokio::test]
async fn lead_limit_defers_one_lead_and_global_limit_all() {
    let limits = LimitSettings { per_lead: 10, per_account: 15, global: 20, ..LimitSettings::default() };
    let fixture = GuardFixture::with(limits, GuardSettings::default()).await;
    let submit = async |name: &str, content: &str, account: Option<&str>| {
        let mut plan = plan(name, content, 1, Decision::Nurture);
        plan.account = account.map(str::to_owned);
        fixture.guard.submit_normal(&plan).await.map_err(|failure| {
            assert_eq!(fixture.rows(&plan)[0], "-", "a deferred plan has no ledger rows");
            assert!(failure.ends_by_itself(), "no probe is needed");
            let (class, wait) = (failure.class(), failure.retry_after());
            (class, failure.code.to_string(), failure.dependency().cloned(), wait)
        })
    };
    let deferral = |code: &str, dependency| {
        Err((FailureClass::Deferral, code.to_owned(), dependency, Some(Duration::from_mins(1))))
    };
    let full = deferral("crm_rate_limit", Some(DEPENDENCY));
    submit("ann", "1", Some("example.com")).await.unwrap();
    // The first plan has created the task, so only four of these five actions are sent.
    submit("ann", "2", Some("example.com")).await.unwrap();
    assert_eq!(submit("ann", "3", None).await, deferral("lead_rate_limit", None));
    submit("bob", "1", Some("example.com")).await.unwrap();
    assert_eq!(submit("bob", "2", Some("example.com")).await, deferral("account_rate_limit", None));
    submit("cid", "1", None).await.unwrap();
    assert_eq!(submit("dan", "1", None).await, full);
    fixture.clock.advance(Duration::from_mins(1));
    submit("dan", "1", None).await.unwrap();
}

#[tokio::test]
async fn only_sent_actions_count_towards_the_limits() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    // Four failed attempts of the first action, then a successful plan: nine actions sent, within the limit
    // of ten.
    fixture.crm_faults.extend([Fault::Fail(FailureClass::Deferral); 4]);
    for _ in 0..4 {
        assert_eq!(fixture.guard.submit_normal(&plan).await.unwrap_err().code, "test_quota");
    }
    fixture.guard.submit_normal(&plan).await.unwrap();
}

#[tokio::test]
async fn lost_reply_is_resolved_by_lookup_not_by_repeating() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    fixture.crm_faults.extend([Fault::LoseReply]);
    let failure = fixture.guard.submit_normal(&plan).await.unwrap_err();
    assert_eq!(named(&failure), "deferral crm_outage");
    assert!(failure.message.contains("test_lost_reply"), "{failure}");
    assert_eq!(fixture.rows(&plan), ["pending", "skipped", "skipped", "skipped", "skipped"]);
    assert_eq!(fixture.writes(&plan).await, [1, 1, 1, 0, 0]);
    let outcome = fixture.guard.submit_normal(&plan).await.unwrap();
    assert!(lead_record(&outcome).created);
    assert_eq!(fixture.writes(&plan).await, [3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn nothing_is_sent_while_the_lookup_fails() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    fixture.crm_faults.extend([
        Fault::Pass,
        Fault::Pass,
        Fault::LoseReply,
        Fault::Fail(FailureClass::Transient),
    ]);
    fixture.guard.submit_normal(&plan).await.unwrap_err();
    assert!(fixture.guard.submit_normal(&plan).await.unwrap_err().message.contains("test_reset"));
    assert_eq!(fixture.rows(&plan), ["done", "done", "pending", "skipped", "skipped"]);
    fixture.guard.submit_normal(&plan).await.unwrap();
    assert_eq!(fixture.writes(&plan).await, [3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn refusal_is_permanent_and_earlier_effects_remain() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    fixture.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Permanent)]);
    assert_eq!(named(&fixture.guard.submit_normal(&plan).await.unwrap_err()), "permanent test_refused");
    assert_eq!(fixture.rows(&plan), ["done", "failed", "skipped", "skipped", "skipped"]);
    // A redriven plan continues at the failed action.
    fixture.guard.submit_normal(&plan).await.unwrap();
    assert_eq!(fixture.writes(&plan).await, [3, 3, 3, 1, 1]);
    assert_eq!(fixture.ledger.row(&plan.actions[0].action_id).unwrap().attempts, 1);
    assert_eq!(fixture.ledger.row(&plan.actions[1].action_id).unwrap().attempts, 2);
}

#[tokio::test]
async fn breaker_opens_after_five_failures_and_a_probe_closes_it() {
    let fixture = GuardFixture::unlimited().await;
    let fail = Fault::Fail(FailureClass::Transient);
    fixture.crm_faults.extend([fail; 5]);
    for i in 0..4 {
        let plan = plan(&format!("p{i}"), "{}", 1, Decision::Nurture);
        let failure = fixture.guard.submit_normal(&plan).await.unwrap_err();
        assert_eq!(named(&failure), "deferral crm_outage");
        assert_eq!((failure.dependency(), failure.retry_after()), (None, Some(Duration::from_secs(2 << i))));
    }
    let fifth = plan("p5", "{}", 1, Decision::Nurture);
    assert_eq!(fixture.guard.submit_normal(&fifth).await.unwrap_err().code, "breaker_open");
    assert_eq!(fixture.rows(&fifth)[0], "pending", "it was sent, with an unknown outcome");
    let plan = default_plan();
    let failure = fixture.guard.submit_normal(&plan).await.unwrap_err();
    assert_eq!(named(&failure), "deferral breaker_open");
    assert_eq!(failure.dependency(), Some(&DEPENDENCY));
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(30)));

    fixture.clock.advance(Duration::from_secs(30));
    fixture.crm_faults.extend([fail]);
    assert_eq!(named(&fixture.guard.submit_normal(&plan).await.unwrap_err()), "deferral breaker_open");
    assert!(fixture.crm_faults.is_over(), "the probe took the fault, not the lead");
    assert_eq!(fixture.rows(&plan), ["-"; 5]);

    fixture.clock.advance(Duration::from_secs(30));
    fixture.guard.submit_normal(&plan).await.unwrap();
}

#[tokio::test]
async fn operator_probe_closes_the_breaker_at_once() {
    let fixture = GuardFixture::unlimited().await;
    let fail = Fault::Fail(FailureClass::Transient);
    fixture.crm_faults.extend([fail; 6]);
    for _ in 0..5 {
        fixture.guard.submit_normal(&default_plan()).await.unwrap_err();
    }
    assert_eq!(fixture.guard.probe().await.unwrap_err().class(), FailureClass::Transient);
    assert_eq!(fixture.guard.submit_normal(&default_plan()).await.unwrap_err().code, "breaker_open");
    fixture.guard.probe().await.unwrap();
    fixture.guard.submit_normal(&default_plan()).await.unwrap();
}

#[tokio::test]
async fn refusals_and_deferrals_do_not_open_the_breaker() {
    let fixture = GuardFixture::unlimited().await;
    for class in [FailureClass::Permanent, FailureClass::Deferral] {
        fixture.crm_faults.extend([Fault::Fail(class); 10]);
        for _ in 0..10 {
            assert_eq!(fixture.guard.submit_normal(&default_plan()).await.unwrap_err().class(), class);
        }
    }
    // Four failures, a refusal, four failures: never five in a row.
    let fail = Fault::Fail(FailureClass::Transient);
    for i in 0..9 {
        fixture.crm_faults.extend([if i == 4 { Fault::Fail(FailureClass::Permanent) } else { fail }]);
        fixture.guard.submit_normal(&plan(&format!("p{i}"), "{}", 1, Decision::Nurture)).await.unwrap_err();
    }
    fixture.guard.submit_normal(&default_plan()).await.unwrap();
}

#[tokio::test]
async fn half_open_call_closes_or_reopens_the_breaker() {
    let fixture = GuardFixture::unlimited().await;
    let fail = Fault::Fail(FailureClass::Transient);
    fixture.crm_faults.extend([fail; 5]);
    for _ in 0..5 {
        fixture.guard.submit_normal(&default_plan()).await.unwrap_err();
    }
    for _ in 0..3 {
        fixture.guard.probe().await.unwrap();
        // This lead's call failed last, so the probe is reserved for other leads at first.
        assert_eq!(
            fixture.guard.submit_normal(&default_plan()).await.unwrap_err().code,
            "crm_probe_reserved"
        );
        fixture.clock.advance(Duration::from_secs(15));
        // The probe, the lookup of the unknown outcome, and the write, which fails.
        fixture.crm_faults.extend([Fault::Pass, Fault::Pass, fail]);
        assert_eq!(fixture.guard.submit_normal(&default_plan()).await.unwrap_err().code, "breaker_open");
        assert!(fixture.crm_faults.is_over(), "the call was made");
        let other = plan("bob", "{}", 1, Decision::Nurture);
        assert_eq!(fixture.guard.submit_normal(&other).await.unwrap_err().code, "breaker_open");
        assert_eq!(fixture.rows(&other)[0], "-", "no other lead is admitted");
    }
    fixture.guard.probe().await.unwrap();
    assert_eq!(fixture.guard.submit_normal(&default_plan()).await.unwrap_err().code, "crm_probe_reserved");
    fixture.guard.submit_normal(&plan("bob", "{}", 1, Decision::Nurture)).await.unwrap();
    fixture.guard.submit_normal(&default_plan()).await.unwrap();
}

#[tokio::test]
async fn successful_reads_do_not_close_the_write_breaker() {
    let fixture = GuardFixture::unlimited().await;
    for _ in 0..5 {
        fixture.crm_faults.extend([Fault::Fail(FailureClass::Transient)]);
        fixture.guard.submit_normal(&plan("bob", "{}", 1, Decision::Nurture)).await.unwrap_err();
        fixture.guard.preview(&default_plan()).await.unwrap();
    }
    assert_eq!(fixture.guard.submit_normal(&default_plan()).await.unwrap_err().code, "breaker_open");
    fixture.guard.preview(&default_plan()).await.unwrap();
    assert_eq!(fixture.guard.submit_normal(&default_plan()).await.unwrap_err().code, "breaker_open");
}

/// An executor that breaks the rules, or behaves as real ones rarely do.
enum MisbehavingExecutor {
    Hangs,
    Silent,
    Locked(&'static str),
    /// Takes a second for each plan, and stores its start time.
    Slow(Mutex<Vec<Instant>>),
}

fn guard(executor: &Arc<MisbehavingExecutor>) -> (Guard, Arc<MemoryLedger>, Arc<MemoryHealth>) {
    let (clock, ledger) = (Arc::new(SystemClock), Arc::new(MemoryLedger::default()));
    let health = Arc::new(MemoryHealth::default());
    let guard = Guard::new(
        Arc::clone(executor) as _,
        Arc::clone(&ledger) as _,
        Arc::clone(&health) as _,
        Arc::new(MemoryLimits::unlimited()),
        clock,
        GuardSettings::default(),
    );
    (guard, ledger, health)
}

#[tokio::test]
async fn locked_record_counts_as_an_attempt_not_a_crm_failure() {
    for code in ["crm_unable_to_lock_row", "crm_entity_is_locked", "crm_conflict", "crm_locked"] {
        let (guard, ..) = guard(&Arc::new(MisbehavingExecutor::Locked(code)));
        for _ in 0..10 {
            assert_eq!(
                named(&guard.submit_normal(&default_plan()).await.unwrap_err()),
                format!("transient {code}")
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn probe_times_out_after_ten_seconds() {
    let (guard, ..) = guard(&Arc::new(MisbehavingExecutor::Hangs));
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(guard.probe().await.unwrap_err().code, "crm_timeout");
        assert_eq!(began.elapsed().as_secs(), 10);
    }
    assert_eq!(guard.submit_normal(&default_plan()).await.unwrap_err().code, "breaker_open", "it counts");
}

#[tokio::test(start_paused = true)]
async fn work_interrupted_in_a_crm_call_is_a_crm_outage() {
    let (guard, ..) = guard(&Arc::new(MisbehavingExecutor::Hangs));
    let plan = default_plan();
    for n in 1..=5 {
        let cut = tokio::time::timeout(Duration::from_secs(30), guard.submit_normal(&plan)).await;
        assert!(cut.is_err(), "the caller has no more time");
        let failure = guard.interrupted(&plan.lead_id).await.unwrap();
        let code = if n < 5 { "crm_outage" } else { "breaker_open" };
        assert_eq!(named(&failure), format!("deferral {code}"));
        assert_eq!(guard.interrupted(&plan.lead_id).await, None, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_the_half_open_probe_to_finish() {
    let slow = Arc::new(MisbehavingExecutor::Slow(Mutex::default()));
    let (guard, _, health) = guard(&slow);
    let (opened_at, retry_at) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    let open =
        Open { reason: "test".into(), cause: OpenCause::Failures, opened_at, retry_at, probing: false };
    let down = HealthRecord { failures: 5, open: Some(open), recovered_at: None, failed_caller: None };
    health.update(&Dependency::new("crm.odd"), &mut |record| *record = down.clone()).await.unwrap();
    let submit = async |name| guard.submit_normal(&plan(name, "{}", 1, Decision::Nurture)).await;
    assert_eq!(submit("ann").await.unwrap_err().code, "breaker_open");
    guard.probe().await.unwrap();
    let (ann, bob, cid) = tokio::join!(submit("ann"), submit("bob"), submit("cid"));
    ann.unwrap();
    bob.unwrap();
    cid.unwrap();
    let MisbehavingExecutor::Slow(began) = &*slow else { unreachable!() };
    let began = began.lock().unwrap();
    let after = |n: usize| began[n] - began[0];
    assert!(after(1) >= Duration::from_secs(1), "one call first: {:?}", after(1));
    assert!(after(2) < Duration::from_secs(2), "then all others: {:?}", after(2));
}

#[async_trait]
impl Executor for MisbehavingExecutor {
    fn provider(&self) -> &'static str {
        "odd"
    }

    async fn execute(&self, _: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        match self {
            Self::Hangs => std::future::pending().await,
            Self::Silent => Vec::new(),
            Self::Locked(code) => {
                vec![Err(Failure::transient(code, "locked").because(Cause::Record))]
            }
            Self::Slow(began) => {
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
async fn hanging_or_silent_crm_leaves_the_outcome_unknown() {
    for (executor, code) in
        [(MisbehavingExecutor::Hangs, "crm_timeout"), (MisbehavingExecutor::Silent, "crm_incomplete_answer")]
    {
        let (guard, ledger, _) = guard(&Arc::new(executor));
        let plan = default_plan();
        let failure = guard.submit_normal(&plan).await.unwrap_err();
        assert_eq!(named(&failure), "deferral crm_outage");
        assert!(failure.message.contains(code), "{failure}");
        for planned in &plan.actions {
            let row = ledger.row(&planned.action_id).unwrap();
            assert_eq!((row.state.as_str(), row.failure.unwrap().code.as_ref()), ("pending", code));
        }
    }
}
