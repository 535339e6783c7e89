//! Rescoring of leads that were judged without an AI.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use janitor::{Janitor, Probe};
use lead::{Decision, Failure, LeadEvent, LeadId, LeadStatus};
use on_both::on_both;
use store::Store;
use testkit::fixtures::crm_record;

use crate::overdue::team;
use crate::support::{AI, CRM, Fixture, event, only};

/// A lead that was synced with the neutral verdict.
async fn neutral(fixture: &Fixture) -> LeadEvent {
    let event = event(fixture, "ann");
    fixture.post(std::slice::from_ref(&event), &[]).await;
    fixture.ai.will_fail([Failure::permanent("ai_away", "no such model")]);
    fixture.work().await;
    assert_eq!(decision(fixture, &event).await, "MANUAL_REVIEW");
    event
}

/// The decision in the lead's CRM record.
async fn decision(fixture: &Fixture, event: &LeadEvent) -> String {
    let record = crm_record(&fixture.store, &event.lead_id).await.unwrap();
    record.fields["decision"].as_str().unwrap().to_owned()
}

#[on_both]
async fn lead_judged_without_an_ai_is_rescored_and_written(fixture: Fixture) {
    let (janitor, event) = (fixture.janitor(), neutral(&fixture).await);
    fixture.advance(60);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "a minute has not passed");
    fixture.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "already requeued");
    fixture.work().await;
    let lead = fixture.store.lead(&event.lead_id).await.unwrap().unwrap();
    assert_eq!((lead.status, lead.decision), (LeadStatus::Synced, Some(Decision::RouteToSdr)));
    assert!(!lead.fallback);
    assert_eq!(decision(&fixture, &event).await, "ROUTE_TO_SDR");
    fixture.advance(3600);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "already rescored");
}

#[on_both]
async fn rescoring_waits_while_an_ai_pause_is_in_force(fixture: Fixture) {
    let (janitor, event) = (fixture.janitor(), neutral(&fixture).await);
    fixture.queue.pause(&AI, "quota", fixture.in_seconds(3600)).await.unwrap();
    fixture.advance(3599);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
    fixture.advance(1);
    let back = only(|round| (round.resumed, round.second_looks) = (1, 1));
    assert_eq!(janitor.round().await.unwrap(), back);
    fixture.work().await;
    assert_eq!(decision(&fixture, &event).await, "ROUTE_TO_SDR");
}

#[on_both]
async fn crm_outage_does_not_stop_rescoring(fixture: Fixture) {
    let (janitor, _) = (fixture.janitor(), neutral(&fixture).await);
    fixture.queue.pause(&CRM, "down", fixture.in_seconds(3600)).await.unwrap();
    fixture.advance(301);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
}

#[on_both]
async fn failed_rescoring_is_retried_later(fixture: Fixture) {
    let (janitor, event) = (fixture.janitor(), neutral(&fixture).await);
    fixture.advance(61);
    fixture.ai.will_fail([Failure::permanent("ai_away", "no such model")]);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
    fixture.work().await;
    assert_eq!(decision(&fixture, &event).await, "MANUAL_REVIEW");
    fixture.advance(240);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
    fixture.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
    fixture.work().await;
    assert_eq!(decision(&fixture, &event).await, "ROUTE_TO_SDR");
}

/// A probe of the AI that records whether the escalation of a lead is over.
struct LateProbe {
    store: Store,
    lead: LeadId,
    is_escalated: Mutex<Vec<bool>>,
}

#[async_trait]
impl Probe for LateProbe {
    async fn probe(&self) -> Result<(), Failure> {
        let assignment = self.store.assignment(&self.lead).await?.expect("the lead has an owner");
        self.is_escalated.lock().unwrap().push(assignment.breached_at.is_some());
        Ok(())
    }
}

#[on_both]
async fn ai_is_probed_after_all_other_chores(fixture: Fixture) {
    let (rescored, overdue) = (neutral(&fixture).await, event(&fixture, "bob"));
    fixture.post(std::slice::from_ref(&overdue), &[]).await;
    let team = Arc::new(team(&fixture));
    fixture.work_with(&team).await;
    fixture.advance(600);
    let probe = Arc::new(LateProbe {
        store: fixture.store.clone(),
        lead: overdue.lead_id,
        is_escalated: Mutex::default(),
    });
    let probes = vec![(AI, Arc::clone(&probe) as Arc<dyn Probe>)];
    let clock = Arc::new(fixture.clock.clone());
    let janitor = Janitor::new(fixture.store.clone(), Arc::clone(&fixture.queue), probes, clock);
    let round = janitor.with_pipeline(team).round().await.unwrap();
    assert_eq!((round.overdue, round.second_looks), (1, 1), "{}", rescored.lead_id);
    assert_eq!(*probe.is_escalated.lock().unwrap(), [true], "a slow AI delays no other chore");
}
