//! The process dies, or the work is dropped, at every point where it waits for anything; then the same message comes again.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;

use lead::{LeadEvent, LeadId, LeadStatus};
use queue::LeadHandler as _;
use store::AuditKind;

use crate::support::{World, hot, message};

/// How far the work had come when it was stopped, by what it left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Nothing,
    Started,
    Enriched,
    Judged,
    /// The ledger knows what is to be done to the CRM.
    Planned,
    /// Some of it is done.
    PartlyWritten,
    /// All of it is done, and the ledger does not know.
    Written,
    /// The ledger knows, and the lead does not.
    Booked,
    Synced,
}

/// Every stage but the end, which is reached or not within the last wait; the same message after it is tested elsewhere.
const STAGES: [Reached; 8] = [
    Reached::Nothing,
    Reached::Started,
    Reached::Enriched,
    Reached::Judged,
    Reached::Planned,
    Reached::PartlyWritten,
    Reached::Written,
    Reached::Booked,
];

/// When the work is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// While it waits for an answer, which may or may not come after that.
    Waiting,
    /// With the answer there, unread.
    Answered,
}

/// Lets work go on until it has waited `waits` times; none when that was not the end of it.
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

async fn reached(world: &World, id: &LeadId) -> Reached {
    if world.store.lead(id).await.unwrap().is_none() {
        return Reached::Nothing;
    }
    let kinds = world.kinds(id).await;
    let actions = world.store.actions(id, 100).await.unwrap();
    let booked = actions.iter().filter(|action| action.state == "done").count();
    let records = world.crm().await;
    let created = ["create_task", "log_activity"].map(|kind| {
        let action = actions.iter().find(|action| action.kind == kind);
        action.is_some_and(|action| records.iter().any(|record| record.external_id == action.action_id))
    });
    let has_record = records.iter().any(|record| record.external_id == id.as_str());
    match () {
        () if kinds.contains(&AuditKind::Synced) => Reached::Synced,
        () if !actions.is_empty() && booked == actions.len() => Reached::Booked,
        () if created == [true, true] => Reached::Written,
        () if has_record => Reached::PartlyWritten,
        () if !actions.is_empty() => Reached::Planned,
        () if kinds.contains(&AuditKind::Judged) => Reached::Judged,
        () if kinds.contains(&AuditKind::Enriched) => Reached::Enriched,
        () => Reached::Started,
    }
}

/// Handles a message again after it was stopped, and checks that it ends as if nothing had happened.
async fn ends_as_if_nothing_had_happened(world: &World, event: &LeadEvent, before: Reached) {
    world.provider.asked();
    world.analyst.asked();
    world.pipeline_on(world.store.database().clone()).handle(&message(event, 1)).await.unwrap();

    let id = &event.lead_id;
    assert!(before < Reached::Enriched || world.provider.asked() == 0, "{before:?}: enriched twice");
    assert!(before < Reached::Judged || world.analyst.asked() == 0, "{before:?}: judged twice");
    assert_eq!(world.lead(id).await.status, LeadStatus::Synced, "{before:?}");
    assert_eq!(world.store.analyses(id, 10).await.unwrap().len(), 1, "{before:?}");
    let actions = world.store.actions(id, 100).await.unwrap();
    assert!(actions.len() == 6 && actions.iter().all(|action| action.state == "done"), "{before:?}");
    let kinds = world.kinds(id).await;
    for kind in [AuditKind::Accepted, AuditKind::Enriched, AuditKind::Judged, AuditKind::Synced] {
        assert_eq!(kinds.iter().filter(|there| **there == kind).count(), 1, "{before:?}: {kinds:?}");
    }
    let fields = world.crm_lead(id).await.fields;
    assert_eq!(
        (&fields["decision"], &fields["fit_score"]),
        (&"ROUTE_TO_SDR".into(), &100.into()),
        "{before:?}"
    );
}

/// Stops the work after the first wait, after the second, and so on until it is not stopped any more; and again until it
/// was stopped everywhere, since how often it has to wait for an answer depends on how soon that comes.
async fn stopped_everywhere(world: World, stop: Stop, process_dies: bool) {
    let mut seen = BTreeSet::new();
    let (mut leads, mut waits, mut ends) = (0, 0, 0);
    while ends == 0 || STAGES.iter().any(|stage| !seen.contains(stage)) {
        let event = hot(&format!("person{leads}"), "CTO", 0);
        let database = if process_dies { world.connect().await } else { world.store.database().clone() };
        let pipeline = world.pipeline_on(database.clone());
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
            waits -= waits.min(10 * ends); // a little further back each time
        } else {
            let before = reached(&world, &event.lead_id).await;
            ends_as_if_nothing_had_happened(&world, &event, before).await;
            seen.insert(before);
        }
    }
    let counts = world.crm_counts().await;
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("activity".to_owned(), leads), ("lead".to_owned(), leads), ("task".to_owned(), leads),]
    );
    let again = world.crm().await.into_iter().filter(|record| record.object != "lead" && record.writes != 1);
    assert_eq!(again.count(), 0, "nothing that is created is written twice");
}

async fn a_process_that_dies_with_an_answer_unread_leaves_nothing_undone_and_nothing_done_twice(
    world: World,
) {
    stopped_everywhere(world, Stop::Answered, true).await;
}

async fn work_that_is_dropped_while_it_waits_leaves_nothing_undone_and_nothing_done_twice(world: World) {
    stopped_everywhere(world, Stop::Waiting, false).await;
}

on_both!(
    a_process_that_dies_with_an_answer_unread_leaves_nothing_undone_and_nothing_done_twice,
    work_that_is_dropped_while_it_waits_leaves_nothing_undone_and_nothing_done_twice,
);
