//! Old values are stored once, before they are overwritten, despite failures.

use std::sync::Arc;

use crm::testing::MemoryLimits;
use crm::testing::{Fault, FaultyExecutor, MemoryHealth, Script};
use crm::{FieldChange, Guard, GuardSettings, MockCrm, Object, Plan};
use lead::{Decision, FailureClass, ManualClock};

use crate::support::{DatabaseFixture, SharedLedger, plan};

struct OldValuesFixture {
    guard: Guard,
    ledger: SharedLedger,
    faults: Arc<Script>,
    crm: MockCrm,
}

impl OldValuesFixture {
    fn new(database: &DatabaseFixture) -> Self {
        let (clock, ledger, faults) = (ManualClock::default(), SharedLedger::default(), Script::new([]));
        let guard = Guard::new(
            Arc::new(FaultyExecutor::new(database.crm(), Arc::clone(&faults))),
            Arc::new(ledger.clone()),
            Arc::new(MemoryHealth::default()),
            Arc::new(MemoryLimits::unlimited()),
            Arc::new(clock),
            GuardSettings { keep_old_values: true, ..GuardSettings::default() },
        );
        Self { guard, ledger, faults, crm: database.crm() }
    }

    /// The stored change of the lead's title.
    fn title(&self, plan: &Plan) -> FieldChange {
        let row = self.ledger.0.row(&plan.actions[0].action_id).unwrap();
        row.changes.into_iter().find(|change| change.field == "title").unwrap()
    }
}

#[tokio::test]
async fn old_value_is_stored_with_the_action_that_replaced_it() {
    let database = DatabaseFixture::sqlite().await;
    let fixture = OldValuesFixture::new(&database);
    let (first, second) =
        (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture));
    fixture.guard.submit_normal(&first).await.unwrap();
    fixture.guard.submit_normal(&second).await.unwrap();
    assert_eq!((fixture.title(&first).old, fixture.title(&first).new), (None, Some("CTO".into())));
    assert_eq!(
        (fixture.title(&second).old, fixture.title(&second).new),
        (Some("CTO".into()), Some("CEO".into()))
    );
}

#[tokio::test]
async fn retry_does_not_store_its_own_values_as_old_values() {
    let database = DatabaseFixture::sqlite().await;
    let fixture = OldValuesFixture::new(&database);
    let (first, second) =
        (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture));
    fixture.guard.submit_normal(&first).await.unwrap();
    // The preview succeeds; the first write has its effect, but its reply is lost; then the lookup fails.
    let fail = Fault::Fail(FailureClass::Transient);
    fixture.faults.extend([Fault::Pass, Fault::LoseReply, fail]);
    fixture.guard.submit_normal(&second).await.unwrap_err();
    fixture.guard.submit_normal(&second).await.unwrap_err();
    fixture.guard.submit_normal(&second).await.unwrap();
    assert_eq!(fixture.title(&second).old, Some("CTO".into()));
    let record = fixture.crm.record(Object::Lead, second.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.fields["title"], "CEO");
}

#[tokio::test]
async fn nothing_is_written_if_old_values_cannot_be_read() {
    let database = DatabaseFixture::sqlite().await;
    let fixture = OldValuesFixture::new(&database);
    let plan = plan("ann", "CTO", 1, Decision::Nurture);
    fixture.faults.extend([Fault::Fail(FailureClass::Transient)]);
    assert_eq!(fixture.guard.submit_normal(&plan).await.unwrap_err().class(), FailureClass::Deferral);
    assert_eq!(fixture.crm.record(Object::Lead, plan.lead_id.as_str()).await.unwrap(), None);
    assert_eq!(fixture.ledger.0.row(&plan.actions[0].action_id).unwrap().state.as_str(), "skipped");
    fixture.guard.submit_normal(&plan).await.unwrap();
}

#[tokio::test]
async fn restored_value_can_be_written_again() {
    let database = DatabaseFixture::sqlite().await;
    let fixture = OldValuesFixture::new(&database);
    let (first, second) =
        (plan("ann", "CTO", 1, Decision::Nurture), plan("ann", "CEO", 1, Decision::Nurture));
    fixture.guard.submit_normal(&first).await.unwrap();
    fixture.guard.submit_normal(&second).await.unwrap();
    let change = fixture.title(&second);
    assert_eq!(fixture.guard.restore(&[change]).await.unwrap(), [crm::Restored::PutBack]);
    let record = fixture.crm.record(Object::Lead, second.lead_id.as_str()).await.unwrap().unwrap();
    assert_eq!(record.fields["title"], "CTO");
}
