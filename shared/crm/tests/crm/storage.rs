//! Ledger failures while a plan is prepared do not count against the CRM.

use crm::Health as _;
use crm::testing::Fault;
use lead::{Dependency, FailureClass};

use crate::support::{GuardFixture, default_plan};

const LEDGER_FAILURE: Fault = Fault::Fail(FailureClass::Transient);

#[tokio::test]
async fn failed_ledger_read_does_not_count_against_the_crm() {
    let fixture = GuardFixture::new().await;
    let plan = default_plan();
    for _ in 0..10 {
        // The ledger reads the states, and then fails to read the record written last.
        fixture.ledger_faults.extend([Fault::Pass, LEDGER_FAILURE]);
        let failure = fixture.guard.submit_normal(&plan).await.unwrap_err();
        assert_eq!((failure.code.as_ref(), failure.dependency()), ("test_reset", None));
        assert_eq!(fixture.rows(&plan), ["-"; 5], "the plan has not begun");
    }
    fixture.guard.submit_normal(&plan).await.unwrap();
    assert_eq!(fixture.rows(&plan), ["done"; 5]);
}

#[tokio::test]
async fn failed_begin_with_old_values_is_no_crm_failure() {
    let GuardFixture { guard, health, ledger_faults: faults, .. } = &GuardFixture::with_old_values().await;
    faults.extend([Fault::Pass, Fault::Pass, LEDGER_FAILURE]);
    let failure = guard.submit_normal(&default_plan()).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), failure.dependency()), ("test_reset", None));
    assert!(faults.is_over(), "the ledger failed to begin the plan");
    assert_eq!(health.load(&Dependency::new("crm.mock")).await.unwrap().failures, 0);
    guard.submit_normal(&default_plan()).await.unwrap();
}
