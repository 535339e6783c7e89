//! The statements of the hot paths: those that every lead runs, the most frequent client requests, and those
//! of `/metrics`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use breaker::{Day, Spending as _, Taken};
use crm::testing::every_action;
use crm::{Health as _, Ledger as _, LimitSettings, Outcome, Plan};
use database::testing::TestDatabase;
use enrichment::{Enrichment, EnrichmentStatus};
use jiff::Timestamp;
use lead::{Actor, Arrival, Clock as _, Dependency, Failure, LeadEvent, ManualClock};
use serde_json::json;
use store::{
    Awaits, Begun, Cursor, Finish, LEAD_ROWS, LeadFilter, Retention, SharedLimits, Steps, Store, Work,
};
use testkit::fixtures::{
    begin_plan, finish, finish_actions, judgement, new_lead, note, rejected_body, save_enrichment,
    save_judgement,
};
use tokio::sync::OnceCell;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Collects the statements that sqlx reports.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<BTreeSet<String>>>);

/// All data statements of the hot paths on each database, collected once per process. Only the beginning of
/// those over many rows differs.
pub(crate) struct Statements {
    pub(crate) sqlite: BTreeSet<String>,
    pub(crate) postgres: BTreeSet<String>,
}

pub(crate) async fn statements() -> &'static Statements {
    static STATEMENTS: OnceCell<Statements> = OnceCell::const_new();
    STATEMENTS.get_or_init(collect).await
}

/// The index that a list of leads must read: that of its first condition. Any other would search all leads if
/// few match. None for other statements, and for those that read few leads.
pub(crate) fn index_of_list(statement: &str) -> Option<&'static str> {
    let (_, first) =
        statement.split_once("FROM lead WHERE (created_at, lead_id) < ($1, $2) AND created_at >= $3 AND ")?;
    let indexes = [
        ("revision > 0", "lead_newest"),
        ("status = ", "lead_by_status"),
        ("campaign_id = ", "lead_by_campaign"),
        ("decision = ", "lead_by_decision"),
        ("fit = ", "lead_by_fit"),
        ("fallback = 1", "lead_awaiting_ai"),
        ("awaits_enrichment = 1", "lead_awaiting_enrichment"),
    ];
    indexes.iter().find(|(condition, _)| first.starts_with(condition)).map(|(_, index)| *index)
}

async fn collect() -> Statements {
    let collector = Collector::default();
    let subscriber = tracing_subscriber::registry().with(collector.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap(); // SQLite's statements run on threads of their own
    Statements {
        sqlite: collect_on(TestDatabase::sqlite().await, &collector).await,
        postgres: collect_on(TestDatabase::postgres().await, &collector).await,
    }
}

async fn collect_on(test: TestDatabase, collector: &Collector) -> BTreeSet<String> {
    let clock = ManualClock::default();
    let store = Store::new(test.connect().await, Arc::new(clock.clone()));
    collector.0.lock().unwrap().clear();
    every_hot_path(&store, &clock).await;
    every_arrival(&store, &clock).await;
    every_step_of_many(&store, &clock).await;
    every_removal(&store, &clock).await;
    let is_on_data = |statement: &String| {
        ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| statement.starts_with(verb))
    };
    let run = std::mem::take(&mut *collector.0.lock().unwrap());
    run.into_iter().filter(is_on_data).collect()
}

impl<S: tracing::Subscriber> Layer<S> for Collector {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Texts(Vec<String>);
        impl Visit for Texts {
            fn record_str(&mut self, field: &Field, value: &str) {
                if ["summary", "db.statement"].contains(&field.name()) && !value.trim().is_empty() {
                    self.0.push(value.trim().to_owned());
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
        }
        if event.metadata().target() == "sqlx::query" {
            let mut texts = Texts(Vec::new());
            event.record(&mut texts);
            // sqlx records the summary of a long statement before its full text.
            self.0.lock().unwrap().extend(texts.0.pop());
        }
    }
}

/// Runs every classification of a delivery.
async fn every_arrival(store: &Store, clock: &ManualClock) {
    let store = store.clone().with_retry_window(Duration::from_secs(60));
    let event = |title: &str, after: u64| {
        let mut lead = new_lead("bob@example.com", "c");
        lead.title = Some(title.to_owned());
        LeadEvent::new(lead, clock.now() + Duration::from_secs(after))
    };
    let signed = |title, id| event(title, 3).with_arrival(Arrival::webhook(id));
    for event in [signed("d", "1"), signed("d", "2"), signed("d", "2"), event("d", 4), event("a", 5)] {
        store.accept(&event).await.unwrap();
    }
    let mut transaction = store.database().begin().await.unwrap();
    store.accept_arrival(&mut transaction, &event("b", 2)).await.unwrap();
}

/// Runs the steps that leads share, with the limits.
async fn every_step_of_many(store: &Store, clock: &ManualClock) {
    let event = LeadEvent::new(new_lead("eve@example.com", "c"), clock.now());
    let mut transaction = store.database().begin().await.unwrap();
    store.accept_arrivals(&mut transaction, std::slice::from_ref(&event)).await.unwrap();
    transaction.commit().await.unwrap();
    let settings =
        LimitSettings { per_lead: 99, per_account: 99, global: 99, window: Duration::from_secs(60) };
    let limits = Arc::new(SharedLimits::new(store.clone(), settings));
    let steps = Steps::with(store.clone(), Some(limits), None);
    steps.suppressed(&event.lead.email).await.unwrap();
    steps.crm_hold("mock").await.unwrap();
    steps.load(&Dependency::new("crm.mock")).await.unwrap();
    let Begun::Work(mut work) = steps.begin(&event, 1).await.unwrap() else { panic!("nothing to do") };
    work.enriched(Enrichment::nothing(EnrichmentStatus::NotFound), json!({}));
    work.judged(judgement(&work, "rules", clock.now()), None);
    let actions = every_action(&work.lead_id, &work.delivery_id);
    let account = Some("a".to_owned());
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, account, actions);
    let ledger = steps.ledger(&mut work);
    ledger.limits().unwrap().reserve(&plan.lead_id, Some("a"), 1).await.unwrap();
    ledger.begin("mock", &plan, None, crm::Authority::Normal).await.unwrap();
    let finish = Finish::Synced { provider: "mock", record_id: "1".into() };
    steps.end(&mut work, finish, json!([]), None).await.unwrap();
}

/// Runs all steps of a lead, and then the most frequent client requests.
async fn every_hot_path(store: &Store, clock: &ManualClock) {
    let now = clock.now();
    let event = |title: &str, after: u64| {
        let mut lead = new_lead("ann@example.com", "c");
        lead.title = Some(title.to_owned());
        LeadEvent::new(lead, now + Duration::from_secs(after))
    };
    let (older, newer, oldest) = (event("a", 1), event("b", 2), event("c", 0));
    note(store, &older).await;
    for event in [&older, &newer, &oldest, &newer] {
        store.accept(event).await.unwrap();
        store.begin_work(event, 1).await.unwrap();
    }
    let Begun::Work(mut work) = store.begin_work(&newer, 1).await.unwrap() else { panic!("nothing to do") };
    let enrichment = Enrichment::nothing(EnrichmentStatus::NotFound);
    save_enrichment(store, enrichment, json!({}), &mut work).await.unwrap();
    let analysis = judgement(&work, "rules", now);
    save_judgement(store, analysis, &mut work).await.unwrap();
    let actions = every_action(&work.lead_id, &work.delivery_id);
    let plan = Plan::new(work.lead_id.clone(), work.delivery_id.clone(), 1, None, actions);
    begin_plan(store, "mock", &plan, crm::Authority::Normal).await;
    let outcomes: Vec<_> =
        plan.actions.iter().map(|planned| (planned.action_id.clone(), Outcome::Skipped)).collect();
    finish_actions(store, &outcomes).await;
    store.last_written("mock", &plan).await.unwrap();
    let crm = Dependency::new("crm.mock");
    store.update(&crm, &mut |record| record.failures += 1).await.unwrap();
    store.load(&crm).await.unwrap();
    assert_eq!(store.hold(&crm, Day(1), 1, 2).await.unwrap(), Taken::Held);
    store.settle(&crm, Day(1), 1, 1).await.unwrap();
    let failure = Failure::transient("timeout", "no answer");
    store.record_retry(&newer, 1, &failure, Duration::ZERO, false).await.unwrap();
    store.record_dead_letter("m1", Some(&newer), "{}", 1, &failure).await.unwrap();
    store.reopen(&Actor::admin(), &work.lead_id, false, "redrive").await.unwrap();
    finish(store, Finish::Synced { provider: "mock", record_id: "1".into() }, &mut work).await.unwrap();

    every_query(store, &work, &newer, now).await;
    every_unprocessed_body(store, now).await;
}

/// Runs the queries of clients, of the janitor and of `/metrics`.
async fn every_query(store: &Store, work: &Work, newer: &LeadEvent, now: Timestamp) {
    let (lead, cursor) = (&work.lead_id, Cursor::at(now, "x"));
    store.lead(lead).await.unwrap();
    store.lead_ids_like(&lead.as_str()[..8], 10).await.unwrap();
    store.audit(lead, 0, 10).await.unwrap();
    store.analysis_in_force(lead).await.unwrap();
    store.enrichment_of(&work.delivery_id).await.unwrap();
    store.deliveries(lead, 10).await.unwrap();
    store.actions(lead, 10).await.unwrap();
    for filter in [
        LeadFilter::default(),
        LeadFilter { status: Some(lead::LeadStatus::Held), ..LeadFilter::default() },
        LeadFilter { email: Some(newer.lead.email.clone()), ..LeadFilter::default() },
        LeadFilter { campaign_id: Some("c".to_owned()), ..LeadFilter::default() },
        LeadFilter { decision: Some(lead::Decision::ALL[0]), ..LeadFilter::default() },
        LeadFilter { fit: Some(lead::Fit::ALL[0]), ..LeadFilter::default() },
        LeadFilter { awaits: Some(Awaits::Ai), ..LeadFilter::default() },
        LeadFilter { awaits: Some(Awaits::Enrichment), ..LeadFilter::default() },
        LeadFilter {
            status: Some(lead::LeadStatus::Synced),
            campaign_id: Some("c".to_owned()),
            ..LeadFilter::default()
        },
        LeadFilter {
            status: Some(lead::LeadStatus::Held),
            decision: Some(lead::Decision::ALL[0]),
            fit: Some(lead::Fit::ALL[0]),
            ..LeadFilter::default()
        },
    ] {
        store.leads(&filter, None, 10).await.unwrap();
        store.leads(&filter, Some(&cursor), 10).await.unwrap();
        store.scanned_to(&filter, None).await.unwrap();
    }
    store.leads_to_rescore(now, Duration::from_secs(60), 10).await.unwrap();
    store.open_deliveries(None, now, 10).await.unwrap();
    store.count_leads().await.unwrap();
    store.count_dead_letters().await.unwrap();
    store.overdue(10).await.unwrap();
    store.pending_crm_syncs(10).await.unwrap();
    store.next_unenriched().await.unwrap();
    store.recount_owner(now).await.unwrap();
    let long = Some(Duration::from_secs(1));
    let retention = Retention { leads: long, held: long, content: long, dead_letters: long };
    store.retain_leads(&lead::Actor::janitor(), &retention, &LEAD_ROWS, Some(&cursor), true).await.unwrap();
    store.remove_expired_tombstones().await.unwrap();
    store.expired_dead_letters(now, 10).await.unwrap();
}

/// Runs the statements that remove expired leads and contents.
async fn every_removal(store: &Store, clock: &ManualClock) {
    let event = |title: &str, after: u64| {
        let mut lead = new_lead("zoe@example.com", "c");
        lead.title = Some(title.to_owned());
        LeadEvent::new(lead, clock.now() + Duration::from_secs(after))
    };
    for event in [event("a", 0), event("b", 1)] {
        store.accept(&event).await.unwrap();
        let Begun::Work(mut work) = store.begin_work(&event, 1).await.unwrap() else { panic!("no work") };
        save_judgement(store, judgement(&work, "rules", clock.now()), &mut work).await.unwrap();
        finish(store, Finish::Synced { provider: "mock", record_id: "1".into() }, &mut work).await.unwrap();
    }
    clock.advance(Duration::from_secs(60));
    let short = Some(Duration::from_secs(1));
    for retention in [
        Retention { content: short, ..Retention::default() },
        Retention { leads: short, ..Retention::default() },
    ] {
        let batch =
            store.retain_leads(&lead::Actor::janitor(), &retention, &LEAD_ROWS, None, true).await.unwrap();
        assert!(!batch.expired.is_empty());
    }
}

/// Runs the statements on dead letters and on quarantined bodies.
async fn every_unprocessed_body(store: &Store, now: Timestamp) {
    let cursor = Cursor::at(now, "x");
    store.dead_letters(Some(&cursor), 10).await.unwrap();
    store.dead_letter("m1").await.unwrap();
    store.remove_dead_letter("m1").await.unwrap();
    store.quarantine(&rejected_body("aaaaaaaa", b"x", now)).await.unwrap();
    store.quarantined(Some(&cursor), 10).await.unwrap();
    store.quarantined_body("aaaaaaaa").await.unwrap();
}
