//! Leads that were judged while enrichment was unavailable are enriched and judged again afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use analysis::Analyst;
use async_trait::async_trait;
use enrichment::{EnrichmentProvider, Firmographics, Fixtures, Waterfall};
use janitor::Janitor;
use lead::{Actor, Decision, Failure, LeadEvent, LeadStatus};
use on_both::on_both;
use pipeline::Pipeline;
use queue::{LeadHandler as _, Settlement};
use store::{AuditKind, MAX_ENRICH_TRIES, Suppressed};
use testkit::fixtures::analyses;

use crate::support::{Fixture, event, only};

/// Knows the built-in companies, unless it is unavailable.
#[derive(Default)]
struct Provider {
    is_away: AtomicBool,
    asked: AtomicUsize,
}

#[async_trait]
impl EnrichmentProvider for Provider {
    fn name(&self) -> &'static str {
        "fixtures"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Failure::transient("enrichment_unavailable", "503"));
        }
        Fixtures::built_in().company(domain).await
    }
}

struct Site<'a> {
    fixture: &'a Fixture,
    provider: Arc<Provider>,
    pipeline: Arc<Pipeline>,
    janitor: Janitor,
}

impl<'a> Site<'a> {
    fn of(fixture: &'a Fixture) -> Self {
        let provider = Arc::new(Provider::default());
        let pipeline = fixture.pipeline(Arc::clone(&fixture.ai) as Arc<dyn Analyst>);
        let providers = vec![Arc::clone(&provider) as Arc<dyn EnrichmentProvider>];
        let clock = Arc::new(fixture.clock.clone());
        let enrichment = Waterfall::new(providers, Duration::from_secs(10), clock);
        let pipeline = Arc::new(Pipeline { enrichment, ..pipeline });
        let janitor = fixture.janitor().with_pipeline(Arc::clone(&pipeline));
        Self { fixture, provider, pipeline, janitor }
    }

    fn is_away(&self, is_away: bool) {
        self.provider.is_away.store(is_away, Ordering::SeqCst);
    }

    /// The number of provider calls since the last call of this method.
    fn asked(&self) -> usize {
        self.provider.asked.swap(0, Ordering::SeqCst)
    }

    async fn work(&self) {
        while let Some(message) = self.fixture.queue.receive(1).await.unwrap().pop() {
            self.pipeline.handle(&message).await.unwrap();
            self.fixture.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        }
    }

    /// A lead that is hot by its company and was judged without enrichment.
    async fn unenriched(&self, person: &str) -> LeadEvent {
        self.is_away(true);
        let event = event(self.fixture, person);
        self.fixture.post(std::slice::from_ref(&event), &[]).await;
        self.work().await;
        assert_eq!(self.asked(), 1);
        assert_ne!(self.decision(&event).await, Some(Decision::RouteToSdr));
        event
    }

    async fn decision(&self, event: &LeadEvent) -> Option<Decision> {
        let lead = self.fixture.store.lead(&event.lead_id).await.unwrap().unwrap();
        assert_eq!(lead.status, LeadStatus::Synced);
        lead.decision
    }
}

#[on_both]
async fn suppressed_people_are_not_enriched_again(fixture: Fixture) {
    let site = Site::of(&fixture);
    let leads = [site.unenriched("ann").await, site.unenriched("bob").await];
    let ann = Suppressed::Address(leads[0].lead.email.clone());
    fixture.store.suppress(&Actor::admin(), &ann, "asked for it").await.unwrap();
    site.is_away(false);
    fixture.advance(61);
    let round = site.janitor.round().await.unwrap();
    assert_eq!(round, only(|round| round.enriched_again = 1), "the other lead is not delayed");
    assert_eq!(site.asked(), 1);
}

#[on_both]
async fn leads_are_enriched_and_rejudged_when_a_provider_answers(fixture: Fixture) {
    let site = Site::of(&fixture);
    let leads = [site.unenriched("ann").await, site.unenriched("bob").await];
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()), "a minute has not passed");
    fixture.advance(60);
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()));
    assert_eq!(site.asked(), 1, "one call shows that the provider is still down");
    site.is_away(false);
    fixture.advance(1);
    assert_eq!(site.janitor.round().await.unwrap(), only(|round| round.enriched_again = 1), "the other lead");
    fixture.advance(8 * 60);
    assert_eq!(site.janitor.round().await.unwrap(), only(|round| round.enriched_again = 1));
    site.work().await;
    for lead in &leads {
        assert_eq!(site.decision(lead).await, Some(Decision::RouteToSdr));
        let trail = fixture.store.audit(&lead.lead_id, 0, 100).await.unwrap();
        let reopened = trail.iter().find(|event| event.kind == AuditKind::Reopened).unwrap();
        assert_eq!(reopened.detail["reason"], "judged without enrichment");
    }
    site.asked();
    fixture.advance(24 * 3_600);
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()), "no further retry");
    assert_eq!(site.asked(), 0);
}

#[on_both]
async fn enrichment_retries_are_limited(fixture: Fixture) {
    let site = Site::of(&fixture);
    let lead = site.unenriched("ann").await;
    for _ in 0..3 * MAX_ENRICH_TRIES {
        fixture.advance(24 * 3_600);
        assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()));
    }
    assert_eq!(site.asked(), usize::try_from(MAX_ENRICH_TRIES).unwrap());
    assert_eq!(analyses(&fixture.store, &lead.lead_id).await.len(), 1, "nothing was judged again");
}

#[on_both]
async fn replay_requests_missing_enrichment_again(fixture: Fixture) {
    let site = Site::of(&fixture);
    let lead = site.unenriched("ann").await;
    // Still unavailable: the stored result stays, and the next judgement requests it again.
    for (is_away, decision) in [(true, false), (false, true)] {
        site.is_away(is_away);
        let event =
            fixture.store.reopen(&Actor::admin(), &lead.lead_id, true, "replay").await.unwrap().unwrap();
        fixture.queue.send(&event).await.unwrap();
        site.work().await;
        assert_eq!(site.asked(), 1);
        assert_eq!(site.decision(&lead).await == Some(Decision::RouteToSdr), decision);
    }
    let event = fixture.store.reopen(&Actor::admin(), &lead.lead_id, true, "replay").await.unwrap().unwrap();
    fixture.queue.send(&event).await.unwrap();
    site.work().await;
    assert_eq!(site.asked(), 0, "the answer is kept");
}

#[on_both]
async fn superseded_lead_is_not_enriched_again(fixture: Fixture) {
    let site = Site::of(&fixture);
    let lead = site.unenriched("ann").await;
    site.is_away(false);
    let mut newer = lead.lead.clone();
    newer.title = Some("CEO".into());
    fixture.advance(1);
    fixture.post(&[LeadEvent::new(newer, fixture.in_seconds(0))], &[]).await;
    site.work().await;
    site.asked();
    fixture.advance(3_600);
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()));
    assert_eq!(site.asked(), 0);
    assert!(fixture.store.next_unenriched().await.unwrap().is_none());
}
