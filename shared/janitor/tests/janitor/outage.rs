//! The AI goes away with 200 leads in flight, and comes back: the real client, a fake service, one clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use analysis::{AI_BREAKER, Analyst, Gemini, GeminiSettings, Guards, Icp, ModelAnalyst, Models, Prompt};
use breaker::Breaker;
use crm::{MockCrm, Object};
use janitor::{Janitor, ai_probes};
use lead::{Clock as _, LeadEvent, LeadStatus};
use pipeline::Pipeline;
use queue::{LeadHandler as _, Settlement, settle_failed};
use sandbox::Fake;
use sandbox::gemini::{KEY, out_of_quota, overloaded};

use crate::support::{House, event};

const LEADS: usize = 200;
const BEFORE: usize = 40;

/// A service, and workers and a janitor that ask it.
struct Site<'a> {
    house: &'a House,
    fake: Fake,
    pipeline: Pipeline,
    janitor: Janitor,
}

impl<'a> Site<'a> {
    async fn of(house: &'a House) -> Self {
        let fake = Fake::serve("gemini", sandbox::gemini::Gemini::default().router()).await.unwrap();
        let clock = Arc::new(house.clock.clone());
        let model = Models::built_in().model("gemini", "gemini-3.8-flash").unwrap();
        let settings = GeminiSettings {
            base_url: fake.url().parse().unwrap(),
            api_key: KEY.to_owned().into(),
            timeout: Duration::from_secs(60),
        };
        let service = Gemini::new(&settings, model.clone(), clock.clone()).unwrap();
        let health = Arc::new(house.store.clone());
        let breaker = Breaker::new(ModelAnalyst::dependency("gemini"), health, clock.clone(), AI_BREAKER);
        let analyst: Arc<dyn Analyst> = Arc::new(ModelAnalyst::new(
            Arc::new(service),
            model,
            Prompt::built_in(),
            Icp::default_config().contract,
            Guards { breaker: Some(breaker), budget: None },
            clock.clone(),
        ));
        let probes = ai_probes(&analyst);
        let janitor = Janitor::new(house.store.clone(), Arc::clone(&house.queue), probes, clock);
        Self { house, fake, pipeline: house.pipeline(analyst), janitor }
    }

    /// Leads of as many people.
    async fn post(&self, leads: usize) -> Vec<LeadEvent> {
        let leads: Vec<_> = (0..leads).map(|n| event(self.house, &format!("person{n}"))).collect();
        self.house.post(&leads, &[]).await;
        leads
    }

    /// Works on the next message as a worker does, if there is one.
    async fn work_on_one(&self) -> bool {
        let queue = &self.house.queue;
        let Some(message) = queue.receive(1).await.unwrap().pop() else { return false };
        let settlement = match self.pipeline.handle(&message).await {
            Ok(()) => Settlement::Done,
            Err(failure) => settle_failed(message.attempt, failure),
        };
        self.pipeline.record(&message, &settlement).await.unwrap();
        if let Settlement::Defer { after, failure } = &settlement
            && let Some(dependency) = &failure.dependency
        {
            let until = self.house.clock.now() + *after;
            queue.pause(dependency, &failure.to_string(), until).await.unwrap();
        }
        queue.settle(&message.receipt, &settlement).await.unwrap();
        true
    }

    /// Lets seconds go by: workers work on whatever is due, and the janitor makes a round every fifth.
    async fn live(&self, seconds: u64) {
        for second in 0..seconds {
            while self.work_on_one().await {}
            if second % 5 == 0 {
                self.janitor.round().await.unwrap();
            }
            self.house.advance(1);
        }
    }

    /// How many leads stand where: status, decision, and whether without an AI.
    async fn leads(&self, leads: &[LeadEvent]) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in leads {
            let lead = self.house.store.lead(&event.lead_id).await.unwrap().unwrap();
            let decision = lead.decision.map_or("none", lead::Decision::as_str);
            assert!(lead.status != LeadStatus::PermanentlyFailed);
            let by = if lead.fallback { "nobody" } else { "the AI" };
            *counts.entry(format!("{} {decision} by {by}", lead.status)).or_default() += 1;
        }
        counts
    }

    /// How often the score of a lead was written to the CRM, and what stands there.
    async fn score_writes(&self, lead: &LeadEvent) -> (usize, String) {
        let actions = self.house.store.actions(&lead.lead_id, 100).await.unwrap();
        let written = actions.iter().filter(|a| a.kind == "set_lead_score" && a.state == "done").count();
        let crm = MockCrm::new(self.house.store.database().clone(), Arc::new(self.house.clock.clone()));
        let record = crm.record(Object::Lead, lead.lead_id.as_str()).await.unwrap().unwrap();
        (written, record.fields["decision"].as_str().unwrap().to_owned())
    }
}

fn counted<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(what, count)| (what.to_owned(), count)).collect()
}

async fn leads_go_on_without_the_ai_and_are_judged_once_it_is_back(house: House) {
    let site = Site::of(&house).await;
    let leads = site.post(LEADS).await;
    for _ in 0..BEFORE {
        assert!(site.work_on_one().await);
    }
    site.fake.add_fault(overloaded());
    let asked = site.fake.exchanges().len();
    assert_eq!(asked, BEFORE);

    // Half a minute of attempts, and every lead is in the CRM.
    site.live(40).await;
    let without = LEADS - BEFORE;
    let neutral =
        counted([("synced ROUTE_TO_SDR by the AI", BEFORE), ("synced MANUAL_REVIEW by nobody", without)]);
    assert_eq!(site.leads(&leads).await, neutral);
    // It stays away for five minutes more: nothing is written again and again, and it is not asked by every lead.
    site.live(300).await;
    assert_eq!(site.leads(&leads).await, neutral);
    for lead in &leads {
        assert_eq!(site.score_writes(lead).await.0, 1);
    }
    let asked = site.fake.exchanges().len() - asked;
    assert!(asked < 5 + 340 / 5 + 1, "five failures, then one try every five seconds: {asked}");

    site.fake.clear_faults();
    site.live(20).await;
    assert_eq!(site.leads(&leads).await, counted([("synced ROUTE_TO_SDR by the AI", LEADS)]));
    for (place, lead) in leads.iter().enumerate() {
        let writes = if place < BEFORE { 1 } else { 2 };
        assert_eq!(site.score_writes(lead).await, (writes, "ROUTE_TO_SDR".to_owned()), "lead {place}");
        let analyses = house.store.analyses(&lead.lead_id, 10).await.unwrap();
        assert_eq!(analyses.len(), writes);
        if let [_, neutral] = &analyses[..] {
            assert!(neutral.fallback && neutral.fallback_reason.is_some());
        }
    }
    site.live(3_600).await;
    assert_eq!(site.score_writes(&leads[LEADS - 1]).await.0, 2, "and that was that");
}

async fn a_quota_makes_leads_wait_and_costs_no_attempt(house: House) {
    let site = Site::of(&house).await;
    let leads = site.post(10).await;
    site.fake.add_fault(out_of_quota(Some("90s"), false).times(1));
    site.live(60).await;
    let waiting = site.leads(&leads).await;
    assert!(waiting.keys().all(|lead| lead.ends_with("none by the AI")), "nobody was judged: {waiting:?}");
    assert_eq!(site.fake.exchanges().len(), 1, "one lead found out for all");
    site.live(60).await;
    assert_eq!(site.leads(&leads).await, counted([("synced ROUTE_TO_SDR by the AI", 10)]));
    assert_eq!(site.fake.exchanges().len(), 1 + 1 + 10, "a probe, and each lead once");
}

on_both!(
    leads_go_on_without_the_ai_and_are_judged_once_it_is_back,
    a_quota_makes_leads_wait_and_costs_no_attempt,
);
