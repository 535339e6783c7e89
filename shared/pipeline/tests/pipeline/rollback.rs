//! Rollback: the effect of a hold, and the restoration of old values across interruptions.

use std::time::Duration;

use crm::{CrmMode, Restored};
use lead::{Actor, Failure, LeadStatus};
use on_both::on_both;
use queue::{LeadHandler as _, Settlement};
use store::AuditKind;

use crate::crm::{CallOutcome, pipeline, with_lead};
use crate::support::{Fixture, hot, message};

fn second(fixture: &Fixture) {
    fixture.clock.advance(Duration::from_secs(1));
}

#[on_both]
async fn hold_stops_earlier_promotions_but_not_later_ones(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Shadow).await;
    let promoted = fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap().unwrap();
    second(&fixture);
    fixture.store.hold_crm(&Actor::admin(), "mock", "wrong field").await.unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(fixture.crm().await.is_empty(), "it was in the queue when the CRM was held");

    second(&fixture);
    let promoted = fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap().unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(fixture.crm_counts().await[0], 1, "the operator promoted it despite the hold");
}

#[on_both]
async fn promotion_permits_one_plan_and_no_later_judgement(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Shadow).await;
    let promoted = fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap().unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    let written = fixture.crm_lead(&event.lead_id).await.writes;

    fixture.reopen(&pipeline, &event.lead_id, true, "replay").await;
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert_eq!(fixture.crm_lead(&event.lead_id).await.writes, written, "this judgement was not promoted");
}

#[on_both]
async fn promotion_ends_when_the_delivery_is_dead_lettered(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Shadow).await;
    let promoted =
        message(&fixture.store.promote(&Actor::admin(), &event.lead_id).await.unwrap().unwrap(), 1);
    let failure = Failure::permanent("crm_refused", "no such field");
    pipeline.record(&promoted, &Settlement::DeadLetter { failure }).await.unwrap();

    fixture.reopen(&pipeline, &event.lead_id, false, "redrive").await;
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
    assert!(fixture.crm().await.is_empty());
}

/// After any interruption, a second run ends in the same state as an undisturbed one.
#[on_both]
async fn interrupted_rollback_can_be_repeated(fixture: Fixture) {
    use CallOutcome::{Fails, LosesReply, Succeeds};
    for (number, outcomes) in [[Succeeds, Fails], [LosesReply, Succeeds]].into_iter().enumerate() {
        let (pipeline, crm) = pipeline(&fixture, CrmMode::Live, []).await;
        let person = format!("ann{number}");
        let events = ["CTO", "CEO", "CFO"].into_iter().zip(0..).map(|(title, at)| hot(&person, title, at));
        for event in events {
            pipeline.handle(&message(&event, 1)).await.unwrap();
            second(&fixture);
        }
        let lead = hot(&person, "CFO", 2).lead_id;
        fixture.store.hold_crm(&Actor::admin(), "mock", "rolled back").await.unwrap();

        crm.restores.lock().unwrap().extend(outcomes);
        pipeline.restore(&Actor::admin(), &lead).await.unwrap_err();
        assert!(
            fixture.store.written_leads("mock", None, 10).await.unwrap().contains(&lead),
            "the lead is still listed as written"
        );
        let restored = pipeline.restore(&Actor::admin(), &lead).await.unwrap();
        let results: Vec<_> = restored.iter().flat_map(|(_, results)| results).collect();
        assert!(results.contains(&&Restored::PutBack), "{outcomes:?}: {results:?}");
        assert_eq!(fixture.crm_lead(&lead).await.fields["title"], "CTO", "{outcomes:?}");
        assert_eq!(fixture.lead(&lead).await.status, LeadStatus::Planned, "{outcomes:?}");
        let kinds = fixture.kinds(&lead).await;
        let restorations = kinds.into_iter().filter(|kind| *kind == AuditKind::Restored).count();
        assert_eq!(restorations, 2, "{outcomes:?}: one for each restored action");

        // A promotion repeats the restored writes.
        second(&fixture);
        fixture.promote(&pipeline, &lead).await;
        assert_eq!(fixture.crm_lead(&lead).await.fields["title"], "CFO", "{outcomes:?}");
        fixture.store.unhold_crm(&Actor::admin(), "mock").await.unwrap();
    }
}
