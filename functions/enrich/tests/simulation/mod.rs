//! A model of the processor's environment.

mod fifo;
mod handler;
mod ledger;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use lead::Clock;
use queue::{Ledger as _, Limit, MAX_ATTEMPTS, MAX_LOSSES, MemoryLedger, Processor, Received, Times};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Notify;
use tokio::time::Instant;

pub(crate) use fifo::{Queue, Stored};

/// The queue's visibility timeout as deployed: six times the function's timeout.
const VISIBILITY: Duration = Duration::from_secs(360);
/// A function's time limits for the work on a batch, and for the answer.
const WORK: Duration = Duration::from_secs(50);
const TIME: Duration = Duration::from_secs(58);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Works,
    FailsFirst(u32),
    /// Four times at the analysis, and then four times at the write.
    FailsAtTwoStages,
    FailsAlways,
    PanicsAlways,
    IsRefused,
    IsDeferred(u32),
    TakesTooLongFirst,
    KillsTheProcess,
}

impl Behaviour {
    fn is_faulty(self) -> bool {
        matches!(self, Self::FailsAlways | Self::PanicsAlways | Self::IsRefused | Self::KillsTheProcess)
    }
}

/// The probability of each fault, for each batch or call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) lost_answers: f64,
    pub(crate) failing_sends: f64,
    /// Two processes receive the same batch.
    pub(crate) twice: f64,
    pub(crate) ledger_outages: f64,
    /// During an outage the ledger also hangs.
    pub(crate) hangs: bool,
}

impl Settings {
    /// Whether every answer, send and count succeeds. Then no message can be received before its wait is
    /// over.
    fn are_without_faults(self) -> bool {
        self.lost_answers + self.failing_sends + self.twice + self.ledger_outages == 0.0
    }
}

/// Clones share one simulation.
#[derive(Clone)]
pub(crate) struct Simulation {
    state: Arc<Mutex<State>>,
    /// The start of the [`ModelClock`].
    began: Instant,
    seed: u64,
    settings: Settings,
    pub(crate) ledger: MemoryLedger,
    died: Arc<Notify>,
}

/// A lead event, identified by its index in `State::sent`.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent event")]
pub(crate) struct Sent {
    group: u32,
    at: Instant,
    behaviour: Behaviour,
    /// The start of each attempt.
    tries: Vec<Instant>,
    /// The end of the wait after the last attempt.
    waits_until: Option<Instant>,
    is_done: bool,
    is_dead: bool,
    was_copied: bool,
    /// On the dead letter queue, whether or not the dead letter function has seen it.
    was_dead_lettered: bool,
}

pub(crate) struct State {
    random: StdRng,
    sent: Vec<Sent>,
    queue: Queue,
    dlq: Vec<Stored>,
    receives: u64,
    copies: usize,
    crashes: usize,
    dead_lettered: usize,
    /// The number of ledger calls without an answer.
    hangs: usize,
    /// The newest content with a visible effect in each group.
    shown: HashMap<u32, usize>,
    is_ledger_out: bool,
    faults: bool,
}

/// Uses Tokio's paused time as the time of day.
pub(crate) struct ModelClock(pub(crate) Instant);

impl Clock for ModelClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.0.elapsed()
    }
}

impl Simulation {
    pub(crate) fn new(seed: u64, settings: Settings) -> Self {
        let state = State {
            random: StdRng::seed_from_u64(seed),
            sent: Vec::new(),
            queue: Queue::default(),
            dlq: Vec::new(),
            receives: 0,
            copies: 0,
            crashes: 0,
            dead_lettered: 0,
            hangs: 0,
            shown: HashMap::new(),
            is_ledger_out: false,
            faults: true,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            began: Instant::now(),
            seed,
            settings,
            ledger: MemoryLedger::new(Arc::new(ModelClock(Instant::now()))),
            died: Arc::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn send(&self, group: u32, behaviour: Behaviour) -> usize {
        let mut state = self.state();
        let key = state.sent.len();
        state.sent.push(Sent {
            group,
            at: Instant::now(),
            behaviour,
            tries: Vec::new(),
            waits_until: None,
            is_done: false,
            is_dead: false,
            was_copied: false,
            was_dead_lettered: false,
        });
        state.queue.push(Stored::new(key, group, Instant::now()));
        key
    }

    /// Runs until the queue is empty, and returns the number of batches.
    pub(crate) async fn run(&self) -> usize {
        let clock = Arc::new(ModelClock(Instant::now()));
        let ledger = Arc::new(ledger::FlakyLedger(self.clone()));
        let processor = Processor::new(
            Arc::new(self.clone()),
            Arc::new(self.clone()),
            ledger,
            Arc::clone(&clock) as _,
            Limit::default(),
        );
        let mut batches = 0;
        loop {
            self.run_other_functions(clock.as_ref()).await;
            let Some(batch) = self.receive() else {
                let next = self.state().queue.next_at();
                match next {
                    Some(at) => {
                        tokio::time::sleep_until(at.max(Instant::now() + Duration::from_millis(500))).await;
                    }
                    None if self.state().dlq.is_empty() => return batches,
                    None => {}
                }
                continue;
            };
            batches += 1;
            // Faults end eventually, so that the run does.
            self.state().faults = batches < 300;
            assert!(batches < 3_000, "the queue does not get empty");
            let (lost, twice) = {
                let mut state = self.state();
                let settings = if state.faults { self.settings } else { Settings::default() };
                let mut happens = |p: f64| state.random.random_bool(p);
                let drawn = (happens(settings.lost_answers), happens(settings.twice));
                let is_out = happens(settings.ledger_outages);
                state.is_ledger_out = is_out;
                drawn
            };
            let other = async {
                if twice {
                    self.invoke(&processor, batch.clone()).await;
                }
            };
            let (answer, ()) = futures::future::join(self.invoke(&processor, batch.clone()), other).await;
            self.state().is_ledger_out = false;
            if let Some(failed) = answer.filter(|_| !lost) {
                self.delete_all_but(&batch, &failed);
            }
        }
    }

    /// Returns none if the process dies.
    async fn invoke(&self, processor: &Processor, batch: Vec<Received>) -> Option<HashSet<String>> {
        let began = Instant::now();
        let ids: HashSet<_> = batch.iter().map(|m| m.message_id.clone()).collect();
        let times = Times { work_until: began + WORK, answer_by: began + TIME };
        tokio::select! {
            processed = processor.process(batch, times) => {
                assert!(began.elapsed() <= TIME, "the processor answers in time");
                let failed: HashSet<_> = processed.unsettled.into_iter().collect();
                assert!(failed.is_subset(&ids));
                Some(failed)
            }
            () = self.died.notified() => {
                self.state().crashes += 1;
                None
            }
        }
    }

    /// Ends due pauses like the janitor, and takes dead letters like the dead letter function.
    async fn run_other_functions(&self, clock: &ModelClock) {
        for pause in self.ledger.pauses().await.unwrap() {
            if pause.until <= clock.now() {
                self.ledger.resume(&pause.dependency).await.unwrap();
            }
        }
        let dead: Vec<_> = std::mem::take(&mut self.state().dlq);
        for message in dead {
            self.ledger.forget(&message.key.to_string()).await.unwrap();
            let mut state = self.state();
            let sent = &mut state.sent[message.key];
            assert!(
                sent.behaviour.is_faulty(),
                "a healthy lead was dead-lettered: {:?}, {:?}, seed {}, {:?}",
                sent.behaviour,
                message.reason,
                self.seed,
                self.settings
            );
            if !sent.is_dead {
                sent.is_dead = true;
                state.dead_lettered += 1;
            }
        }
    }

    pub(crate) fn assert_invariants(&self) {
        let state = self.state();
        for (key, sent) in state.sent.iter().enumerate() {
            assert_eq!(
                sent.is_dead,
                sent.behaviour.is_faulty() && !sent.is_done,
                "{:?} {key}",
                sent.behaviour
            );
            assert!(sent.is_done || sent.is_dead, "{key} was lost");
            let tries = sent.tries.len();
            match sent.behaviour {
                Behaviour::FailsAlways | Behaviour::PanicsAlways | Behaviour::KillsTheProcess
                    if sent.is_dead =>
                {
                    // Neighbours that die, and ends that the ledger does not record, are losses.
                    assert!(tries < (MAX_ATTEMPTS + MAX_LOSSES) as usize, "{tries} tries of {key}");
                    // A message beside a dying process may not have started its own work.
                    let certain = state.crashes == 0
                        && self.settings.ledger_outages == 0.0
                        && self.settings.twice == 0.0;
                    assert!(!certain || tries == MAX_ATTEMPTS as usize, "{tries} tries of {key}");
                }
                Behaviour::Works if state.crashes == 0 && self.settings.twice == 0.0 => assert!(tries <= 1),
                _ => {}
            }
        }
    }

    #[allow(dead_code, reason = "not every test uses it")]
    pub(crate) fn receives(&self) -> u64 {
        self.state().receives
    }

    pub(crate) fn copies(&self) -> usize {
        self.state().copies
    }

    pub(crate) fn crashes(&self) -> usize {
        self.state().crashes
    }

    #[allow(dead_code, reason = "not every test uses it")]
    pub(crate) fn on_the_dead_letter_queue(&self) -> usize {
        self.state().dlq.len()
    }

    pub(crate) fn dead_lettered(&self) -> usize {
        self.state().dead_lettered
    }

    pub(crate) fn hangs(&self) -> usize {
        self.state().hangs
    }

    pub(crate) fn tries_of(&self, key: usize) -> usize {
        self.state().sent[key].tries.len()
    }

    /// The waits between the attempts, in whole seconds.
    pub(crate) fn waits_of(&self, key: usize) -> Vec<Duration> {
        let state = self.state();
        let waits = state.sent[key].tries.windows(2).map(|pair| pair[1] - pair[0]);
        waits.map(|wait| Duration::from_secs(wait.as_secs())).collect()
    }
}
