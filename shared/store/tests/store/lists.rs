//! Lists of leads: filters, and pages while new leads arrive.

use std::collections::BTreeSet;

use grounding::Verdict;
use lead::{CampaignId, Decision, EmailAddress, Fit, FitScore, LeadEvent, LeadId, LeadStatus};
use on_both::on_both;
use store::{Cursor, LeadFilter, LeadRecord, Store};

use crate::support::{Fixture, at, begin, event, judged, save_judgement, settled};

async fn all(store: &Store, filter: &LeadFilter) -> BTreeSet<LeadId> {
    store.leads(filter, None, 1000).await.unwrap().into_iter().map(|lead| lead.lead_id).collect()
}

fn position(lead: &LeadRecord) -> Cursor {
    // Serialised and parsed, as by a client.
    Cursor::at(lead.created_at, lead.lead_id.as_str()).to_string().parse().unwrap()
}

#[on_both]
async fn pages_hold_every_lead_once_while_new_leads_arrive(fixture: Fixture) {
    let store = fixture.store().await;
    let mut there = Vec::new();
    for n in 0..23 {
        let event = event(&format!("person{n}"), "a", 0);
        store.accept(&event).await.unwrap();
        there.push(event.lead_id);
        if n % 5 == 0 {
            fixture.advance(1); // several leads share a time
        }
    }
    let (mut listed, mut cursor, mut page_number) = (Vec::new(), None, 0);
    loop {
        let page = store.leads(&LeadFilter::default(), cursor.as_ref(), 4).await.unwrap();
        assert!(
            page.windows(2)
                .all(|pair| (pair[0].created_at, &pair[0].lead_id) > (pair[1].created_at, &pair[1].lead_id))
        );
        let Some(last) = page.last() else { break };
        cursor = Some(position(last));
        listed.extend(page.into_iter().map(|lead| lead.lead_id));
        fixture.advance(1);
        store.accept(&event(&format!("newcomer{page_number}"), "a", 0)).await.unwrap();
        page_number += 1;
    }
    assert_eq!(listed.len(), there.len(), "no lead twice");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), there.into_iter().collect());
}

#[on_both]
async fn every_condition_of_a_filter_must_hold(fixture: Fixture) {
    let store = fixture.store().await;
    let (ann, bob) = (event("ann", "a", 0), event("bob", "a", 0));
    settled(&fixture, &store, &ann).await; // synced, MANUAL_REVIEW, MEDIUM
    let mut work = begin(&store, &bob).await;
    let mut judgement = judged(&fixture, &work, "rules");
    judgement.verdict = Verdict {
        fit_score: FitScore::clamped(90),
        fit: Fit::High,
        decision: Decision::RouteToSdr,
        ..judgement.verdict
    };
    save_judgement(&store, judgement, &mut work).await.unwrap();
    fixture.advance(10);
    let mut elsewhere = ann.lead.clone();
    elsewhere.campaign_id = CampaignId::parse("c2").unwrap();
    let elsewhere = LeadEvent::new(elsewhere, at(10));
    store.accept(&elsewhere).await.unwrap();

    let is =
        |events: &[&LeadEvent]| events.iter().map(|event| event.lead_id.clone()).collect::<BTreeSet<_>>();
    let filter = LeadFilter::default;
    let email = EmailAddress::parse("ann@example.com").unwrap();
    for (filter, expected) in [
        (filter(), is(&[&ann, &bob, &elsewhere])),
        (LeadFilter { status: Some(LeadStatus::Synced), ..filter() }, is(&[&ann])),
        (LeadFilter { status: Some(LeadStatus::Held), ..filter() }, is(&[])),
        (LeadFilter { decision: Some(Decision::RouteToSdr), ..filter() }, is(&[&bob])),
        (LeadFilter { fit: Some(Fit::Medium), ..filter() }, is(&[&ann])),
        (LeadFilter { campaign_id: Some("c2".into()), ..filter() }, is(&[&elsewhere])),
        (LeadFilter { campaign_id: Some("c%".into()), ..filter() }, is(&[])),
        (LeadFilter { email: Some(email.clone()), ..filter() }, is(&[&ann, &elsewhere])),
        (LeadFilter { since: Some(at(10)), ..filter() }, is(&[&elsewhere])),
        (LeadFilter { email: Some(email), campaign_id: Some("c1".into()), ..filter() }, is(&[&ann])),
        (LeadFilter { status: Some(LeadStatus::Synced), fit: Some(Fit::High), ..filter() }, is(&[])),
    ] {
        assert_eq!(all(&store, &filter).await, expected, "{filter:?}");
    }
    let counts = store.count_leads().await.unwrap();
    let expected = [(LeadStatus::Processing, 1), (LeadStatus::Queued, 1), (LeadStatus::Synced, 1)];
    assert_eq!(counts, expected);
}

#[on_both]
async fn list_with_few_matches_is_read_in_parts(fixture: Fixture) {
    let store = fixture.store().await;
    let old = event("ann", "a", 0);
    settled(&fixture, &store, &old).await; // synced, MANUAL_REVIEW, MEDIUM
    let newer = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000) \
         INSERT INTO lead (lead_id, email, campaign_id, content, status, revision, delivery_id, received_at, \
         decision, fit, created_at, updated_at) \
         SELECT 'x' || n, 'e', 'c', '{}', 'synced', 1, 'd', 0, 'MANUAL_REVIEW', 'LOW', n + 4000000000000, 0 FROM numbers";
    sqlx::raw_sql(newer).execute(store.database().pool()).await.unwrap();
    let filter = LeadFilter {
        decision: Some(Decision::ManualReview),
        fit: Some(Fit::Medium),
        ..LeadFilter::default()
    };
    assert!(store.leads(&filter, None, 4).await.unwrap().is_empty(), "the newest 2,000 do not match");
    let next = store.scanned_to(&filter, None).await.unwrap().expect("the list goes on");
    let found = store.leads(&filter, Some(&next), 4).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].lead_id, old.lead_id);
    assert_eq!(store.scanned_to(&filter, Some(&next)).await.unwrap(), None, "the list ended");
    let decided = LeadFilter { fit: None, ..filter };
    assert_eq!(store.scanned_to(&decided, None).await.unwrap(), None, "one condition reads no further lead");
}

#[on_both]
async fn pages_of_a_filtered_list_have_no_gap_or_overlap(fixture: Fixture) {
    let store = fixture.store().await;
    for n in 0..9 {
        let event = event(&format!("person{n}"), "a", 0);
        store.accept(&event).await.unwrap();
        if n % 3 == 0 {
            begin(&store, &event).await;
        }
    }
    let filter = LeadFilter { status: Some(LeadStatus::Queued), ..LeadFilter::default() };
    let first = store.leads(&filter, None, 4).await.unwrap();
    let second = store.leads(&filter, Some(&position(&first[3])), 4).await.unwrap();
    let mut listed: Vec<_> = first.into_iter().chain(second).map(|lead| lead.lead_id).collect();
    assert_eq!(listed.len(), 6);
    listed.dedup();
    assert_eq!(listed.len(), 6);
}

#[on_both]
async fn a_lead_is_found_by_a_prefix_of_its_id(fixture: Fixture) {
    let store = fixture.store().await;
    let mut ids = BTreeSet::new();
    for n in 0..40 {
        let event = event(&format!("person{n}"), "a", 0);
        store.accept(&event).await.unwrap();
        ids.insert(event.lead_id);
    }
    for id in &ids {
        let beginning = &id.as_str()[..2];
        let expected: Vec<_> = ids.iter().filter(|id| id.as_str().starts_with(beginning)).cloned().collect();
        assert_eq!(store.lead_ids_like(beginning, 100).await.unwrap(), expected);
        assert_eq!(
            store.lead_ids_like(&id.as_str().to_ascii_uppercase(), 100).await.unwrap(),
            std::slice::from_ref(id)
        );
    }
    assert_eq!(store.lead_ids_like("", 100).await.unwrap(), []);
    assert_eq!(store.lead_ids_like("%", 100).await.unwrap(), []);
    assert_eq!(store.lead_ids_like(ids.first().unwrap().as_str(), 0).await.unwrap(), []);
}

#[test]
fn malformed_cursors_are_refused() {
    let long_id = format!("1.{}", "A".repeat(344));
    for text in
        ["", "x", ".", "1", ".YWJj", "-1.YWJj", "1.!", "1.Y", "1.YWJj=", "123456789012345.YWJj", &long_id]
    {
        assert_eq!(text.parse::<Cursor>(), Err("is not a cursor that this API gave out"), "{text}");
    }
}

#[test]
fn every_well_formed_cursor_is_accepted() {
    for text in ["0.", "1767225600000.YWJj", "99999999999999.-_8", "1.AA", "1.AB"] {
        assert!(text.parse::<Cursor>().is_ok(), "{text}");
    }
    assert_eq!("1767225600000.YWJj".parse::<Cursor>().unwrap().to_string(), "1767225600000.YWJj");
}
