//! Nobody on the suppression list is written, however far their lead has come.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use crm::CrmMode;
use crm::testing::Fault;
use enrichment::{EnrichmentProvider, Firmographics, Fixtures, Waterfall};
use lead::{EmailAddress, Failure, FailureClass, LeadStatus};
use queue::LeadHandler as _;
use routing::Routing;
use store::{AuditKind, Store, Suppressed};

use crate::crm::pipeline;
use crate::support::{World, hot, message};

fn ann() -> Suppressed {
    Suppressed::Address(EmailAddress::parse("ann@stripe.com").unwrap())
}

async fn a_lead_that_was_judged_is_not_written_once_its_person_is_on_the_list(world: World) {
    let event = hot("ann", "CTO", 0);
    let pipeline = world.pipeline().await;
    world.crm_faults.extend([Fault::Fail(FailureClass::Transient)]);
    pipeline.handle(&message(&event, 1)).await.unwrap_err();
    world.store.suppress(&ann(), "asked for it", "bob").await.unwrap();
    pipeline.handle(&message(&event, 2)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    assert_eq!(world.kinds(&event.lead_id).await.last(), Some(&AuditKind::Suppressed));
    assert!(world.crm().await.is_empty());
}

async fn a_person_on_the_list_is_neither_enriched_nor_judged(world: World) {
    let event = hot("ann", "CTO", 0);
    let pipeline = world.pipeline().await;
    world.store.suppress(&ann(), "asked for it", "bob").await.unwrap();
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    let kinds = world.kinds(&event.lead_id).await;
    assert_eq!(kinds, [AuditKind::Accepted, AuditKind::Started, AuditKind::Suppressed]);
    assert!(world.store.analyses(&event.lead_id, 1).await.unwrap().is_empty());
}

async fn a_replay_asks_nothing_about_a_person_on_the_list(world: World) {
    let event = hot("ann", "CTO", 0);
    let pipeline = world.pipeline().await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    world.store.suppress(&ann(), "asked for it", "bob").await.unwrap();
    let replay = pipeline.replay(&event.lead_id).await.unwrap().unwrap();
    assert!(replay.now.is_none() && replay.reproducible);
    assert_eq!(replay.not_now.unwrap().code, "suppressed");
}

async fn a_planned_lead_is_not_written_by_a_promotion_either_and_a_domain_stands_for_all_of_it(world: World) {
    let event = hot("ann", "CTO", 0);
    let (pipeline, _) = pipeline(&world, CrmMode::Shadow, []).await;
    pipeline.handle(&message(&event, 1)).await.unwrap();
    world.store.suppress(&Suppressed::Domain("stripe.com".into()), "a partner", "bob").await.unwrap();
    assert!(pipeline.planned(&event.lead_id).await.unwrap().suppressed);
    world.clock.advance(Duration::from_secs(1));
    let promoted = world.store.promote(&event.lead_id).await.unwrap().unwrap();
    pipeline.handle(&message(&promoted, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    assert!(world.crm().await.is_empty());

    // Off the list, the next judgement is planned again.
    world.store.unsuppress("stripe.com", "over", "bob").await.unwrap();
    let again = world.store.reopen(&event.lead_id, true, "replay").await.unwrap().unwrap();
    pipeline.handle(&message(&again, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Planned);
}

/// Puts a person on the list while it is asked about their company.
struct Suppresses(Store);

#[async_trait]
impl EnrichmentProvider for Suppresses {
    fn name(&self) -> &'static str {
        "fixtures"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        self.0.suppress(&ann(), "asked for it", "bob").await?;
        Fixtures::built_in().company(domain).await
    }
}

async fn person_who_comes_onto_the_list_meanwhile_is_not_asked_about(world: World) {
    let event = hot("ann", "CTO", 0);
    let (mut pipeline, crm) = pipeline(&world, CrmMode::Live, []).await;
    let providers = vec![Arc::new(Suppresses(world.store.clone())) as Arc<dyn EnrichmentProvider>];
    pipeline.enrichment = Waterfall::new(providers, Duration::from_secs(60), Arc::new(world.clock.clone()));
    pipeline.handle(&message(&event, 1)).await.unwrap();
    assert_eq!(world.lead(&event.lead_id).await.status, LeadStatus::Suppressed);
    assert_eq!((world.analyst.asked(), crm.asked.lock().unwrap().len()), (0, 0));
    assert!(world.crm().await.is_empty());
}

async fn person_on_the_list_is_not_asked_about_when_overdue(world: World) {
    let event = hot("ann", "CTO", 0);
    let (mut pipeline, crm) = pipeline(&world, CrmMode::Live, []).await;
    let rules = "version = \"1\"\n[owners.ann]\nid = \"005ANN\"\n[fallback]\nowner = \"ann\"\nrespond_within = \"10m\"\n";
    pipeline.routing = Routing::parse(rules).unwrap();
    pipeline.handle(&message(&event, 1)).await.unwrap();
    crm.asked.lock().unwrap().clear();
    world.store.suppress(&ann(), "asked for it", "bob").await.unwrap();
    world.clock.advance(Duration::from_mins(10));
    assert_eq!(pipeline.chase(10).await.unwrap().overdue, 1, "an alert is ours alone");
    assert!(crm.asked.lock().unwrap().is_empty());
}

on_both!(
    person_who_comes_onto_the_list_meanwhile_is_not_asked_about,
    person_on_the_list_is_not_asked_about_when_overdue,
    a_person_on_the_list_is_neither_enriched_nor_judged,
    a_replay_asks_nothing_about_a_person_on_the_list,
    a_lead_that_was_judged_is_not_written_once_its_person_is_on_the_list,
    a_planned_lead_is_not_written_by_a_promotion_either_and_a_domain_stands_for_all_of_it,
);
