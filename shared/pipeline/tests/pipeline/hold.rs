//! The hold of an operator: nothing is written to the CRM, whichever path asks for it and however close the
//! race.

use std::time::Duration;

use crm::testing::every_action;
use crm::{Authority, CrmMode, NotExecuted, Plan, Text};
use jiff::Timestamp;
use lead::{Actor, LeadEvent, LeadStatus};
use on_both::on_both;
use pipeline::NotConverted;
use queue::LeadHandler as _;
use store::CrmSync;

use crate::crm::with_lead;
use crate::routing::{team, team_with_lead};
use crate::support::{Fixture, hot, message};

/// A plan that the guard permits but for the hold.
fn plan(event: &LeadEvent) -> Plan {
    let action = every_action(&event.lead_id, &event.delivery_id()).swap_remove(0);
    Plan::new(event.lead_id.clone(), event.delivery_id(), 1, None, vec![action])
}

#[on_both]
async fn no_path_writes_while_an_operator_holds_the_crm(fixture: Fixture) {
    let (pipeline, _) = team(&fixture, CrmMode::Live).await;
    let (synced, promoted, new) = (hot("ann", "CTO", 0), hot("bob", "CTO", 0), hot("cid", "CTO", 0));
    let (shadow, _) = team(&fixture, CrmMode::Shadow).await;
    pipeline.handle(&message(&synced, 1)).await.unwrap();
    shadow.handle(&message(&promoted, 1)).await.unwrap();
    let promoted = fixture.store.promote(&Actor::admin(), &promoted.lead_id).await.unwrap().unwrap();
    fixture.clock.advance(Duration::from_mins(10));
    fixture.store.hold_crm(&Actor::admin(), "mock", "wrong field").await.unwrap();
    let before = format!("{:?}", fixture.crm().await);

    for process in [&pipeline, &shadow] {
        // A new lead, a revision, and a promotion from before the hold.
        process.handle(&message(&new, 1)).await.unwrap();
        process.handle(&message(&hot("ann", "CEO", 1), 1)).await.unwrap();
        process.handle(&message(&promoted, 1)).await.unwrap();
        for event in [&new, &synced, &promoted] {
            assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
        }
        // An escalation that has a new owner to write.
        process.escalate_overdue(10).await.unwrap();
        // The guard itself, past every check of a caller.
        let early = Authority::Promoted { at: Timestamp::UNIX_EPOCH };
        for authority in [Authority::Normal, early] {
            let held = process.guard.submit(&plan(&new), authority).await;
            assert_eq!(held.unwrap_err(), NotExecuted::Held, "{authority:?}");
        }
    }
    assert_eq!(format!("{:?}", fixture.crm().await), before);
    assert!(fixture.store.actions(&new.lead_id, 10).await.unwrap().is_empty(), "no row is begun either");
}

#[on_both]
async fn conversion_is_refused_while_the_crm_is_held(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Live).await;
    fixture.store.hold_crm(&Actor::admin(), "mock", "wrong field").await.unwrap();
    let status = Text::parse("Qualified").unwrap();
    let converted = pipeline.convert(&Actor::admin(), &event.lead_id, status, true).await;
    // The default allow-list refuses conversions, and the hold comes first.
    assert!(matches!(converted, Err(NotConverted::Shadowed)), "{converted:?}");
}

#[on_both]
async fn hold_that_begins_during_the_work_stops_the_write(fixture: Fixture) {
    let (pipeline, crm) = team(&fixture, CrmMode::Live).await;
    *crm.held_during_owners.lock().unwrap() = Some(fixture.store.clone());
    let event = hot("ann", "CTO", 0);
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert!(
        fixture.store.crm_hold("mock").await.unwrap().is_some(),
        "it began after the pipeline's own check"
    );
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(fixture.crm().await.is_empty());
}

#[on_both]
async fn new_owner_of_an_escalation_waits_for_the_end_of_the_hold(fixture: Fixture) {
    let (pipeline, crm, event) = team_with_lead(&fixture).await;
    fixture.clock.advance(Duration::from_mins(10));
    // The owners are queried after the first check of the hold and before the owner is written.
    *crm.held_during_owners.lock().unwrap() = Some(fixture.store.clone());
    let before = format!("{:?}", fixture.crm().await);
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap().reassigned, 1);
    assert_eq!(format!("{:?}", fixture.crm().await), before);
    let assignment = fixture.store.assignment(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(assignment.crm_sync, CrmSync::NotYet);
    fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap();
    pipeline.escalate_overdue(10).await.unwrap();
    let assignment = fixture.store.assignment(&event.lead_id).await.unwrap().unwrap();
    assert_eq!(assignment.crm_sync, CrmSync::Yes);
}
