//! What is overwritten is kept before it is, once, whatever goes wrong.

use std::sync::Arc;

use crm::testing::{Fault, FaultyExecutor, MemoryHealth, Script};
use crm::{FieldChange, Guard, GuardSettings, MockCrm, Object, Plan, SlidingWindow};
use lead::{Decision, FailureClass, ManualClock};

use crate::support::{Fixture, SharedLedger, no_limits, plan};

struct Kept {
    guard: Guard,
    ledger: SharedLedger,
    faults: Arc<Script>,
    crm: MockCrm,
}

impl Kept {
    fn new(fixture: &Fixture) -> Self {
        let (clock, ledger, faults) = (ManualClock::default(), SharedLedger::default(), Script::new([]));
        let guard = Guard::new(
            Arc::new(FaultyExecutor::new(fixture.crm(), Arc::clone(&faults))),
            Arc::new(ledger.clone()),
            Arc::new(MemoryHealth::default()),
            Arc::new(SlidingWindow::new(no_limits(), Arc::new(clock.clone()))),
            Arc::new(clock),
            GuardSettings { keep_old_values: true, ..GuardSettings::default() },
        );
        Self { guard, ledger, faults, crm: fixture.crm() }
    }

    /// What was kept of the lead's title.
    fn title(&self, plan: &Plan) -> FieldChange {
        let row = self.ledger.0.row(&plan.actions[0].action_id).unwrap();
        row.changes.into_iter().find(|change| change.field == "title").unwrap()
    }
}

#[tokio::test]
async fn the_value_before_is_kept_with_the_action_that_replaced_it() {
    let fixture = Fixture::sqlite().await;
    let kept = Kept::new(&fixture);
    let (first, second) =
        (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture));
    kept.guard.submit(&first).await.unwrap();
    kept.guard.submit(&second).await.unwrap();
    assert_eq!((kept.title(&first).old, kept.title(&first).new), (None, Some("CTO".into())));
    assert_eq!((kept.title(&second).old, kept.title(&second).new), (Some("CTO".into()), Some("CEO".into())));
}

#[tokio::test]
async fn a_try_that_may_have_written_does_not_take_its_own_values_for_the_old_ones() {
    let fixture = Fixture::sqlite().await;
    let kept = Kept::new(&fixture);
    let (first, second) =
        (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture));
    kept.guard.submit(&first).await.unwrap();
    // The preview passes; the first write has its effect, and its reply is lost; then the CRM cannot be asked either.
    let fail = Fault::Fail(FailureClass::Transient);
    kept.faults.extend([Fault::Pass, Fault::LoseReply, fail]);
    kept.guard.submit(&second).await.unwrap_err();
    kept.guard.submit(&second).await.unwrap_err();
    kept.guard.submit(&second).await.unwrap();
    assert_eq!(kept.title(&second).old, Some("CTO".into()));
    let record = kept.crm.record(Object::Lead, second.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.fields["title"], "CEO");
}

#[tokio::test]
async fn without_the_old_values_nothing_is_written() {
    let fixture = Fixture::sqlite().await;
    let kept = Kept::new(&fixture);
    let plan = plan("ann", "CTO", 1, Decision::Nurture);
    kept.faults.extend([Fault::Fail(FailureClass::Transient)]);
    assert_eq!(kept.guard.submit(&plan).await.unwrap_err().class, FailureClass::Deferral);
    assert_eq!(kept.crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap(), None);
    assert_eq!(kept.ledger.0.row(&plan.actions[0].action_id).unwrap().state, "skipped");
    kept.guard.submit(&plan).await.unwrap();
}

#[tokio::test]
async fn what_was_put_back_can_be_written_again() {
    let fixture = Fixture::sqlite().await;
    let kept = Kept::new(&fixture);
    let (first, second) =
        (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture));
    kept.guard.submit(&first).await.unwrap();
    kept.guard.submit(&second).await.unwrap();
    let change = kept.title(&second);
    assert_eq!(kept.guard.restore(&[change]).await.unwrap(), [crm::Restored::PutBack]);
    let record = kept.crm.record(Object::Lead, second.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.fields["title"], "CTO");
}
