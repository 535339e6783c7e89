//! Lists of leads that wait for a new judgement.

use enrichment::{Enrichment, EnrichmentStatus};
use lead::{Actor, LeadEvent, LeadStatus};
use on_both::on_both;
use serde_json::json;
use store::{Awaits, Finish, LeadFilter, MAX_ENRICH_TRIES, Store, Verdict};

use crate::support::{
    Fixture, begin, company, event, finish, judged, save_enrichment, save_judgement, settled,
};

/// Adds a lead that was judged without an AI and while enrichment was unavailable.
async fn unenriched(fixture: &Fixture, store: &Store, event: &LeadEvent, end: Finish) {
    store.accept(event).await.unwrap();
    let mut work = begin(store, event).await;
    let unavailable = Enrichment::nothing(EnrichmentStatus::Unavailable);
    save_enrichment(store, unavailable, json!({}), &mut work).await.unwrap();
    save_judgement(store, judged(fixture, &work, "rules"), &mut work).await.unwrap();
    finish(store, end, &mut work).await.unwrap();
}

async fn waiting(store: &Store, awaits: Awaits) -> Vec<String> {
    let filter = LeadFilter { awaits: Some(awaits), ..LeadFilter::default() };
    let leads = store.leads(&filter, None, 100).await.unwrap();
    let mut people: Vec<_> = leads.iter().map(|lead| lead.content.email.local_part().to_owned()).collect();
    people.sort();
    people
}

#[on_both]
async fn leads_that_wait_for_rescoring_are_listed(fixture: Fixture) {
    let store = fixture.store().await;
    let written = || Finish::Synced { provider: "mock", record_id: "1".into() };
    for person in ["reopened", "revised", "waits"] {
        unenriched(&fixture, &store, &event(person, "a", 0), written()).await;
    }
    unenriched(&fixture, &store, &event("dismissed", "a", 0), Finish::Held).await;
    settled(&fixture, &store, &event("enriched", "a", 0)).await;
    let all = ["dismissed", "reopened", "revised", "waits"];
    assert_eq!(waiting(&store, Awaits::Enrichment).await, all);
    assert_eq!(waiting(&store, Awaits::Ai).await.len(), 5);

    store.review(&Actor::admin(), &event("dismissed", "a", 0).lead_id, Verdict::Dismiss, None).await.unwrap();
    store.reopen(&Actor::admin(), &event("reopened", "a", 0).lead_id, true, "replay").await.unwrap();
    store.accept(&event("revised", "b", 1)).await.unwrap();
    assert_eq!(waiting(&store, Awaits::Enrichment).await, ["waits"]);
    let filter = LeadFilter {
        awaits: Some(Awaits::Enrichment),
        status: Some(LeadStatus::Held),
        ..LeadFilter::default()
    };
    assert!(store.leads(&filter, None, 10).await.unwrap().is_empty(), "every condition holds");
}

#[on_both]
async fn a_lead_without_further_requests_is_not_listed(fixture: Fixture) {
    let store = fixture.store().await;
    let lead = event("ann", "a", 0);
    unenriched(&fixture, &store, &lead, Finish::Held).await;
    for _ in 0..MAX_ENRICH_TRIES {
        assert_eq!(waiting(&store, Awaits::Enrichment).await, ["ann"]);
        fixture.advance(24 * 3_600);
        let found = store.next_unenriched().await.unwrap().unwrap();
        store.still_unenriched(&found).await.unwrap();
    }
    assert!(waiting(&store, Awaits::Enrichment).await.is_empty());

    let other = event("bob", "a", 0);
    unenriched(&fixture, &store, &other, Finish::Held).await;
    fixture.advance(24 * 3_600);
    let found = store.next_unenriched().await.unwrap().unwrap();
    assert!(store.reopen_enriched(&found, &company("a"), &json!({})).await.unwrap().is_some());
    assert!(waiting(&store, Awaits::Enrichment).await.is_empty(), "it is judged again");
}
