//! Failures of the ledger while a plan is prepared: they are the storage's, and not the CRM's.

use std::sync::Arc;

use crm::testing::{Fault, FaultyLedger, MemoryHealth, Script};
use crm::{Guard, GuardSettings, Health as _, SlidingWindow};
use lead::{Dependency, FailureClass, ManualClock};

use crate::support::{Fixture, SharedLedger, World, a_plan, no_limits};

const AWAY: Fault = Fault::Fail(FailureClass::Transient);

#[tokio::test]
async fn a_lost_ledger_read_is_no_failure_of_the_crm() {
    let fixture = Fixture::sqlite().await;
    let world = World::new(&fixture);
    let plan = a_plan();
    for _ in 0..10 {
        // The rows are begun, and then the record written last is looked for.
        world.ledger_faults.extend([Fault::Pass, AWAY, Fault::Pass]);
        let failure = world.guard.submit(&plan).await.unwrap_err();
        assert_eq!((failure.code.as_ref(), &failure.dependency), ("test_reset", &None));
        assert_eq!(world.rows(&plan), ["skipped"; 5]);
    }
    world.guard.submit(&plan).await.unwrap();
    assert_eq!(world.rows(&plan), ["done"; 5]);
}

#[tokio::test]
async fn a_lost_note_of_old_values_is_no_failure_of_the_crm() {
    let fixture = Fixture::sqlite().await;
    let (faults, health) = (Script::new([]), Arc::new(MemoryHealth::default()));
    let clock = Arc::new(ManualClock::default());
    let guard = Guard::new(
        Arc::new(fixture.crm()),
        Arc::new(FaultyLedger::new(SharedLedger::default(), Arc::clone(&faults))),
        Arc::clone(&health) as _,
        Arc::new(SlidingWindow::new(no_limits(), clock.clone())),
        clock,
        GuardSettings { keep_old_values: true, ..GuardSettings::default() },
    );
    faults.extend([Fault::Pass, Fault::Pass, AWAY, AWAY]);
    let failure = guard.submit(&a_plan()).await.unwrap_err();
    assert_eq!((failure.code.as_ref(), &failure.dependency), ("test_reset", &None));
    assert!(faults.is_over(), "the ledger was away for the end of the plan too");
    assert_eq!(health.load(&Dependency::new("crm.mock")).await.unwrap().failures, 0);
    guard.submit(&a_plan()).await.unwrap();
}
