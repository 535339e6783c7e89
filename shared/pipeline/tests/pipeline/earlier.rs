//! The second lead of a person names the first.

use lead::{CampaignId, LeadEvent};
use queue::LeadHandler as _;

use crate::support::{World, at, hot, message};

fn in_campaign(campaign: &str, second: i64) -> LeadEvent {
    let mut lead = hot("ann", "CTO", second).lead;
    lead.campaign_id = CampaignId::parse(campaign).unwrap();
    LeadEvent::new(lead, at(second))
}

/// What the CRM has of a kind, in this field, the texts of all records.
async fn texts(world: &World, object: &str, field: &str) -> Vec<String> {
    let records = world.crm().await.into_iter().filter(|record| record.object == object);
    records.map(|record| record.fields[field].as_str().unwrap_or_default().to_owned()).collect()
}

async fn second_lead_of_a_person_names_the_first(world: World) {
    let pipeline = world.pipeline().await;
    let (first, second) = (in_campaign("g09-1", 0), in_campaign("g09-2", 10));
    world.clock.advance(std::time::Duration::from_secs(1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    pipeline.handle(&message(&second, 1)).await.unwrap();
    let record = world.lead(&first.lead_id).await.crm_record_id.unwrap();
    let named = format!("This person has an earlier lead: campaign g09-1, record {record}.");
    assert_eq!(world.crm_lead(&second.lead_id).await.fields["earlier"], named.as_str());
    assert!(world.crm_lead(&first.lead_id).await.fields.get("earlier").is_none());
    for (object, field) in [("task", "description"), ("activity", "body")] {
        let texts = texts(&world, object, field).await;
        let naming: Vec<_> = texts.iter().filter(|text| text.starts_with(&named)).collect();
        assert_eq!((texts.len(), naming.len()), (2, 1), "{object}: {texts:?}");
        assert!(naming[0].contains("Fit "), "the summary follows: {naming:?}");
    }
    // A revision of the first does not name the second as an earlier one.
    let mut revision = in_campaign("g09-1", 20).lead;
    revision.title = Some("CEO".to_owned());
    pipeline.handle(&message(&LeadEvent::new(revision, at(20)), 1)).await.unwrap();
    assert!(world.crm_lead(&first.lead_id).await.fields.get("earlier").is_none());
}

async fn first_lead_that_is_not_written_yet_is_named_all_the_same(world: World) {
    let pipeline = world.pipeline().await;
    let (first, second) = (in_campaign("g09-1", 0), in_campaign("g09-2", 10));
    world.store.accept(&first).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    pipeline.handle(&message(&second, 1)).await.unwrap();
    let id = &first.lead_id;
    let named =
        format!("This person has an earlier lead: campaign g09-1, RevenueFlow id {id}, not in the CRM yet.");
    assert_eq!(world.crm_lead(&second.lead_id).await.fields["earlier"], named.as_str());
}

on_both!(second_lead_of_a_person_names_the_first, first_lead_that_is_not_written_yet_is_named_all_the_same,);
