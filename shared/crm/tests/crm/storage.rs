//! Ledger failures while a plan is prepared do not count against the CRM.

use std::sync::Arc;

use crm::testing::MemoryLimits;
use crm::testing::{Fault, FaultyLedger, MemoryHealth, Script};
use crm::{Guard, GuardSettings, Health as _};
use lead::{Dependency, FailureClass, ManualClock};

use crate::support::{DatabaseFixture, GuardFixture, SharedLedger, default_plan};

const LEDGER_FAILURE: Fault = Fault::Fail(FailureClass::Transient);

#[tokio::test]
async fn failed_ledger_read_does_not_count_against_the_crm() {
    let database = DatabaseFixture::sqlite().await;
    let fixture = GuardFixture::new(&database);
    let plan = default_plan();
    for _ in 0..10 {
        // The ledger begins the rows, and then fails to read the record written last.
        fixture.ledger_faults.extend([Fault::Pass, LEDGER_FAILURE, Fault::Pass]);
        let failure = fixture.guard.submit_normal(&plan).await.unwrap_err();
        assert_eq!((failure.code.as_ref(), failure.dependency()), ("test_reset", None));
        assert_eq!(fixture.rows(&plan), ["skipped"; 5]);
    }
    fixture.guard.submit_normal(&plan).await.unwrap();
    assert_eq!(fixture.rows(&plan), ["done"; 5]);
}

#[tokio::test]
async fn failed_note_of_old_values_is_no_crm_failure() {
    let database = DatabaseFixture::sqlite().await;
    let (faults, health) = (Script::new([]), Arc::new(MemoryHealth::default()));
    let clock = Arc::new(ManualClock::default());
    let guard = Guard::new(
        Arc::new(database.crm()),
        Arc::new(FaultyLedger::new(SharedLedger::default(), Arc::clone(&faults))),
        Arc::clone(&health) as _,
        Arc::new(MemoryLimits::unlimited()),
        clock,
        GuardSettings { keep_old_values: true, ..GuardSettings::default() },
    );
    faults.extend([Fault::Pass, Fault::Pass, LEDGER_FAILURE, LEDGER_FAILURE]);
    let failure = guard.submit_normal(&default_plan()).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.dependency()), ("test_reset", None));
    assert!(faults.is_over(), "the ledger also failed at the end of the plan");
    assert_eq!(health.load(&Dependency::new("crm.mock")).await.unwrap().failures, 0);
    guard.submit_normal(&default_plan()).await.unwrap();
}
