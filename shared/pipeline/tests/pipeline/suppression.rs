//! A lead of a person on the suppression list is never written, whatever its stage.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crm::CrmMode;
use crm::testing::Fault;
use enrichment::{EnrichmentProvider, Firmographics, Fixtures, Waterfall};
use lead::{Actor, EmailAddress, Failure, FailureClass, LeadStatus};
use on_both::on_both;
use queue::LeadHandler as _;
use routing::Routing;
use store::{AuditKind, Store, Suppressed};
use testkit::fixtures::analyses;

use crate::crm::{pipeline, with_lead};
use crate::support::{Fixture, hot, message};

fn ann() -> Suppressed {
    Suppressed::Address(EmailAddress::parse("ann@stripe.com").unwrap())
}

#[on_both]
async fn judged_lead_of_a_suppressed_person_is_not_written(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let pipeline = fixture.pipeline().await;
    fixture.crm_faults.extend([Fault::Fail(FailureClass::Transient)]);
    pipeline.handle(&message(&event, 1)).await.unwrap_err();
    fixture.store.suppress(&Actor::admin(), &ann(), "asked for it").await.unwrap();
    pipeline.handle(&message(&event, 2)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    assert_eq!(fixture.kinds(&event.lead_id).await.last(), Some(&AuditKind::Suppressed));
    assert!(fixture.crm().await.is_empty());
}

#[on_both]
async fn suppressed_person_is_neither_enriched_nor_judged(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let pipeline = fixture.pipeline().await;
    fixture.store.suppress(&Actor::admin(), &ann(), "asked for it").await.unwrap();
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    let kinds = fixture.kinds(&event.lead_id).await;
    assert_eq!(kinds, [AuditKind::Accepted, AuditKind::Started, AuditKind::Suppressed]);
    assert!(analyses(&fixture.store, &event.lead_id).await.is_empty());
}

#[on_both]
async fn replay_calls_no_analyst_for_a_suppressed_person(fixture: Fixture) {
    let (pipeline, event) = fixture.with_lead().await;
    fixture.store.suppress(&Actor::admin(), &ann(), "asked for it").await.unwrap();
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    assert!(replay.now.is_none() && replay.reproducible == Some(true));
    assert_eq!(replay.not_now.unwrap().code, "suppressed");
}

#[on_both]
async fn promoted_lead_of_a_suppressed_domain_is_not_written(fixture: Fixture) {
    let (pipeline, _, event) = with_lead(&fixture, CrmMode::Shadow).await;
    fixture
        .store
        .suppress(&Actor::admin(), &Suppressed::Domain("stripe.com".into()), "a partner")
        .await
        .unwrap();
    assert!(pipeline.planned(&event.lead_id).await.unwrap().suppressed);
    fixture.clock.advance(Duration::from_secs(1));
    fixture.promote(&pipeline, &event.lead_id).await;
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    assert!(fixture.crm().await.is_empty());

    // After the removal from the list, the next judgement is planned again.
    fixture.store.unsuppress(&Actor::admin(), "stripe.com", "over").await.unwrap();
    fixture.reopen(&pipeline, &event.lead_id, true, "replay").await;
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Planned);
}

/// A provider that suppresses the person during its call.
struct SuppressingProvider(Store);

#[async_trait]
impl EnrichmentProvider for SuppressingProvider {
    fn name(&self) -> &'static str {
        "fixtures"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        self.0.suppress(&Actor::admin(), &ann(), "asked for it").await?;
        Fixtures::built_in().company(domain).await
    }
}

#[on_both]
async fn person_suppressed_during_enrichment_is_not_judged(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let (mut pipeline, crm) = pipeline(&fixture, CrmMode::Live, []).await;
    let providers = vec![Arc::new(SuppressingProvider(fixture.store.clone())) as Arc<dyn EnrichmentProvider>];
    pipeline.enrichment = Waterfall::new(providers, Duration::from_secs(60), Arc::new(fixture.clock.clone()));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(fixture.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    assert_eq!((fixture.analyst.take_calls(), crm.queries.lock().unwrap().len()), (0, 0));
    assert!(fixture.crm().await.is_empty());
}

#[on_both]
async fn escalation_reads_no_crm_facts_of_a_suppressed_person(fixture: Fixture) {
    let event = hot("ann", "CTO", 0);
    let (mut pipeline, crm) = pipeline(&fixture, CrmMode::Live, []).await;
    let rules = "version = \"1\"\n[owners.ann]\nid = \"005ANN\"\n[fallback]\nowner = \"ann\"\nrespond_within = \"10m\"\n";
    pipeline.routing = Arc::new(Routing::parse(rules).unwrap());
    pipeline.handle(&message(&event, 1)).await.unwrap();
    crm.queries.lock().unwrap().clear();
    fixture.store.suppress(&Actor::admin(), &ann(), "asked for it").await.unwrap();
    fixture.clock.advance(Duration::from_mins(10));
    assert_eq!(pipeline.escalate_overdue(10).await.unwrap().overdue, 1, "an alert needs no CRM call");
    assert!(crm.queries.lock().unwrap().is_empty());
}
