//! The counts of open leads used by routing, compared with the assignments.

use std::collections::BTreeMap;
use std::time::Duration;

use crm::testing::every_action;
use crm::{Effect, Outcome, Plan, PlannedAction, Restored};
use jiff::Timestamp;
use lead::Clock as _;
use on_both::on_both;
use routing::{LeadFacts, OwnerId, Routing};
use store::{Finish, OwnerCount, Store, Work};

use crate::support::{Fixture, assign, begin, begin_plan, event, finish, finish_actions, synced};

const TEAM: &str = r#"
version = "1"
[owners.ann]
id = "005ANN"
[owners.bob]
id = "005BOB"
[pools.team]
members = [{ owner = "ann" }, { owner = "bob" }]
[[rules]]
name = "all"
to = { pool = "team" }
"#;

async fn assigned(store: &Store, person: &str, facts: &LeadFacts) -> Work {
    let event = event(person, "a", 0);
    store.accept(&event).await.unwrap();
    let mut work = begin(store, &event).await;
    assign(store, &Routing::parse(TEAM).unwrap(), facts, &mut work).await;
    work
}

/// Recounts every owner last counted before a time.
async fn recount(store: &Store, before: Timestamp) -> Vec<OwnerCount> {
    let mut counts = Vec::new();
    while let Some(count) = store.recount_owner(before).await.unwrap() {
        counts.push(count);
    }
    counts.sort_by(|one, other| one.owner.cmp(&other.owner));
    counts
}

fn count(owner: &str, before: i64, open: i64) -> OwnerCount {
    OwnerCount { owner: OwnerId::parse(owner).unwrap(), before, open }
}

#[on_both]
async fn a_recount_corrects_only_wrong_counts(fixture: Fixture) {
    let store = fixture.store().await;
    for n in 0..6 {
        assigned(&store, &format!("p{n}"), &LeadFacts::default()).await;
    }
    sqlx::query("UPDATE owner_load SET open = 70 WHERE owner = '005ANN'")
        .execute(store.database().pool())
        .await
        .unwrap();
    let now = fixture.clock.now();
    assert_eq!(recount(&store, now).await, [count("005ANN", 70, 3), count("005BOB", 3, 3)]);
    assert_eq!(recount(&store, now).await, [], "each owner once");
    fixture.advance(3_600);
    let later = fixture.clock.now();
    assert_eq!(recount(&store, later).await, [count("005ANN", 3, 3), count("005BOB", 3, 3)]);
}

#[on_both]
async fn a_parked_lead_is_subtracted_from_its_owner_once(fixture: Fixture) {
    let store = fixture.store().await;
    assigned(&store, "other", &LeadFacts::default()).await; // ann's
    assigned(&store, "third", &LeadFacts::default()).await; // bob's
    let mut work = assigned(&store, "held", &LeadFacts::default()).await; // ann's
    finish(&store, Finish::Held, &mut work).await.unwrap();
    let revision = event("held", "b", 1);
    store.accept(&revision).await.unwrap();
    let mut work = begin(&store, &revision).await;
    let unavailable = BTreeMap::from([(OwnerId::parse("005ANN").unwrap(), "has left".to_owned())]);
    let facts = LeadFacts { unavailable, ..LeadFacts::default() };
    let given = assign(&store, &Routing::parse(TEAM).unwrap(), &facts, &mut work).await;
    assert_eq!(given.owner.unwrap().as_str(), "005BOB");
    let counts = recount(&store, fixture.clock.now()).await;
    assert_eq!(counts, [count("005ANN", 1, 1), count("005BOB", 2, 2)]);
}

#[on_both]
async fn a_lead_with_restored_values_is_not_open(fixture: Fixture) {
    let store = fixture.store().await;
    let mut work = assigned(&store, "p", &LeadFacts::default()).await;
    let actions = every_action(&work.lead_id, &work.delivery_id);
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    begin_plan(&store, "mock", &plan, crm::Authority::Normal).await;
    let done = |planned: &PlannedAction| (planned.action_id.clone(), Outcome::Done(Effect::new("1", true)));
    let outcomes: Vec<_> = plan.actions.iter().map(done).collect();
    finish_actions(&store, &outcomes).await;
    finish(&store, synced(), &mut work).await.unwrap();
    let written = store.written("mock", &work.lead_id).await.unwrap().swap_remove(0);
    store
        .record_restored(&lead::Actor::admin(), &work.lead_id, &written, &[Restored::PutBack])
        .await
        .unwrap();
    assert!(store.assignment(&work.lead_id).await.unwrap().unwrap().parked);
    assert_eq!(recount(&store, fixture.clock.now()).await, [count("005ANN", 0, 0)]);
}

#[on_both]
async fn recounts_stay_right_beside_assignments_and_responses(fixture: Fixture) {
    let store = fixture.store().await;
    let mut works = Vec::new();
    for n in 0..24 {
        let event = event(&format!("p{n}"), "a", 0);
        store.accept(&event).await.unwrap();
        works.push(begin(&store, &event).await);
    }
    let mut running = tokio::task::JoinSet::new();
    for (n, mut work) in works.into_iter().enumerate() {
        let store = fixture.store().await;
        let after = fixture.clock.now() + Duration::from_hours(1);
        running.spawn(async move {
            assign(&store, &Routing::parse(TEAM).unwrap(), &LeadFacts::default(), &mut work).await;
            store.recount_owner(after).await.unwrap();
            match n % 3 {
                0 => drop(
                    store.record_response(&lead::Actor::admin(), &work.lead_id, Some("ann")).await.unwrap(),
                ),
                1 => finish(&store, Finish::Held, &mut work).await.unwrap(),
                _ => finish(&store, synced(), &mut work).await.unwrap(),
            }
            store.recount_owner(after).await.unwrap();
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    fixture.advance(1);
    let counts = recount(&store, fixture.clock.now()).await;
    assert_eq!(counts.iter().map(|count| count.open).sum::<i64>(), 8);
    assert!(counts.iter().all(|count| count.before == count.open), "{counts:?}");
}
