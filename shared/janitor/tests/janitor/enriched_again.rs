//! Leads that were judged while enrichment was away are enriched and judged again once it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use analysis::Analyst;
use async_trait::async_trait;
use enrichment::{EnrichmentProvider, Firmographics, Fixtures, Waterfall};
use janitor::{EnrichAgain, Janitor};
use lead::{Decision, Failure, LeadEvent, LeadStatus};
use pipeline::Pipeline;
use queue::{LeadHandler as _, Settlement};
use store::{AuditKind, MAX_ENRICH_TRIES, Suppressed};

use crate::support::{House, event, only};

/// Knows the built-in companies, unless it is away.
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

struct Enricher(Arc<Pipeline>);

#[async_trait]
impl EnrichAgain for Enricher {
    async fn enrich_again(&self, limit: u32) -> Result<Vec<LeadEvent>, Failure> {
        self.0.enrich_again(limit).await
    }
}

struct Site<'a> {
    house: &'a House,
    provider: Arc<Provider>,
    pipeline: Arc<Pipeline>,
    janitor: Janitor,
}

impl<'a> Site<'a> {
    fn of(house: &'a House) -> Self {
        let provider = Arc::new(Provider::default());
        let pipeline = house.pipeline(Arc::clone(&house.ai) as Arc<dyn Analyst>);
        let providers = vec![Arc::clone(&provider) as Arc<dyn EnrichmentProvider>];
        let clock = Arc::new(house.clock.clone());
        let enrichment = Waterfall::new(providers, Duration::from_secs(10), clock);
        let pipeline = Arc::new(Pipeline { enrichment, ..pipeline });
        let janitor = house.janitor().enriching(Arc::new(Enricher(Arc::clone(&pipeline))));
        Self { house, provider, pipeline, janitor }
    }

    fn is_away(&self, is_away: bool) {
        self.provider.is_away.store(is_away, Ordering::SeqCst);
    }

    /// How often the provider was asked since this was called last.
    fn asked(&self) -> usize {
        self.provider.asked.swap(0, Ordering::SeqCst)
    }

    async fn work(&self) {
        while let Some(message) = self.house.queue.receive(1).await.unwrap().pop() {
            self.pipeline.handle(&message).await.unwrap();
            self.house.queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
        }
    }

    /// A lead that is hot by its company and was judged without it.
    async fn unenriched(&self, person: &str) -> LeadEvent {
        self.is_away(true);
        let event = event(self.house, person);
        self.house.post(std::slice::from_ref(&event), &[]).await;
        self.work().await;
        assert_eq!(self.asked(), 1);
        assert_ne!(self.decision(&event).await, Some(Decision::RouteToSdr));
        event
    }

    async fn decision(&self, event: &LeadEvent) -> Option<Decision> {
        let lead = self.house.store.lead(&event.lead_id).await.unwrap().unwrap();
        assert_eq!(lead.status, LeadStatus::Synced);
        lead.decision
    }
}

async fn nobody_is_asked_about_people_on_the_list_again(house: House) {
    let site = Site::of(&house);
    let leads = [site.unenriched("ann").await, site.unenriched("bob").await];
    let ann = Suppressed::Address(leads[0].lead.email.clone());
    house.store.suppress(&ann, "asked for it", "bob").await.unwrap();
    site.is_away(false);
    house.advance(61);
    let round = site.janitor.round().await.unwrap();
    assert_eq!(round, only(|round| round.enriched_again = 1), "the other one is not held up");
    assert_eq!(site.asked(), 1);
}

async fn leads_are_enriched_and_judged_again_once_a_provider_answers(house: House) {
    let site = Site::of(&house);
    let leads = [site.unenriched("ann").await, site.unenriched("bob").await];
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()), "a minute has not passed");
    house.advance(60);
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()));
    assert_eq!(site.asked(), 1, "one lead finds out for all that it is still away");
    site.is_away(false);
    house.advance(1);
    assert_eq!(site.janitor.round().await.unwrap(), only(|round| round.enriched_again = 1), "the other one");
    house.advance(8 * 60);
    assert_eq!(site.janitor.round().await.unwrap(), only(|round| round.enriched_again = 1));
    site.work().await;
    for lead in &leads {
        assert_eq!(site.decision(lead).await, Some(Decision::RouteToSdr));
        let trail = house.store.audit(&lead.lead_id, 0, 100).await.unwrap();
        let reopened = trail.iter().find(|event| event.kind == AuditKind::Reopened).unwrap();
        assert_eq!(reopened.detail["reason"], "judged without enrichment");
    }
    site.asked();
    house.advance(24 * 3_600);
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()), "and that was that");
    assert_eq!(site.asked(), 0);
}

async fn a_provider_that_stays_away_is_asked_a_few_times_only(house: House) {
    let site = Site::of(&house);
    let lead = site.unenriched("ann").await;
    for _ in 0..3 * MAX_ENRICH_TRIES {
        house.advance(24 * 3_600);
        assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()));
    }
    assert_eq!(site.asked(), usize::try_from(MAX_ENRICH_TRIES).unwrap());
    assert_eq!(house.store.analyses(&lead.lead_id, 10).await.unwrap().len(), 1, "nothing was judged again");
}

async fn a_person_who_asks_for_another_judgement_has_enrichment_asked_again(house: House) {
    let site = Site::of(&house);
    let lead = site.unenriched("ann").await;
    // Still away: what is stored stays, and is asked for again the next time.
    for (is_away, decision) in [(true, false), (false, true)] {
        site.is_away(is_away);
        let event = house.store.reopen(&lead.lead_id, true, "replay").await.unwrap().unwrap();
        house.queue.send(&event).await.unwrap();
        site.work().await;
        assert_eq!(site.asked(), 1);
        assert_eq!(site.decision(&lead).await == Some(Decision::RouteToSdr), decision);
    }
    let event = house.store.reopen(&lead.lead_id, true, "replay").await.unwrap().unwrap();
    house.queue.send(&event).await.unwrap();
    site.work().await;
    assert_eq!(site.asked(), 0, "what it said is kept");
}

async fn a_lead_that_newer_content_has_overtaken_is_not_asked_about(house: House) {
    let site = Site::of(&house);
    let lead = site.unenriched("ann").await;
    site.is_away(false);
    let mut newer = lead.lead.clone();
    newer.title = Some("CEO".into());
    house.advance(1);
    house.post(&[LeadEvent::new(newer, house.in_seconds(0))], &[]).await;
    site.work().await;
    site.asked();
    house.advance(3_600);
    assert_eq!(site.janitor.round().await.unwrap(), only(|_| ()));
    assert_eq!(site.asked(), 0);
    assert!(house.store.next_unenriched().await.unwrap().is_none());
}

on_both!(
    nobody_is_asked_about_people_on_the_list_again,
    leads_are_enriched_and_judged_again_once_a_provider_answers,
    a_provider_that_stays_away_is_asked_a_few_times_only,
    a_person_who_asks_for_another_judgement_has_enrichment_asked_again,
    a_lead_that_newer_content_has_overtaken_is_not_asked_about,
);
