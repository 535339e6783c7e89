//! Assignment of leads: once for each round, preserved through revisions, with pool turns and caps shared by
//! all processes.

use std::collections::BTreeMap;

use lead::{Actor, Decision, LeadEvent};
use on_both::on_both;
use routing::{LeadFacts, Routing};
use store::{AuditKind, Breach, CrmSync, Store, Work};

use crate::support::{Fixture, assign, audit, begin, event, finish, synced};

const TEAM: &str = r#"
version = "1"
[owners.ann]
id = "005ANN"
max_open = 2
[owners.bob]
id = "005BOB"
[pools.team]
members = [{ owner = "ann", weight = 2 }, { owner = "bob" }]
[[rules]]
name = "hot"
when = { decision = ["ROUTE_TO_SDR"] }
to = { pool = "team" }
respond_within = "10m"
on_breach = "reassign"
"#;

fn team() -> Routing {
    Routing::parse(TEAM).unwrap()
}

fn hot() -> LeadFacts {
    LeadFacts { decision: Some(Decision::RouteToSdr), ..LeadFacts::default() }
}

async fn accepted(store: &Store, event: &LeadEvent) -> Work {
    store.accept(event).await.unwrap();
    begin(store, event).await
}

async fn owner(store: &Store, work: &mut Work) -> String {
    let given = assign(store, &team(), &hot(), work).await;
    given.owner.unwrap().to_string()
}

#[on_both]
async fn a_round_is_routed_once_and_a_revision_keeps_the_owner(fixture: Fixture) {
    let (one, other) = (fixture.store().await, fixture.store().await);
    let mut work = accepted(&one, &event("ann", "a", 0)).await;
    let first = owner(&one, &mut work).await;
    assert_eq!(owner(&other, &mut work).await, first, "another process, the same round");
    let counts =
        audit(&one, &work.lead_id).await.iter().filter(|event| event.kind == AuditKind::Routed).count();
    assert_eq!(counts, 1);
    finish(&one, synced(), &mut work).await.unwrap();

    for (second, title) in [(1, "b"), (2, "c")] {
        let mut revision = accepted(&other, &event("ann", title, second)).await;
        assert_eq!(owner(&other, &mut revision).await, first);
        let kept = other.assignment(&revision.lead_id).await.unwrap().unwrap();
        assert_eq!(kept.routed.because, "the lead already has an owner, who keeps it");
        finish(&other, synced(), &mut revision).await.unwrap();
    }
}

#[on_both]
async fn turns_and_caps_hold_across_processes(fixture: Fixture) {
    let stores = [fixture.store().await, fixture.store().await, fixture.store().await];
    let mut works = Vec::new();
    for i in 0..12 {
        works.push(accepted(&stores[0], &event(&format!("p{i}"), "a", 0)).await);
    }
    // All at the same time, spread over three processes.
    let mut running = tokio::task::JoinSet::new();
    for (i, mut work) in works.into_iter().enumerate() {
        let store = stores[i % 3].clone();
        running.spawn(async move { owner(&store, &mut work).await });
    }
    let mut given: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(owner) = running.join_next().await {
        *given.entry(owner.unwrap()).or_default() += 1;
    }
    assert_eq!(
        given,
        BTreeMap::from([("005ANN".into(), 2), ("005BOB".into(), 10)]),
        "ann may have two open leads"
    );
    // A response takes the lead off its owner's open leads.
    let lead = event("p0", "a", 0).lead_id;
    let mut responded = 0;
    for i in 0..12 {
        let lead = event(&format!("p{i}"), "a", 0).lead_id;
        let kept = stores[0].assignment(&lead).await.unwrap().unwrap();
        if kept.owner.is_some_and(|owner| owner.as_str() == "005ANN") {
            assert_eq!(
                stores[0].record_response(&Actor::admin(), &lead, Some("ann")).await.unwrap(),
                Some(true)
            );
            assert_eq!(
                stores[1].record_response(&Actor::admin(), &lead, Some("ann")).await.unwrap(),
                Some(false),
                "only once"
            );
            responded += 1;
        }
    }
    assert_eq!(responded, 2);
    assert!(stores[0].assignment(&lead).await.unwrap().is_some());
    let mut next = accepted(&stores[2], &event("late", "a", 0)).await;
    assert_eq!(owner(&stores[2], &mut next).await, "005ANN");
}

#[on_both]
async fn an_overdue_lead_passes_through_the_pool_once_and_then_alerts(fixture: Fixture) {
    let store = fixture.store().await;
    let mut work = accepted(&store, &event("ann", "a", 0)).await;
    assert_eq!(owner(&store, &mut work).await, "005ANN");
    fixture.advance(600);
    assert!(store.overdue(10).await.unwrap().is_empty(), "the CRM does not have it yet");
    finish(&store, synced(), &mut work).await.unwrap();
    let lead = &work.lead_id;
    assert_eq!(store.overdue(10).await.unwrap().len(), 1);
    let breach = store.record_breach(lead, &team(), &BTreeMap::new()).await.unwrap();
    let Breach::Reassigned { from, to } = breach else { panic!("{breach:?}") };
    assert_eq!((from.unwrap().as_str(), to.as_str()), ("005ANN", "005BOB"));
    assert_eq!(
        store.record_breach(lead, &team(), &BTreeMap::new()).await.unwrap(),
        Breach::Nothing,
        "another janitor"
    );

    let unwritten = store.pending_crm_syncs(10).await.unwrap();
    assert_eq!(unwritten.len(), 1);
    store.record_crm_sync(&unwritten[0], None).await.unwrap();
    assert!(store.pending_crm_syncs(10).await.unwrap().is_empty());

    fixture.advance(600);
    let breach = store.record_breach(lead, &team(), &BTreeMap::new()).await.unwrap();
    assert!(matches!(breach, Breach::Alert { .. }), "all owners have had the lead: {breach:?}");
    fixture.advance(6_000);
    assert!(store.overdue(10).await.unwrap().is_empty(), "one alert is enough");
    let kinds: Vec<_> = audit(&store, lead).await.iter().map(|event| event.kind).collect();
    let routed = &kinds[2..];
    let expected = [
        AuditKind::Routed,
        AuditKind::Synced,
        AuditKind::Overdue,
        AuditKind::Reassigned,
        AuditKind::OwnerWritten,
        AuditKind::Overdue,
    ];
    assert_eq!(routed, expected);
}

#[on_both]
async fn held_leads_do_not_block_unwritten_assignments(fixture: Fixture) {
    let store = fixture.store().await;
    let mut synced_works = Vec::new();
    for person in ["a", "b", "c"] {
        let mut work = accepted(&store, &event(person, "a", 0)).await;
        owner(&store, &mut work).await;
        finish(&store, synced(), &mut work).await.unwrap();
        synced_works.push(work);
        fixture.advance(1);
    }
    fixture.advance(600);
    for work in &synced_works {
        let breach = store.record_breach(&work.lead_id, &team(), &BTreeMap::new()).await.unwrap();
        assert!(matches!(breach, Breach::Reassigned { .. }), "{breach:?}");
        fixture.advance(1);
    }
    // The first two have new content, which is held: their owners are not to be written for now.
    for person in ["a", "b"] {
        let mut work = accepted(&store, &event(person, "b", 1)).await;
        finish(&store, store::Finish::Held, &mut work).await.unwrap();
    }
    let unwritten = store.pending_crm_syncs(1).await.unwrap();
    assert_eq!(unwritten.len(), 1);
    assert_eq!(unwritten[0].lead_id, synced_works[2].lead_id);
}

#[on_both]
async fn an_owner_that_the_crm_refused_is_not_written_again(fixture: Fixture) {
    let store = fixture.store().await;
    let mut work = accepted(&store, &event("ann", "a", 0)).await;
    owner(&store, &mut work).await;
    finish(&store, synced(), &mut work).await.unwrap();
    fixture.advance(600);
    store.record_breach(&work.lead_id, &team(), &BTreeMap::new()).await.unwrap();
    let unwritten = store.pending_crm_syncs(10).await.unwrap();
    assert_eq!(unwritten[0].crm_sync, CrmSync::NotYet);
    let refused = lead::Failure::permanent("crm_refused", "the user is inactive");
    store.record_crm_sync(&unwritten[0], Some(&refused)).await.unwrap();
    assert!(store.pending_crm_syncs(10).await.unwrap().is_empty(), "not tried for ever");
    let kept = store.assignment(&work.lead_id).await.unwrap().unwrap();
    assert_eq!(kept.crm_sync, CrmSync::Refused);
}

const ONE: &str = r#"
version = "1"
[owners.ann]
id = "005ANN"
max_open = 1
[pools.team]
members = [{ owner = "ann" }]
[[rules]]
name = "everybody"
to = { pool = "team" }
respond_within = "10m"
on_breach = "reassign"
"#;

#[on_both]
async fn a_dead_lettered_lead_does_not_count_against_its_owner(fixture: Fixture) {
    let store = fixture.store().await;
    let rules = Routing::parse(ONE).unwrap();
    let owner = async |work: &mut Work| assign(&store, &rules, &hot(), work).await.owner;
    let refused = lead::Failure::permanent("crm_refused", "no such country");
    let first = event("ann", "a", 0);
    let mut work = accepted(&store, &first).await;
    assert!(owner(&mut work).await.is_some());
    assert_eq!(owner(&mut accepted(&store, &event("bob", "a", 0)).await).await, None, "the cap is reached");
    for attempt in 0..2 {
        store.record_dead_letter("m", Some(&first), "{}", 5, &refused).await.unwrap();
        let parked = store.assignment(&first.lead_id).await.unwrap().unwrap();
        assert_eq!((parked.parked, parked.due_at), (true, None), "no response is awaited");
        let mut next = accepted(&store, &event(&format!("cid{attempt}"), "a", 0)).await;
        assert!(owner(&mut next).await.is_some(), "the cap has room");
        store.record_response(&Actor::admin(), &next.lead_id, Some("ann")).await.unwrap();
        // After a redrive it counts as open again and has the full response time.
        store.reopen(&Actor::admin(), &first.lead_id, false, "redrive").await.unwrap();
        let mut again = begin(&store, &first).await;
        assert!(owner(&mut again).await.is_some());
        let kept = store.assignment(&first.lead_id).await.unwrap().unwrap();
        assert!(!kept.parked && kept.due_at.is_some());
        assert_eq!(owner(&mut accepted(&store, &event(&format!("dan{attempt}"), "a", 0)).await).await, None);
    }
}
