//! The process dies, or the work is dropped, at every await point. Then the same message is received again.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

use lead::{LeadEvent, LeadId, LeadStatus};
use on_both::on_both;
use queue::LeadHandler as _;
use store::AuditKind;
use testkit::fixtures::analyses;

use crate::support::{Fixture, hot, message};

/// The progress of the work when it was stopped, derived from the stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Started,
    Enriched,
    Judged,
    /// The ledger contains the planned actions.
    Planned,
    /// Some actions are executed.
    PartlyWritten,
    /// All actions are executed, but the ledger does not show it.
    Written,
    /// The ledger shows all actions as done, in the transaction that ended the work.
    Synced,
}

/// Every progress except `Synced`, which the last await point may or may not reach. Another test receives the
/// message again after the end.
const STAGES: [Reached; 7] = [
    Reached::Nothing,
    Reached::Started,
    Reached::Enriched,
    Reached::Judged,
    Reached::Planned,
    Reached::PartlyWritten,
    Reached::Written,
];

/// The moment at which the work is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// While it waits for a reply, which may still arrive.
    Waiting,
    /// After the reply has arrived and before it is read.
    Answered,
}

/// Runs `work` until it has waited `waits` times. `None` if it has not finished by then.
async fn stopped<T>(stop: Stop, waits: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = Box::pin(work);
    let mut left = waits;
    poll_fn(|context| {
        if stop == Stop::Answered && left == 0 {
            return Poll::Ready(None);
        }
        match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        }
    })
    .await
}

async fn reached(fixture: &Fixture, id: &LeadId) -> Reached {
    if fixture.store.lead(id).await.unwrap().is_none() {
        return Reached::Nothing;
    }
    // What a dropped work has begun to write may still be committed: both are read at one point in time.
    let (mut kinds, mut actions);
    loop {
        kinds = fixture.kinds(id).await;
        actions = fixture.store.actions(id, 100).await.unwrap();
        if fixture.kinds(id).await == kinds {
            break;
        }
    }
    let booked = !actions.is_empty() && actions.iter().all(|action| action.state.as_str() == "done");
    assert_eq!(booked, kinds.contains(&AuditKind::Synced), "one transaction");
    let records = fixture.crm().await;
    let created = ["create_task", "log_activity"].map(|kind| {
        let action = actions.iter().find(|action| action.kind == kind);
        action.is_some_and(|action| records.iter().any(|record| record.external_id == action.action_id))
    });
    let has_record = records.iter().any(|record| record.external_id == id.as_str());
    match () {
        () if booked => Reached::Synced,
        () if created == [true, true] => Reached::Written,
        () if has_record => Reached::PartlyWritten,
        () if !actions.is_empty() => Reached::Planned,
        () if kinds.contains(&AuditKind::Judged) => Reached::Judged,
        () if kinds.contains(&AuditKind::Enriched) => Reached::Enriched,
        () => Reached::Started,
    }
}

/// Handles a message again after it was stopped, and asserts that it ends in the same state as without the
/// stop.
async fn assert_resumes(fixture: &Fixture, event: &LeadEvent, before: Reached) {
    fixture.provider.take_calls();
    fixture.analyst.take_calls();
    fixture.pipeline_on(fixture.store.database().clone()).handle(&message(event, 1)).await.unwrap();

    let id = &event.lead_id;
    assert!(before < Reached::Enriched || fixture.provider.take_calls() == 0, "{before:?}: enriched twice");
    assert!(before < Reached::Judged || fixture.analyst.take_calls() == 0, "{before:?}: judged twice");
    assert_eq!(fixture.lead(id).await.status, LeadStatus::Synced, "{before:?}");
    assert_eq!(analyses(&fixture.store, id).await.len(), 1, "{before:?}");
    let actions = fixture.store.actions(id, 100).await.unwrap();
    assert!(actions.len() == 6 && actions.iter().all(|action| action.state.as_str() == "done"), "{before:?}");
    let kinds = fixture.kinds(id).await;
    for kind in [AuditKind::Accepted, AuditKind::Enriched, AuditKind::Judged, AuditKind::Synced] {
        assert_eq!(kinds.iter().filter(|found| **found == kind).count(), 1, "{before:?}: {kinds:?}");
    }
    let fields = fixture.crm_lead(id).await.fields;
    assert_eq!(
        (&fields["decision"], &fields["fit_score"]),
        (&"ROUTE_TO_SDR".into(), &100.into()),
        "{before:?}"
    );
}

/// Stops the work after the first wait, after the second, and so on until the work finishes. Repeats this
/// until the work was stopped at every stage, since the number of waits depends on the speed of the replies.
async fn stopped_everywhere(fixture: Fixture, stop: Stop, process_dies: bool) {
    let mut seen = BTreeSet::new();
    let (mut leads, mut waits, mut ends) = (0, 0, 0);
    while ends == 0 || STAGES.iter().any(|stage| !seen.contains(stage)) {
        let event = hot(&format!("person{leads}"), "CTO", 0);
        let database = if process_dies { fixture.connect().await } else { fixture.store.database().clone() };
        let pipeline = fixture.pipeline_on(database.clone());
        let ended = stopped(stop, waits, pipeline.handle(&message(&event, 1))).await;
        drop(pipeline);
        if process_dies {
            database.close().await;
        }
        leads += 1;
        waits += 1;
        if let Some(result) = ended {
            result.unwrap();
            ends += 1;
            assert!(ends < 50, "the work was only stopped at {seen:?}");
            waits -= waits.min(10 * ends); // starts earlier each time
        } else {
            let before = reached(&fixture, &event.lead_id).await;
            assert_resumes(&fixture, &event, before).await;
            seen.insert(before);
        }
    }
    assert_eq!(fixture.crm_counts().await, [leads, leads, leads]);
    let again =
        fixture.crm().await.into_iter().filter(|record| record.object != "lead" && record.writes != 1);
    assert_eq!(again.count(), 0, "tasks and activities are written once");
}

#[on_both]
async fn process_death_before_reading_a_reply_is_recovered(fixture: Fixture) {
    stopped_everywhere(fixture, Stop::Answered, true).await;
}

#[on_both]
async fn work_dropped_during_a_wait_is_recovered(fixture: Fixture) {
    stopped_everywhere(fixture, Stop::Waiting, false).await;
}
