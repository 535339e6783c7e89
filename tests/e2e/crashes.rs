//! Processes are killed repeatedly while leads arrive. No lead is lost and no effect is duplicated.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crm::{MockCrm, MockRecord};
use database::Database;
use lead::{LeadId, LeadStatus, SystemClock};
use rand::RngExt as _;
use serde_json::json;
use store::{ActionRecord, LeadRecord, Store};
use testkit::{Redis, Server, eventually_within, stable_port};

use crate::support::{BINARY, Fixture};

/// One process with every role.
const ALONE: &[&[&str]] = &[&["serve"]];
const SHARED: &[&[&str]] =
    &[&["serve", "--api-only"], &["serve", "--worker-only"], &["serve", "--worker-only"]];

/// The minimum number of kills, also when all leads have arrived earlier.
const MIN_KILLS: u32 = 10;

/// The number of leads; `CRASH_LEADS` overrides it.
fn leads() -> usize {
    std::env::var("CRASH_LEADS").map_or(400, |leads| leads.parse().expect("CRASH_LEADS is a number"))
}

fn nothing_is_lost_or_duplicated(fixture: &Fixture, roles: &[&[&str]], mut redis: Option<Redis>) {
    // The port must survive restarts. The limits are lifted because the campaign exceeds the guard's limit
    // per minute.
    let port = stable_port().to_string();
    let redis_url = redis.as_ref().map(Redis::url).unwrap_or_default().to_owned();
    let variables = [
        ("REDIS_URL", redis_url.as_str()),
        ("CRM_LIMIT_GLOBAL", "1000000"),
        ("CRM_LIMIT_PER_ACCOUNT", "1000000"),
        ("VISIBILITY_TIMEOUT_SECONDS", "3"),
        ("RUST_LOG", "info"),
    ];
    let start = |role: usize| {
        // The first process accepts the leads.
        let port = ("PORT", if role == 0 { port.as_str() } else { "0" });
        fixture.serve(roles[role], &[&variables[..], &[port]].concat())
    };
    let mut servers: Vec<Server> = (0..roles.len()).map(start).collect();
    let ids = fixture.folder.path().join("ids");
    let mut campaign = Command::new(BINARY)
        .args(["simulate", &leads().to_string(), "--rate", "100", "--retry-for", "300"])
        .args(["--url", &format!("http://127.0.0.1:{port}"), "--ids"])
        .arg(&ids)
        .env_clear()
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut random, mut kills, mut start_time) = (rand::rng(), 0, Duration::ZERO);
    while campaign.try_wait().unwrap().is_none() || kills < MIN_KILLS {
        // A busy machine starts processes slowly, and their work is as slow.
        let life = Duration::from_millis(random.random_range(100..700));
        std::thread::sleep(life + start_time.mul_f64(random.random_range(0.0..3.0)));
        if let Some(redis) = redis.as_mut().filter(|_| kills % 3 == 0) {
            redis.kill(); // leads that arrive meanwhile are spooled
            std::thread::sleep(Duration::from_millis(300));
            redis.run().unwrap();
        }
        let role = random.random_range(0..roles.len());
        servers.remove(role).kill().unwrap();
        let began = Instant::now();
        servers.insert(role, start(role));
        start_time = began.elapsed();
        kills += 1;
    }
    assert!(campaign.wait().unwrap().success(), "every lead was acknowledged in the end");

    let posted: BTreeSet<String> =
        std::fs::read_to_string(&ids).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(posted.len(), leads());
    let store = |database| Store::new(database, Arc::new(SystemClock));
    let patience = Duration::from_mins(3) + Duration::from_millis(40) * u32::try_from(posted.len()).unwrap();
    let mut counts = Vec::new();
    let settled = [(LeadStatus::Synced, i64::try_from(posted.len()).unwrap())];
    eventually_within(patience, "every lead is settled", || {
        counts = fixture.query(async |database| store(database).count_leads().await.unwrap());
        counts.iter().filter(|(_, leads)| *leads > 0).copied().eq(settled)
    });
    drop(servers);
    eprintln!("{} leads, {kills} kills", posted.len());
    fixture.query(async |database| FinalState::read(database, &posted).await.check());
}

/// The leads in the database, and the records in the CRM, at the end.
struct FinalState {
    leads: Vec<(LeadRecord, Vec<ActionRecord>)>,
    crm: BTreeMap<(String, String), MockRecord>,
}

impl FinalState {
    async fn read(database: Database, posted: &BTreeSet<String>) -> Self {
        let crm = MockCrm::new(database.clone(), Arc::new(SystemClock)).records(u32::MAX).await.unwrap();
        let crm = crm.into_iter().map(|record| ((record.object.clone(), record.record_id.clone()), record));
        let store = Store::new(database, Arc::new(SystemClock));
        let mut leads = Vec::new();
        for id in posted {
            let id: LeadId = id.parse().unwrap();
            let lead = store.lead(&id).await.unwrap().expect("every acknowledged lead is stored");
            let trail = store.audit(&id, 0, 1000).await.unwrap();
            let seqs: Vec<i64> = trail.iter().map(|event| event.seq).collect();
            assert_eq!(seqs, (1..).take(seqs.len()).collect::<Vec<i64>>(), "the audit trail has no gap");
            leads.push((lead, store.actions(&id, 1000).await.unwrap()));
        }
        Self { leads, crm: crm.collect() }
    }

    /// Checks that the CRM agrees with the ledger, holds each effect once, and has the newest content of each
    /// lead.
    fn check(mut self) {
        assert!(self.leads.iter().any(|(lead, _)| lead.revision == 2), "the campaign had revisions");
        for (lead, actions) in std::mem::take(&mut self.leads) {
            let record = lead.crm_record_id.clone().unwrap();
            let record = self.crm.remove(&("lead".to_owned(), record)).expect("each lead has its own record");
            assert_eq!(record.external_id, lead.lead_id.as_str());
            for (field, newest) in [
                ("fit_score", json!(lead.fit_score)),
                ("decision", json!(lead.decision)),
                ("title", json!(lead.content.title)),
            ] {
                let written = record.fields.get(field).cloned().unwrap_or_default();
                assert_eq!(written, newest, "{field} of {}", lead.lead_id);
            }
            self.check_effects(&lead, &actions, record.writes);
        }
        assert_eq!(
            self.crm.keys().collect::<Vec<_>>(),
            Vec::<&(String, String)>::new(),
            "no record without a lead"
        );
    }

    fn check_effects(&mut self, lead: &LeadRecord, actions: &[ActionRecord], writes: i64) {
        let of_newest = |action: &&ActionRecord| action.delivery_id == lead.delivery_id;
        for action in actions.iter().filter(of_newest) {
            assert_eq!(action.state.as_str(), "done", "{action:?}");
        }
        let mut once = HashMap::new();
        let (mut done, mut open) = (0, 0);
        for action in actions {
            let object = match action.kind.as_str() {
                "create_task" => "task",
                "log_activity" => "activity",
                _ => "lead",
            };
            *once.entry((&action.delivery_id, &action.kind)).or_insert(0) += 1;
            // An effect of a superseded delivery may or may not have been written. The same holds for an
            // effect with several attempts: its record may have held the same values before, so that the last
            // attempt wrote nothing.
            (done, open) = match (object, action.state.as_str()) {
                ("lead", "done") if action.attempts == 1 => (done + 1, open),
                ("lead", _) => (done, open + 1),
                (_, "done") => {
                    let record = action.record_id.clone().unwrap();
                    let record = self.crm.remove(&(object.to_owned(), record)).expect("its own record");
                    assert_eq!(record.writes, 1, "{action:?}");
                    (done, open)
                }
                (_, _) => {
                    self.crm.retain(|_, record| record.external_id != action.action_id);
                    (done, open)
                }
            };
        }
        assert!(once.values().all(|times| *times == 1), "once for each delivery: {actions:?}");
        assert!((done..=done + open).contains(&writes), "{writes} writes for {actions:?}");
    }
}

#[test]
fn a_repeatedly_killed_process_loses_nothing_on_sqlite() {
    nothing_is_lost_or_duplicated(&Fixture::sqlite(), ALONE, None);
}

#[test]
fn repeatedly_killed_processes_lose_nothing_on_postgresql() {
    nothing_is_lost_or_duplicated(&Fixture::postgres(), SHARED, None);
}

#[test]
fn repeatedly_killed_processes_and_redis_lose_nothing() {
    nothing_is_lost_or_duplicated(&Fixture::postgres(), SHARED, Some(Redis::start().unwrap()));
}
