//! Judging again what was judged without an AI.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use crm::{MockCrm, Object};
use janitor::{Chase, Janitor, Overdue, Probe};
use lead::{Decision, Failure, LeadEvent, LeadStatus};

use crate::support::{AI, Answers, CRM, House, event, only};

/// A lead that went on to the CRM without an AI.
async fn neutral(house: &House) -> LeadEvent {
    let event = event(house, "ann");
    house.post(std::slice::from_ref(&event), &[]).await;
    house.ai.will_fail([Failure::permanent("ai_away", "no such model")]);
    house.work().await;
    assert_eq!(decision(house, &event).await, "MANUAL_REVIEW");
    event
}

/// What the CRM says is to be done with a lead.
async fn decision(house: &House, event: &LeadEvent) -> String {
    let crm = MockCrm::new(house.store.database().clone(), Arc::new(house.clock.clone()));
    let record = crm.record(Object::Lead, event.lead_id.as_str()).await.unwrap().unwrap();
    record.fields["decision"].as_str().unwrap().to_owned()
}

async fn a_lead_judged_without_an_ai_is_judged_again_and_the_crm_is_brought_up_to_date(house: House) {
    let (janitor, event) = (house.janitor(), neutral(&house).await);
    house.advance(60);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "a minute has not passed");
    house.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "it is on its way");
    house.work().await;
    let lead = house.store.lead(&event.lead_id).await.unwrap().unwrap();
    assert_eq!((lead.status, lead.decision), (LeadStatus::Synced, Some(Decision::RouteToSdr)));
    assert!(!lead.fallback);
    assert_eq!(decision(&house, &event).await, "ROUTE_TO_SDR");
    house.advance(3600);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()), "it has been judged");
}

async fn nobody_is_judged_again_while_the_ai_is_known_to_be_away(house: House) {
    let (janitor, event) = (house.janitor(), neutral(&house).await);
    house.queue.pause(&AI, "quota", house.in_seconds(3600)).await.unwrap();
    house.advance(3599);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
    house.advance(1);
    let back = only(|round| (round.resumed, round.second_looks) = (1, 1));
    assert_eq!(janitor.round().await.unwrap(), back);
    house.work().await;
    assert_eq!(decision(&house, &event).await, "ROUTE_TO_SDR");
}

async fn a_crm_that_is_away_does_not_keep_leads_from_being_put_up_for_judgement(house: House) {
    let (janitor, _) = (house.janitor(), neutral(&house).await);
    house.queue.pause(&CRM, "down", house.in_seconds(3600)).await.unwrap();
    house.advance(301);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
}

async fn a_lead_that_nobody_could_judge_again_waits_longer(house: House) {
    let (janitor, event) = (house.janitor(), neutral(&house).await);
    house.advance(61);
    house.ai.will_fail([Failure::permanent("ai_away", "no such model")]);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
    house.work().await;
    assert_eq!(decision(&house, &event).await, "MANUAL_REVIEW");
    house.advance(240);
    assert_eq!(janitor.round().await.unwrap(), only(|_| ()));
    house.advance(1);
    assert_eq!(janitor.round().await.unwrap(), only(|round| round.second_looks = 1));
    house.work().await;
    assert_eq!(decision(&house, &event).await, "ROUTE_TO_SDR");
}

/// Notes how often the AI had been asked when its turn came.
struct Noting {
    ai: Arc<Answers>,
    asked: Mutex<Vec<usize>>,
}

#[async_trait]
impl Chase for Noting {
    async fn chase(&self, _limit: u32) -> Result<Overdue, Failure> {
        self.asked.lock().unwrap().push(self.ai.asked());
        Ok(Overdue::default())
    }
}

async fn the_ai_is_asked_when_everything_else_is_done(house: House) {
    neutral(&house).await;
    house.advance(61);
    let noting = Arc::new(Noting { ai: Arc::clone(&house.ai), asked: Mutex::default() });
    let probes = vec![(AI, Arc::clone(&house.ai) as Arc<dyn Probe>)];
    let clock = Arc::new(house.clock.clone());
    let janitor = Janitor::new(house.store.clone(), Arc::clone(&house.queue), probes, clock);
    let before = house.ai.asked();
    janitor.chasing(Arc::clone(&noting) as Arc<dyn Chase>).round().await.unwrap();
    assert_eq!(*noting.asked.lock().unwrap(), [before], "an AI that is slow keeps nobody waiting");
    assert_eq!(house.ai.asked(), before + 1);
}

on_both!(
    the_ai_is_asked_when_everything_else_is_done,
    a_lead_judged_without_an_ai_is_judged_again_and_the_crm_is_brought_up_to_date,
    nobody_is_judged_again_while_the_ai_is_known_to_be_away,
    a_crm_that_is_away_does_not_keep_leads_from_being_put_up_for_judgement,
    a_lead_that_nobody_could_judge_again_waits_longer,
);
