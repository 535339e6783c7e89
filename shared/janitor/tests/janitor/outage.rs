//! An AI outage with 200 leads in flight, and the recovery: the real client, a fake service, one clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use analysis::{AI_BREAKER, Analyst, Gemini, GeminiSettings, Guards, Icp, ModelAnalyst, Models, Prompt};
use breaker::CircuitBreaker;
use janitor::Janitor;
use lead::{Clock as _, LeadEvent, LeadStatus};
use on_both::on_both;
use pipeline::Pipeline;
use queue::{LeadHandler as _, Settlement, settle_failed};
use sandbox::Fake;
use sandbox::gemini::{KEY, out_of_quota, overloaded};
use testkit::fixtures::{analyses, crm_record};

use crate::support::{Fixture, event};

const LEADS: usize = 200;
const BEFORE: usize = 40;

/// A fake service with the workers and the janitor that call it.
struct Site<'a> {
    fixture: &'a Fixture,
    fake: Fake,
    pipeline: Arc<Pipeline>,
    janitor: Janitor,
}

impl<'a> Site<'a> {
    async fn of(fixture: &'a Fixture) -> Self {
        let fake = Fake::serve("gemini", sandbox::gemini::Gemini::default().router()).await.unwrap();
        let clock = Arc::new(fixture.clock.clone());
        let model = Models::built_in().model("gemini", "gemini-3.8-flash").unwrap();
        let settings = GeminiSettings {
            base_url: fake.url().parse().unwrap(),
            api_key: KEY.to_owned().into(),
            timeout: Duration::from_secs(60),
        };
        let service = Gemini::new(&settings, model.clone(), clock.clone()).unwrap();
        let health = Arc::new(fixture.store.clone());
        let breaker =
            CircuitBreaker::new(ModelAnalyst::dependency("gemini"), health, clock.clone(), AI_BREAKER);
        let analyst: Arc<dyn Analyst> = Arc::new(ModelAnalyst::new(
            Arc::new(service),
            model,
            Prompt::built_in(),
            Icp::default_config().contract,
            Guards { breaker: Some(breaker), ..Guards::default() },
            clock.clone(),
        ));
        let pipeline = Arc::new(fixture.pipeline(analyst));
        let probes = janitor::probes(&pipeline);
        let janitor = Janitor::new(fixture.store.clone(), Arc::clone(&fixture.queue), probes, clock);
        Self { fixture, fake, pipeline, janitor }
    }

    /// Posts one lead for each of `leads` people.
    async fn post(&self, leads: usize) -> Vec<LeadEvent> {
        let leads: Vec<_> = (0..leads).map(|n| event(self.fixture, &format!("person{n}"))).collect();
        self.fixture.post(&leads, &[]).await;
        leads
    }

    /// Processes the next message as a worker does; false where there is none.
    async fn work_on_one(&self) -> bool {
        let queue = &self.fixture.queue;
        let Some(message) = queue.receive(1).await.unwrap().pop() else { return false };
        let settlement = match self.pipeline.handle(&message).await {
            Ok(()) => Settlement::Done,
            Err(failure) => settle_failed(message.attempt, failure),
        };
        self.pipeline.record(&message, &settlement).await.unwrap();
        if let Settlement::Defer { after, failure } = &settlement
            && let Some(dependency) = failure.dependency()
        {
            let until = self.fixture.clock.now() + *after;
            queue.pause(dependency, &failure.to_string(), until).await.unwrap();
        }
        queue.settle(&message.receipt, &settlement).await.unwrap();
        true
    }

    /// Advances the clock: workers process due messages each second, and the janitor runs every fifth second.
    async fn live(&self, seconds: u64) {
        for second in 0..seconds {
            while self.work_on_one().await {}
            if second % 5 == 0 {
                self.janitor.round().await.unwrap();
            }
            self.fixture.advance(1);
        }
    }

    /// The number of leads by status, decision, and analyst.
    async fn leads(&self, leads: &[LeadEvent]) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for event in leads {
            let lead = self.fixture.store.lead(&event.lead_id).await.unwrap().unwrap();
            let decision = lead.decision.map_or("none", lead::Decision::as_str);
            assert!(lead.status != LeadStatus::PermanentlyFailed);
            let by = if lead.fallback { "fallback" } else { "the AI" };
            *counts.entry(format!("{} {decision} by {by}", lead.status)).or_default() += 1;
        }
        counts
    }

    /// How often the lead's score was written to the CRM, and the decision in the record.
    async fn score_writes(&self, lead: &LeadEvent) -> (usize, String) {
        let actions = self.fixture.store.actions(&lead.lead_id, 100).await.unwrap();
        let written =
            actions.iter().filter(|a| a.kind == "set_lead_score" && a.state.as_str() == "done").count();
        let record = crm_record(&self.fixture.store, &lead.lead_id).await.unwrap();
        (written, record.fields["decision"].as_str().unwrap().to_owned())
    }
}

fn counted<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.into_iter().map(|(label, count)| (label.to_owned(), count)).collect()
}

#[on_both]
async fn leads_sync_without_the_ai_and_are_rescored_afterwards(fixture: Fixture) {
    let site = Site::of(&fixture).await;
    let leads = site.post(LEADS).await;
    for _ in 0..BEFORE {
        assert!(site.work_on_one().await);
    }
    site.fake.add_fault(overloaded());
    let asked = site.fake.exchanges().len();
    assert_eq!(asked, BEFORE);

    // After 30 s of attempts every lead is in the CRM.
    site.live(40).await;
    let without = LEADS - BEFORE;
    let neutral =
        counted([("synced ROUTE_TO_SDR by the AI", BEFORE), ("synced MANUAL_REVIEW by fallback", without)]);
    assert_eq!(site.leads(&leads).await, neutral);
    // Five more minutes of outage cause no repeated writes, and not every lead calls the AI.
    site.live(300).await;
    assert_eq!(site.leads(&leads).await, neutral);
    for lead in &leads {
        assert_eq!(site.score_writes(lead).await.0, 1);
    }
    let asked = site.fake.exchanges().len() - asked;
    assert!(asked < 5 + 340 / 5 + 1, "five failures, then one probe every five seconds: {asked}");

    site.fake.clear_faults();
    site.live(20).await;
    assert_eq!(site.leads(&leads).await, counted([("synced ROUTE_TO_SDR by the AI", LEADS)]));
    for (place, lead) in leads.iter().enumerate() {
        let writes = if place < BEFORE { 1 } else { 2 };
        assert_eq!(site.score_writes(lead).await, (writes, "ROUTE_TO_SDR".to_owned()), "lead {place}");
        let analyses = analyses(&fixture.store, &lead.lead_id).await;
        assert_eq!(analyses.len(), writes);
        if let [_, neutral] = &analyses[..] {
            assert!(neutral.fallback && neutral.fallback_reason.is_some());
        }
    }
    site.live(3_600).await;
    assert_eq!(site.score_writes(&leads[LEADS - 1]).await.0, 2, "no further write");
}

#[on_both]
async fn exhausted_quota_defers_leads_without_an_attempt(fixture: Fixture) {
    let site = Site::of(&fixture).await;
    let leads = site.post(10).await;
    site.fake.add_fault(out_of_quota(Some("90s"), false).times(1));
    site.live(60).await;
    let waiting = site.leads(&leads).await;
    assert!(waiting.keys().all(|lead| lead.ends_with("none by the AI")), "no lead was judged: {waiting:?}");
    assert_eq!(site.fake.exchanges().len(), 1, "one call shows the quota to all");
    site.live(60).await;
    assert_eq!(site.leads(&leads).await, counted([("synced ROUTE_TO_SDR by the AI", 10)]));
    assert_eq!(site.fake.exchanges().len(), 1 + 1 + 10, "a probe, then one call a lead");
}
