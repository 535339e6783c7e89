//! The second lead of a person refers to the first.

use lead::{CampaignId, LeadEvent};
use on_both::on_both;
use queue::LeadHandler as _;

use crate::support::{Fixture, at, hot, message};

fn in_campaign(campaign: &str, second: i64) -> LeadEvent {
    let mut lead = hot("ann", "CTO", second).lead;
    lead.campaign_id = CampaignId::parse(campaign).unwrap();
    LeadEvent::new(lead, at(second))
}

/// The texts of a field in all CRM records of a kind.
async fn texts(fixture: &Fixture, object: &str, field: &str) -> Vec<String> {
    let records = fixture.crm().await.into_iter().filter(|record| record.object == object);
    records.map(|record| record.fields[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[on_both]
async fn second_lead_of_a_person_refers_to_the_first(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (first, second) = (in_campaign("g09-1", 0), in_campaign("g09-2", 10));
    fixture.clock.advance(std::time::Duration::from_secs(1));
    pipeline.handle(&message(&first, 1)).await.unwrap();
    fixture.clock.advance(std::time::Duration::from_secs(1));
    pipeline.handle(&message(&second, 1)).await.unwrap();
    let record = fixture.lead(&first.lead_id).await.crm_record_id.unwrap();
    let named = format!("This person has an earlier lead: campaign g09-1, record {record}.");
    assert_eq!(fixture.crm_lead(&second.lead_id).await.fields["earlier"], named.as_str());
    assert!(fixture.crm_lead(&first.lead_id).await.fields.get("earlier").is_none());
    for (object, field) in [("task", "description"), ("activity", "body")] {
        let texts = texts(&fixture, object, field).await;
        let naming: Vec<_> = texts.iter().filter(|text| text.starts_with(&named)).collect();
        assert_eq!((texts.len(), naming.len()), (2, 1), "{object}: {texts:?}");
        assert!(naming[0].contains("Fit "), "the summary follows: {naming:?}");
    }
    // A revision of the first does not name the second as an earlier one.
    let mut revision = in_campaign("g09-1", 20).lead;
    revision.title = Some("CEO".to_owned());
    pipeline.handle(&message(&LeadEvent::new(revision, at(20)), 1)).await.unwrap();
    assert!(fixture.crm_lead(&first.lead_id).await.fields.get("earlier").is_none());
}

#[on_both]
async fn unwritten_first_lead_is_referred_to_by_its_id(fixture: Fixture) {
    let pipeline = fixture.pipeline().await;
    let (first, second) = (in_campaign("g09-1", 0), in_campaign("g09-2", 10));
    fixture.store.accept(&first).await.unwrap();
    fixture.clock.advance(std::time::Duration::from_secs(1));
    pipeline.handle(&message(&second, 1)).await.unwrap();
    let id = &first.lead_id;
    let named =
        format!("This person has an earlier lead: campaign g09-1, RevenueFlow id {id}, not in the CRM yet.");
    assert_eq!(fixture.crm_lead(&second.lead_id).await.fields["earlier"], named.as_str());
}
