//! Concurrent writes of two processes about the same lead.

use std::sync::Arc;

use lead::{Actor, Clock as _, Failure, LeadStatus};
use on_both::on_both;
use store::{Accept, AuditKind, Begun, Finish, NotSaved, Steps, Store};
use testkit::fixtures::judgement;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{
    Fixture, analyses, audit, begin, company, event, finish, judged, lead, save_enrichment, save_judgement,
    synced,
};

/// Runs futures that all start at the same moment.
struct Race {
    start: Arc<Barrier>,
    running: JoinSet<()>,
}

impl Race {
    fn of(futures: usize) -> Self {
        Self { start: Arc::new(Barrier::new(futures)), running: JoinSet::new() }
    }

    fn add(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let start = Arc::clone(&self.start);
        self.running.spawn(async move {
            start.wait().await;
            work.await;
        });
    }

    async fn run(mut self) {
        while let Some(ended) = self.running.join_next().await {
            ended.unwrap();
        }
    }
}

async fn two(fixture: &Fixture) -> [Store; 2] {
    [fixture.store().await, fixture.store().await]
}

#[on_both]
async fn concurrent_deliveries_are_numbered_without_gaps(fixture: Fixture) {
    let stores = two(&fixture).await;
    let events: Vec<_> = (0..15).map(|n| event("ann", &format!("title {n}"), n % 4)).collect();
    let newest = events.iter().max_by_key(|event| (event.received_at, event.delivery_id())).unwrap();
    let mut race = Race::of(2 * events.len());
    for event in &events {
        for store in &stores {
            let (store, event) = (store.clone(), event.clone());
            race.add(async move {
                store.accept(&event).await.unwrap();
            });
        }
    }
    race.run().await;

    let lead = lead(&stores[0], &newest.lead_id).await;
    assert_eq!((lead.revision, &lead.delivery_id), (15, &newest.delivery_id()));
    let deliveries = stores[0].deliveries(&lead.lead_id, 100).await.unwrap();
    let revisions: Vec<i64> = deliveries.iter().rev().map(|delivery| delivery.revision).collect();
    assert_eq!(revisions, (1..=15).collect::<Vec<i64>>());
    assert!(deliveries.iter().all(|delivery| delivery.duplicates == 1));
    assert_eq!(audit(&stores[0], &lead.lead_id).await.len(), 30);
}

#[on_both]
async fn a_lead_is_new_once(fixture: Fixture) {
    let stores = two(&fixture).await;
    for round in 0..10 {
        let event = event(&format!("ann{round}"), "a", 0);
        let (one, other) = tokio::join!(stores[0].accept(&event), stores[1].accept(&event));
        let mut accepted = [one.unwrap(), other.unwrap()];
        accepted.sort_by_key(|accepted| *accepted != Accept::New);
        assert_eq!(accepted, [Accept::New, Accept::Duplicate { open: true }]);
        assert_eq!(audit(&stores[0], &event.lead_id).await.len(), 2);
    }
}

#[on_both]
async fn concurrent_senders_and_workers_keep_a_lead_consistent(fixture: Fixture) {
    let stores = two(&fixture).await;
    let first = event("ann", "a", 0);
    stores[0].accept(&first).await.unwrap();
    let mut race = Race::of(26);
    for n in 0..6 {
        for store in &stores {
            let (worker, event) = (store.clone(), first.clone());
            let analysis = judged(&fixture, &begin(store, &first).await, "rules");
            race.add(async move {
                if let Begun::Work(mut work) = worker.begin_work(&event, n).await.unwrap() {
                    let company = company(&n.to_string());
                    let enriched = save_enrichment(&worker, company, serde_json::json!({}), &mut work).await;
                    let judged = save_judgement(&worker, analysis, &mut work).await;
                    for saved in [enriched, judged] {
                        assert!(matches!(saved, Ok(()) | Err(NotSaved::Raced)), "{saved:?}");
                    }
                    let Begun::Work(mut work) = worker.begin_work(&event, n).await.unwrap() else { return };
                    finish(&worker, synced(), &mut work).await.unwrap();
                }
            });
            let (sender, event) = (store.clone(), first.clone());
            race.add(async move {
                sender.accept(&event).await.unwrap();
            });
        }
    }
    let (failing, late) = (stores[0].clone(), first.clone());
    race.add(async move {
        let failure = Failure::transient("timeout", "no answer");
        failing.record_retry(&late, 1, &failure, std::time::Duration::ZERO, false).await.unwrap();
    });
    let (operator, lead_id) = (stores[1].clone(), first.lead_id.clone());
    race.add(async move {
        operator.reopen(&Actor::admin(), &lead_id, false, "test").await.unwrap();
    });
    race.run().await;

    let begun = stores[0].begin_work(&first, 1).await.unwrap();
    let lead = lead(&stores[0], &first.lead_id).await;
    let expected = if matches!(begun, Begun::Work(_)) { LeadStatus::Processing } else { LeadStatus::Synced };
    assert_eq!(lead.status, expected);
    assert_eq!(analyses(&stores[0], &lead.lead_id).await.len(), 1);
    audit(&stores[0], &lead.lead_id).await;
}

#[on_both]
async fn leads_that_share_transactions_keep_their_own_trails(fixture: Fixture) {
    let store = fixture.store().await;
    let steps = Steps::new(store.clone());
    let mut race = Race::of(100);
    let mut leads = Vec::new();
    for n in 0..100 {
        let event = event(&format!("person{n}"), "a", 0);
        store.accept(&event).await.unwrap();
        leads.push(event.lead_id.clone());
        let (steps, fixture_clock) = (steps.clone(), fixture.clock.clone());
        race.add(async move {
            let Begun::Work(mut work) = steps.begin(&event, 1).await.unwrap() else { panic!("it is new") };
            work.enriched(company(&n.to_string()), serde_json::json!({ "lead": n }));
            work.judged(judgement(&work, "rules", fixture_clock.now()), None);
            let ended = steps.end(&mut work, Finish::Held, serde_json::json!([]), None).await;
            assert!(!ended.unwrap(), "there is no message");
        });
    }
    race.run().await;
    for (n, id) in leads.iter().enumerate() {
        let trail = audit(&store, id).await;
        let kinds: Vec<_> = trail.iter().map(|event| event.kind).collect();
        let expected = [
            AuditKind::Accepted,
            AuditKind::Started,
            AuditKind::Enriched,
            AuditKind::Judged,
            AuditKind::Held,
        ];
        assert_eq!(kinds, expected);
        assert_eq!(trail[2].detail["lead"], n);
        assert_eq!(lead(&store, id).await.status, LeadStatus::Held);
    }
}
