//! The CRM is down for three hours while leads wait on SQS: the real processor and guard, on a model of the queue, in
//! simulated time.

#![allow(clippy::unwrap_used, reason = "this is a test")]
#![allow(clippy::print_stdout, reason = "figures, for who runs it with --nocapture")]

#[allow(dead_code, reason = "shared with other tests")]
mod world;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use crm::parameters::LogActivity;
use crm::testing::{MemoryHealth, MemoryLedger};
use crm::{
    About, Action, Effect, Executor, FieldChange, Guard, GuardSettings, Known, LimitSettings, Plan,
    PlannedAction, Restored, SchemaProblem, SlidingWindow, Text,
};
use enrich::{Limit, Processor, Times};
use jiff::Timestamp;
use lead::{CampaignId, Clock, ContentHash, DeliveryId, EmailAddress, Failure, FailureClass, LeadId};
use queue::{LeadHandler, Ledger as _, Message, Settlement};
use tokio::time::{Instant, sleep};

use world::{Behaviour, ModelClock, Settings, World};

const LEADS: u32 = 10_000;
const OUTAGE: Duration = Duration::from_hours(3);
/// What a function has for a batch, and for recording it.
const TIME: Duration = Duration::from_secs(55);
const MARGIN: Duration = Duration::from_secs(5);
/// Actions in all in a minute: the default.
const LIMIT: usize = 1_000;
/// Functions at work at the same time.
const CONCURRENCY: usize = 5;

/// A CRM that is down until a moment.
struct Crm {
    back_at: Instant,
    /// How long a write takes.
    takes: Duration,
    tries: Mutex<usize>,
    /// What was written, and when. What is written again is written twice.
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

/// Writes a lead to the CRM, and nothing else.
struct Writes {
    guard: Arc<Guard>,
    /// What became of messages, by the failure's code.
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
impl LeadHandler for Writes {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        assert_eq!((message.attempt, message.losses), (1, 0), "no attempt was burned");
        self.guard.submit(&plan(&message.id)).await.map(drop)
    }

    async fn interrupted(&self, message: &Message) -> Failure {
        self.guard.interrupted(&plan(&message.id).lead_id).await.expect("the CRM was being asked")
    }

    async fn record(&self, _: &Message, outcome: &Settlement) -> Result<(), Failure> {
        let Settlement::Defer { failure, .. } = outcome else { panic!("burned: {outcome:?}") };
        assert_eq!(failure.class, FailureClass::Deferral);
        *self.outcomes.lock().unwrap().entry(failure.code.to_string()).or_default() += 1;
        Ok(())
    }
}

/// A CRM with a limit, functions on the queue before it, and a janitor.
struct Deployment {
    world: World,
    crm: Arc<Crm>,
    guard: Arc<Guard>,
    writes: Arc<Writes>,
    /// One for each function at work at the same time.
    processors: Vec<Processor>,
    clock: Arc<dyn Clock>,
}

impl Deployment {
    /// With a CRM that is back at a time, a limit of so many leads a minute, and so many functions.
    fn new(world: World, back_at: Instant, limit: usize, functions: usize) -> Self {
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
            Arc::new(SlidingWindow::new(limits, Arc::clone(&clock))),
            Arc::clone(&clock),
            GuardSettings::default(),
        ));
        let writes = Arc::new(Writes { guard: Arc::clone(&guard), outcomes: Mutex::default() });
        let processor = |_| {
            let (fifo, ledger) = (Arc::new(world.clone()), Arc::new(world.ledger.clone()));
            Processor::new(Arc::clone(&writes) as _, fifo, ledger, Arc::clone(&clock), Limit::default())
        };
        let processors = (0..functions).map(processor).collect();
        Self { world, crm, guard, writes, processors, clock }
    }

    /// Has the functions work until so many leads are written, which is to be by `end`. How long from the first to the last.
    async fn write(&self, leads: usize, end: Instant) -> Duration {
        let ledger = &self.world.ledger;
        let (mut is_consuming, mut round_at) = (true, Instant::now());
        while self.crm.written.lock().unwrap().len() < leads {
            assert!(Instant::now() < end, "it flows: {} written", self.crm.written.lock().unwrap().len());
            if Instant::now() >= round_at {
                // The janitor's round: probe, resume, and switch the consumption as the pauses say.
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
                let Some(batch) = self.world.receive() else { break };
                batches.push(batch);
            }
            if batches.is_empty() {
                sleep(Duration::from_secs(1)).await;
            }
            let work = self.processors.iter().zip(batches).map(async |(processor, batch)| {
                let now = Instant::now();
                let times = Times { work_until: now + TIME, answer_by: now + TIME + MARGIN };
                let failed = processor.process(batch.clone(), times).await;
                self.world.delete_all_but(&batch, &failed.into_iter().collect());
            });
            futures::future::join_all(work).await;
        }
        let written = self.crm.written.lock().unwrap();
        written.last().unwrap().1 - written[0].1
    }

    /// Each lead was written once, no more in any minute than the limit allows, and nothing was given up.
    fn assert_each_once_within(&self, leads: usize, limit: usize) {
        assert_eq!(self.world.on_the_dead_letter_queue(), 0);
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
async fn ten_thousand_leads_wait_three_hours_lose_nothing_and_flow_at_the_rate_of_the_limit() {
    let world = World::new(1, Settings::default());
    for lead in 0..LEADS {
        world.send(lead, Behaviour::Works);
    }
    let (leads, back_at) = (LEADS as usize, Instant::now() + OUTAGE);
    let deployment = Deployment::new(world, back_at, LIMIT, CONCURRENCY);
    let took = deployment.write(leads, back_at + Duration::from_hours(2)).await;
    deployment.assert_each_once_within(leads, LIMIT);
    assert!(*deployment.crm.tries.lock().unwrap() - leads < 100, "the CRM was left alone");
    assert!(took < Duration::from_mins(20), "ten minutes are the least: {took:?}");
    let (world, outcomes) = (&deployment.world, deployment.writes.outcomes.lock().unwrap());
    println!("written in {took:?}, {} receives, {} copies, {outcomes:?}", world.receives(), world.copies());
}

/// How many leads wait at the limit: `BACKLOG_LEADS`, or as many as a test in passing can bear. They take as long however many.
fn backlog() -> u32 {
    std::env::var("BACKLOG_LEADS").map_or(5_000, |leads| leads.parse().expect("BACKLOG_LEADS is a number"))
}

/// A campaign against the limit of CRM actions, with nothing broken. That no message goes round the queue as often as Lambda's
/// loop detection allows, the model asserts.
#[tokio::test(start_paused = true)]
async fn a_backlog_of_hours_at_the_limit_loses_no_lead() {
    // As 50,000 leads of five actions each take at a thousand actions a minute.
    const MINUTES: u32 = 250;
    const FUNCTIONS: usize = 20;
    let world = World::new(3, Settings::default());
    for lead in 0..backlog() {
        world.send(lead, Behaviour::Works);
    }
    let (leads, now) = (backlog() as usize, Instant::now());
    let (least, limit) = (Duration::from_mins(MINUTES.into()), leads / MINUTES as usize);
    let deployment = Deployment::new(world, now, limit, FUNCTIONS);
    let took = deployment.write(leads, now + 2 * least).await;
    deployment.assert_each_once_within(leads, limit);
    let receives = deployment.world.receives();
    let outcomes = deployment.writes.outcomes.lock().unwrap();
    println!("written in {took:?}, {receives} receives, {} copies, {outcomes:?}", deployment.world.copies());
    assert!(took < least.mul_f64(1.1), "{took:?}");
    assert!(receives < 100 * leads as u64, "{receives} receives");
    // Each function finds out once in ten seconds, however many leads wait.
    let batches = FUNCTIONS * MINUTES as usize * 6;
    assert!(outcomes.values().sum::<usize>() < 10 * batches, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crm_too_slow_for_the_function_is_not_the_leads_failure() {
    let world = World::new(2, Settings::default());
    world.send(1, Behaviour::Works);
    let clock: Arc<dyn Clock> = Arc::new(ModelClock(Instant::now()));
    let takes = Duration::from_secs(58);
    let crm = Crm { back_at: Instant::now(), takes, tries: Mutex::default(), written: Mutex::default() };
    let guard = Arc::new(Guard::new(
        Arc::new(crm),
        Arc::new(MemoryLedger::default()),
        Arc::new(MemoryHealth::default()),
        Arc::new(SlidingWindow::new(LimitSettings::default(), Arc::clone(&clock))),
        Arc::clone(&clock),
        GuardSettings::default(),
    ));
    let writes = Arc::new(Writes { guard, outcomes: Mutex::default() });
    let ledger = Arc::new(world.ledger.clone());
    let processor = Processor::new(
        Arc::clone(&writes) as _,
        Arc::new(world.clone()),
        Arc::clone(&ledger) as _,
        clock,
        Limit::default(),
    );
    for _ in 0..12 {
        for pause in ledger.pauses().await.unwrap() {
            ledger.resume(&pause.dependency).await.unwrap();
        }
        sleep(Duration::from_mins(2)).await;
        let batch = world.receive().unwrap();
        let now = Instant::now();
        let times = Times { work_until: now + TIME, answer_by: now + TIME + MARGIN };
        let failed = processor.process(batch.clone(), times).await;
        world.delete_all_but(&batch, &failed.into_iter().collect());
    }
    assert_eq!(world.on_the_dead_letter_queue(), 0);
    let outcomes = writes.outcomes.lock().unwrap();
    assert!(outcomes["crm_outage"] >= 4, "{outcomes:?}");
}
