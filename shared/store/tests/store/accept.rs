//! Classification of deliveries.

use lead::LeadStatus;
use on_both::on_both;
use store::{Accept, AuditKind};

use crate::support::{Fixture, audit, event, kinds, lead, note, settled};

#[on_both]
async fn the_first_delivery_creates_the_lead(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    assert_eq!(store.accept(&event).await.unwrap(), Accept::New);
    let lead = lead(&store, &event.lead_id).await;
    assert_eq!((lead.status, lead.revision), (LeadStatus::Queued, 1));
    assert_eq!((lead.delivery_id, lead.content), (event.delivery_id(), event.lead.clone()));
    let audit = audit(&store, &event.lead_id).await;
    assert_eq!(audit.len(), 1);
    assert_eq!((audit[0].kind, &audit[0].delivery_id), (AuditKind::Accepted, &Some(event.delivery_id())));
}

#[on_both]
async fn newer_content_is_a_revision_and_queues_the_lead(fixture: Fixture) {
    let store = fixture.store().await;
    settled(&fixture, &store, &event("ann", "a", 0)).await;
    let newer = event("ann", "b", 1);
    assert_eq!(store.accept(&newer).await.unwrap(), Accept::Revision);
    let lead = lead(&store, &newer.lead_id).await;
    assert_eq!((lead.status, lead.revision), (LeadStatus::Queued, 2));
    assert_eq!((lead.delivery_id, lead.content), (newer.delivery_id(), newer.lead.clone()));
    assert_eq!(lead.crm_record_id.as_deref(), Some("00Q1"), "the CRM record is still known");
}

#[on_both]
async fn older_content_takes_a_revision_number_and_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let (older, newer) = (event("ann", "a", 0), event("ann", "b", 1));
    settled(&fixture, &store, &newer).await;
    assert_eq!(store.accept(&older).await.unwrap(), Accept::Superseded);
    let lead = lead(&store, &newer.lead_id).await;
    assert_eq!((lead.status, lead.revision), (LeadStatus::Synced, 2));
    assert_eq!((lead.delivery_id, lead.content), (newer.delivery_id(), newer.lead));
    let deliveries = store.deliveries(&older.lead_id, 10).await.unwrap();
    let states: Vec<_> = deliveries.iter().map(|d| (d.revision, d.state.as_str())).collect();
    assert_eq!(states, [(2, "superseded"), (1, "done")]);
    assert_eq!(kinds(&store, &older.lead_id).await.last(), Some(&AuditKind::Superseded));
}

#[on_both]
async fn duplicates_are_counted_and_the_first_ten_audited(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    store.accept(&event).await.unwrap();
    let before = lead(&store, &event.lead_id).await;
    fixture.advance(1);
    for _ in 0..13 {
        assert_eq!(store.accept(&event).await.unwrap(), Accept::Duplicate { open: true });
    }
    let after = lead(&store, &event.lead_id).await;
    assert_eq!((after.revision, after.updated_at), (1, before.updated_at));
    assert_eq!(store.deliveries(&event.lead_id, 10).await.unwrap()[0].duplicates, 13);
    let kinds = kinds(&store, &event.lead_id).await;
    assert_eq!(kinds.iter().filter(|kind| **kind == AuditKind::Duplicate).count(), 10);
}

#[on_both]
async fn a_duplicate_of_a_finished_delivery_is_not_open(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    settled(&fixture, &store, &event).await;
    assert_eq!(store.accept(&event).await.unwrap(), Accept::Duplicate { open: false });
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Synced);
}

#[on_both]
async fn the_same_person_in_another_campaign_is_another_lead(fixture: Fixture) {
    let store = fixture.store().await;
    let one = event("ann", "a", 0);
    let mut other = one.lead.clone();
    other.campaign_id = lead::CampaignId::parse("c2").unwrap();
    let other = lead::LeadEvent::new(other, one.received_at);
    assert_eq!(store.accept(&one).await.unwrap(), Accept::New);
    assert_eq!(store.accept(&other).await.unwrap(), Accept::New);
}

#[on_both]
async fn a_delivery_that_the_caller_rolls_back_leaves_no_trace(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    let mut transaction = store.database().begin().await.unwrap();
    store.accept_arrival(&mut transaction, &event).await.unwrap();
    drop(transaction);
    assert!(store.lead(&event.lead_id).await.unwrap().is_none());
    assert_eq!(store.accept(&event).await.unwrap(), Accept::New);
}

#[on_both]
async fn noting_a_queued_delivery_twice_is_no_duplicate(fixture: Fixture) {
    let store = fixture.store().await;
    let event = event("ann", "a", 0);
    note(&store, &event).await;
    note(&store, &event).await;
    assert_eq!(lead(&store, &event.lead_id).await.status, LeadStatus::Queued);
    assert_eq!(kinds(&store, &event.lead_id).await, [AuditKind::Accepted]);
    assert_eq!(store.deliveries(&event.lead_id, 10).await.unwrap()[0].duplicates, 0);
}
