//! A CRM outage of three hours while leads wait on SQS: the real processor and guard, on a model of the
//! queue, in simulated time.

#![allow(clippy::unwrap_used, reason = "this is a test")]
#![allow(clippy::print_stdout, reason = "figures for a run with --nocapture")]

#[allow(dead_code, reason = "shared with other tests")]
mod simulation;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm::parameters::LogActivity;
use crm::testing::{MemoryHealth, MemoryLedger, MemoryLimits};
use crm::{
    About, Action, Effect, Executor, FieldChange, Guard, GuardSettings, Known, LimitSettings, Plan,
    PlannedAction, Restored, SchemaProblem, Text,
};
use jiff::Timestamp;
use lead::{CampaignId, Clock, ContentHash, DeliveryId, EmailAddress, Failure, FailureClass, LeadId};
use queue::{LeadHandler, Ledger as _, Limit, Message, Processor, Settlement, Times};
use tokio::time::{Instant, sleep};

use simulation::{Behaviour, ModelClock, Settings, Simulation};

const LEADS: u32 = 10_000;
const OUTAGE: Duration = Duration::from_hours(3);
/// A function's time limits for processing a batch and for recording it.
const TIME: Duration = Duration::from_secs(55);
const MARGIN: Duration = Duration::from_secs(5);
/// The default limit on all actions in a minute.
const LIMIT: usize = 1_000;
/// Functions that run concurrently.
const CONCURRENCY: usize = 5;

/// A CRM that is down until `back_at`.
struct Crm {
    back_at: Instant,
    /// The duration of a write.
    takes: Duration,
    tries: Mutex<usize>,
    /// Each write with its time. A repeated write appears twice.
    written: Mutex<Vec<(LeadId, Instant)>>,
}

impl Crm {
    fn answer(&self) -> Result<(), Failure> {
        if Instant::now() >= self.back_at {
            Ok(())
        } else {
            Err(Failure::transient("crm_unavailable", "503"))
        }
    }
}

#[async_trait]
impl Executor for Crm {
    fn provider(&self) -> &'static str {
        "model"
    }

    async fn execute(&self, lead: &LeadId, actions: &[PlannedAction]) -> Vec<Result<Effect, Failure>> {
        *self.tries.lock().unwrap() += 1;
        sleep(self.takes).await;
        if let Err(failure) = self.answer() {
            return vec![Err(failure)];
        }
        self.written.lock().unwrap().push((lead.clone(), Instant::now()));
        let effect = Effect::new(lead.to_string(), true);
        actions.iter().map(|_| Ok(effect.clone())).collect()
    }

    async fn find(&self, _: &LeadId, _: &PlannedAction) -> Result<Option<Effect>, Failure> {
        self.answer().map(|()| None)
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.answer()
    }

    async fn facts(&self, _: &About) -> Result<Known, Failure> {
        self.answer().map(|()| Known::default())
    }

    async fn preview(&self, _: &LeadId, _: &[PlannedAction]) -> Result<Vec<FieldChange>, Failure> {
        self.answer().map(|()| Vec::new())
    }

    async fn schema_problems(&self) -> Result<Vec<SchemaProblem>, Failure> {
        self.answer().map(|()| Vec::new())
    }

    async fn restore(&self, _: &[FieldChange]) -> Result<Vec<Restored>, Failure> {
        self.answer().map(|()| Vec::new())
    }
}

/// A handler that writes a lead to the CRM, and does nothing else.
struct CrmWriter {
    guard: Arc<Guard>,
    /// The number of failed messages by the failure's code.
    outcomes: Mutex<HashMap<String, usize>>,
}

fn plan(key: &str) -> Plan {
    let email = EmailAddress::parse(&format!("lead{key}@example.com")).unwrap();
    let lead_id = LeadId::derive(&email, &CampaignId::parse("outage").unwrap());
    let delivery = DeliveryId::derive(&lead_id, &ContentHash::of("{}"));
    let note = LogActivity { subject: Text::parse("Judged").unwrap(), body: None, at: Timestamp::UNIX_EPOCH };
    Plan::new(lead_id, delivery, 1, None, vec![Action::LogActivity(note)])
}

#[async_trait]
impl LeadHandler for CrmWriter {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        assert_eq!((message.attempt, message.losses), (1, 0), "no attempt was used");
        self.guard.submit_normal(&plan(&message.id)).await.map(drop)
    }

    async fn interrupted(&self, message: &Message) -> Failure {
        self.guard.interrupted(&plan(&message.id).lead_id).await.expect("a CRM call was in flight")
    }

    async fn record(&self, _: &Message, outcome: &Settlement) -> Result<(), Failure> {
        let Settlement::Defer { failure, .. } = outcome else { panic!("attempt used: {outcome:?}") };
        assert_eq!(failure.class(), FailureClass::Deferral);
        *self.outcomes.lock().unwrap().entry(failure.code.to_string()).or_default() += 1;
        Ok(())
    }
}

/// A CRM with a limit, the functions on its queue, and a janitor.
struct Deployment {
    simulation: Simulation,
    crm: Arc<Crm>,
    guard: Arc<Guard>,
    writer: Arc<CrmWriter>,
    /// One for each concurrent function.
    processors: Vec<Processor>,
    clock: Arc<dyn Clock>,
}

impl Deployment {
    /// A deployment with the time of the CRM's recovery, the limit in leads a minute, and the number of
    /// functions.
    fn new(simulation: Simulation, back_at: Instant, limit: usize, functions: usize) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ModelClock(Instant::now()));
        let crm = Arc::new(Crm {
            back_at,
            takes: Duration::from_millis(200),
            tries: Mutex::default(),
            written: Mutex::default(),
        });
        let limits = LimitSettings { global: u32::try_from(limit).unwrap(), ..LimitSettings::default() };
        let guard = Arc::new(Guard::new(
            Arc::clone(&crm) as _,
            Arc::new(MemoryLedger::default()),
            Arc::new(MemoryHealth::default()),
            Arc::new(MemoryLimits::new(limits, Arc::clone(&clock))),
            Arc::clone(&clock),
            GuardSettings::default(),
        ));
        let writer = Arc::new(CrmWriter { guard: Arc::clone(&guard), outcomes: Mutex::default() });
        let processor = |_| {
            let (fifo, ledger) = (Arc::new(simulation.clone()), Arc::new(simulation.ledger.clone()));
            Processor::new(Arc::clone(&writer) as _, fifo, ledger, Arc::clone(&clock), Limit::default())
        };
        let processors = (0..functions).map(processor).collect();
        Self { simulation, crm, guard, writer, processors, clock }
    }

    /// Runs the functions until `leads` are written, at the latest at `end`. Returns the time between the
    /// first and the last write.
    async fn write(&self, leads: usize, end: Instant) -> Duration {
        let ledger = &self.simulation.ledger;
        let (mut is_consuming, mut round_at) = (true, Instant::now());
        while self.crm.written.lock().unwrap().len() < leads {
            assert!(Instant::now() < end, "too slow: {} written", self.crm.written.lock().unwrap().len());
            if Instant::now() >= round_at {
                // The janitor's round: probe, resume, and switch consumption according to the pauses.
                round_at += Duration::from_mins(1);
                for pause in ledger.pauses().await.unwrap() {
                    if pause.until <= self.clock.now() && self.guard.probe().await.is_ok() {
                        ledger.resume(&pause.dependency).await.unwrap();
                    }
                }
                is_consuming = ledger.pauses().await.unwrap().is_empty();
            }
            let mut batches = Vec::new();
            while is_consuming && batches.len() < self.processors.len() {
                let Some(batch) = self.simulation.receive() else { break };
                batches.push(batch);
            }
            if batches.is_empty() {
                sleep(Duration::from_secs(1)).await;
            }
            let work = self.processors.iter().zip(batches).map(async |(processor, batch)| {
                let now = Instant::now();
                let times = Times { work_until: now + TIME, answer_by: now + TIME + MARGIN };
                let failed = processor.process(batch.clone(), times).await.unsettled;
                self.simulation.delete_all_but(&batch, &failed.into_iter().collect());
            });
            futures::future::join_all(work).await;
        }
        let written = self.crm.written.lock().unwrap();
        written.last().unwrap().1 - written[0].1
    }

    /// Each lead was written once, no minute exceeds the limit, and no lead was dead-lettered.
    fn assert_each_once_within(&self, leads: usize, limit: usize) {
        assert_eq!(self.simulation.on_the_dead_letter_queue(), 0);
        let written = self.crm.written.lock().unwrap();
        let different: HashSet<_> = written.iter().map(|(lead, _)| lead).collect();
        assert_eq!((written.len(), different.len()), (leads, leads), "each once");
        for (place, (_, from)) in written.iter().enumerate() {
            let minute = written[place..].iter().take_while(|(_, at)| *at < *from + Duration::from_mins(1));
            assert!(minute.count() <= limit);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn three_hour_outage_loses_no_lead_and_keeps_the_limit() {
    let simulation = Simulation::new(1, Settings::default());
    for lead in 0..LEADS {
        simulation.send(lead, Behaviour::Works);
    }
    let (leads, back_at) = (LEADS as usize, Instant::now() + OUTAGE);
    let deployment = Deployment::new(simulation, back_at, LIMIT, CONCURRENCY);
    let took = deployment.write(leads, back_at + Duration::from_hours(2)).await;
    deployment.assert_each_once_within(leads, LIMIT);
    assert!(*deployment.crm.tries.lock().unwrap() - leads < 100, "the breaker limits the tries");
    assert!(took < Duration::from_mins(20), "at least ten minutes: {took:?}");
    let (simulation, outcomes) = (&deployment.simulation, deployment.writer.outcomes.lock().unwrap());
    println!(
        "written in {took:?}, {} receives, {} copies, {outcomes:?}",
        simulation.receives(),
        simulation.copies()
    );
}

/// The number of leads that wait at the limit: `BACKLOG_LEADS`, or a default that keeps the test short. The
/// simulated duration does not depend on it.
fn backlog() -> u32 {
    std::env::var("BACKLOG_LEADS").map_or(5_000, |leads| leads.parse().expect("BACKLOG_LEADS is a number"))
}

/// A campaign at the limit of CRM actions, without faults. The model asserts that no message passes the queue
/// as often as Lambda's loop detection allows.
#[tokio::test(start_paused = true)]
async fn backlog_of_hours_at_the_limit_loses_no_lead() {
    // The time for 50,000 leads of five actions each at a thousand actions a minute.
    const MINUTES: u32 = 250;
    const FUNCTIONS: usize = 20;
    let simulation = Simulation::new(3, Settings::default());
    for lead in 0..backlog() {
        simulation.send(lead, Behaviour::Works);
    }
    let (leads, now) = (backlog() as usize, Instant::now());
    let (least, limit) = (Duration::from_mins(MINUTES.into()), leads / MINUTES as usize);
    let deployment = Deployment::new(simulation, now, limit, FUNCTIONS);
    let took = deployment.write(leads, now + 2 * least).await;
    deployment.assert_each_once_within(leads, limit);
    let receives = deployment.simulation.receives();
    let outcomes = deployment.writer.outcomes.lock().unwrap();
    println!(
        "written in {took:?}, {receives} receives, {} copies, {outcomes:?}",
        deployment.simulation.copies()
    );
    assert!(took < least.mul_f64(1.1), "{took:?}");
    assert!(receives < 100 * leads as u64, "{receives} receives");
    // Each function tries the limit once in ten seconds, regardless of the number of waiting leads.
    let batches = FUNCTIONS * MINUTES as usize * 6;
    assert!(outcomes.values().sum::<usize>() < 10 * batches, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn crm_slower_than_the_function_costs_no_attempt() {
    let simulation = Simulation::new(2, Settings::default());
    simulation.send(1, Behaviour::Works);
    let clock: Arc<dyn Clock> = Arc::new(ModelClock(Instant::now()));
    let takes = Duration::from_secs(58);
    let crm = Crm { back_at: Instant::now(), takes, tries: Mutex::default(), written: Mutex::default() };
    let guard = Arc::new(Guard::new(
        Arc::new(crm),
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryHealth::default()),
        Arc::new(MemoryLimits::unlimited()),
        Arc::clone(&clock),
        GuardSettings::default(),
    ));
    let writer = Arc::new(CrmWriter { guard, outcomes: Mutex::default() });
    let ledger = Arc::new(simulation.ledger.clone());
    let processor = Processor::new(
        Arc::clone(&writer) as _,
        Arc::new(simulation.clone()),
        Arc::clone(&ledger) as _,
        clock,
        Limit::default(),
    );
    for _ in 0..12 {
        for pause in ledger.pauses().await.unwrap() {
            ledger.resume(&pause.dependency).await.unwrap();
        }
        sleep(Duration::from_mins(2)).await;
        let batch = simulation.receive().unwrap();
        let now = Instant::now();
        let times = Times { work_until: now + TIME, answer_by: now + TIME + MARGIN };
        let failed = processor.process(batch.clone(), times).await.unsettled;
        simulation.delete_all_but(&batch, &failed.into_iter().collect());
    }
    assert_eq!(simulation.on_the_dead_letter_queue(), 0);
    let outcomes = writer.outcomes.lock().unwrap();
    assert!(outcomes["crm_outage"] >= 4, "{outcomes:?}");
}
