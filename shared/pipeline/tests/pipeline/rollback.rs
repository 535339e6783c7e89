//! The way back: what a hold stops, and old values that are put back although it breaks off.

use std::time::Duration;

use crm::{CrmMode, Restored};
use lead::{Failure, LeadStatus};
use queue::{LeadHandler as _, Settlement};
use store::AuditKind;

use crate::crm::{Goes, pipeline};
use crate::support::{World, hot, message};

fn second(world: &World) {
    world.clock.advance(Duration::from_secs(1));
}

async fn a_hold_stops_what_was_promoted_before_it_and_nothing_promoted_after(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Shadow, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
    second(&world);
    world.store.hold_crm("mock", "wrong field").await.unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(world.crm().await.is_empty(), "it was in the queue when the hold came");

    second(&world);
    let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(world.crm_counts().await["lead"], 1, "the operator has said so knowing of the hold");
}

async fn a_promotion_lets_one_plan_pass_and_no_later_judgement_of_the_same_content(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Shadow, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    let written = world.crm_lead(&event.lead_id).await.writes;

    let again = world.store.reopen(&event.lead_id, true, "replay").await.unwrap().unwrap();
    pipeline.handle(&message(&again, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert_eq!(world.crm_lead(&event.lead_id).await.writes, written, "nobody has let this one pass");
}

async fn a_promotion_ends_with_the_dead_letter_of_what_it_let_pass(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Shadow, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    let promoted = message(&world.store.promote(&event.lead_id).await.unwrap().unwrap(), 1);
    let failure = Failure::permanent("crm_refused", "no such field");
    pipeline.record(&promoted, &Settlement::DeadLetter { failure }).await.unwrap();

    let redriven = world.store.reopen(&event.lead_id, false, "redrive").await.unwrap().unwrap();
    pipeline.handle(&message(&redriven, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(world.crm().await.is_empty());
}

/// Whatever goes wrong in the middle, a second run ends where an undisturbed one does.
async fn values_are_put_back_although_it_breaks_off_half_way(world: World) {
    for (number, goes) in [[Goes::Well, Goes::Wrong], [Goes::Unheard, Goes::Well]].into_iter().enumerate() {
        let (pipeline, crm) = pipeline(&world, CrmMode::Live, []).await;
        let person = format!("ann{number}");
        let events = ["CTO", "CEO", "CFO"].into_iter().zip(0..).map(|(title, at)| hot(&person, title, at));
        for event in events {
            pipeline.handle(&message(&event, 1)).await.unwrap();
            second(&world);
        }
        let lead = hot(&person, "CFO", 2).lead_id;
        world.store.hold_crm("mock", "rolled back").await.unwrap();

        crm.restores.lock().unwrap().extend(goes);
        pipeline.restore(&lead).await.unwrap_err();
        assert!(
            world.store.written_leads("mock", None, 10).await.unwrap().contains(&lead),
            "it goes on with it"
        );
        let restored = pipeline.restore(&lead).await.unwrap();
        let results: Vec<_> = restored.iter().flat_map(|(_, results)| results).collect();
        assert!(results.contains(&&Restored::PutBack), "{goes:?}: {results:?}");
        assert_eq!(world.crm_lead(&lead).await.fields["title"], "CTO", "{goes:?}");
        assert_eq!(world.lead(&lead).await.status, LeadStatus::Planned, "{goes:?}");
        let told = world.kinds(&lead).await.into_iter().filter(|kind| *kind == AuditKind::Restored).count();
        assert_eq!(told, 2, "{goes:?}: once for each action that was put back");

        // What is back may be written again.
        second(&world);
        let promoted = world.store.promote(&lead).await.unwrap().unwrap();
        pipeline.handle(&message(&promoted, 1)).await.unwrap();
        assert_eq!(world.crm_lead(&lead).await.fields["title"], "CFO", "{goes:?}");
        world.store.unhold_crm("mock").await.unwrap();
    }
}

on_both!(
    a_hold_stops_what_was_promoted_before_it_and_nothing_promoted_after,
    a_promotion_lets_one_plan_pass_and_no_later_judgement_of_the_same_content,
    a_promotion_ends_with_the_dead_letter_of_what_it_let_pass,
    values_are_put_back_although_it_breaks_off_half_way,
);
