//! Random histories of a queue, compared with a simple model.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lead::{Clock, Dependency, Failure, LeadEvent};
use proptest::prelude::*;
use queue::{DatabaseQueue, LeadQueue, Message, QueueError, Receipt, Sent, Settlement};
use testkit::fixtures;

use crate::support::{Fixture, VISIBILITY};

const AI: Dependency = Dependency::new("ai.model");

#[derive(Clone, Debug)]
enum Step {
    Send {
        lead: u8,
        content: u8,
    },
    Receive {
        max: usize,
    },
    /// Settles one of the receipts issued so far, whether it is still valid or not.
    Settle {
        receipt: prop::sample::Index,
        outcome: Outcome,
    },
    Extend {
        receipt: prop::sample::Index,
    },
    Wait {
        seconds: u64,
    },
    Pause,
    Resume,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Done,
    Retry(u64),
    Defer(u64),
    DeadLetter,
}

fn step() -> impl Strategy<Value = Step> {
    let receipt = any::<prop::sample::Index>;
    let outcome = prop_oneof![
        3 => Just(Outcome::Done),
        2 => (0..20u64).prop_map(Outcome::Retry),
        1 => (0..20u64).prop_map(Outcome::Defer),
        1 => Just(Outcome::DeadLetter),
    ];
    prop_oneof![
        6 => (0..4u8, 0..4u8).prop_map(|(lead, content)| Step::Send { lead, content }),
        6 => (1..4usize).prop_map(|max| Step::Receive { max }),
        6 => (receipt(), outcome).prop_map(|(receipt, outcome)| Step::Settle { receipt, outcome }),
        1 => receipt().prop_map(|receipt| Step::Extend { receipt }),
        3 => (1..20u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Wait { seconds: VISIBILITY.as_secs() }),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
    ]
}

fn event(lead: u8, content: u8) -> LeadEvent {
    fixtures::event(&format!("lead{lead}"), &content.to_string(), 0)
}

fn settlement(outcome: Outcome) -> Settlement {
    let failure = Failure::transient("model", "made to fail");
    match outcome {
        Outcome::Done => Settlement::Done,
        Outcome::Retry(seconds) => Settlement::Retry { after: Duration::from_secs(seconds), failure },
        Outcome::Defer(seconds) => Settlement::Defer { after: Duration::from_secs(seconds), failure },
        Outcome::DeadLetter => Settlement::DeadLetter { failure },
    }
}

/// A model of the queue. Times are in seconds from the start.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    paused: bool,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    messages: VecDeque<String>,
    attempts: u32,
    losses: u32,
    visible_at: u64,
    lease: Option<Receipt>,
}

impl Model {
    fn send(&mut self, event: &LeadEvent) -> Sent {
        let now = self.now;
        let fresh = || Group { visible_at: now, ..Group::default() };
        let group = self.groups.entry(event.lead_id.to_string()).or_insert_with(fresh);
        let id = event.delivery_id().to_string();
        if group.messages.contains(&id) {
            return Sent::Duplicate;
        }
        group.messages.push_back(id);
        Sent::Accepted
    }

    /// Applies a receive, after checking that the queue may return these messages.
    fn received(&mut self, max: usize, messages: &[Message]) {
        let now = self.now;
        let mut ready: Vec<u64> =
            self.groups.values().map(|group| group.visible_at).filter(|at| *at <= now).collect();
        ready.sort_unstable();
        ready.truncate(if self.paused { 0 } else { max });
        assert_eq!(messages.len(), ready.len(), "as many as are ready and requested");
        let mut waited = Vec::new();
        for message in messages {
            let group = self.groups.get_mut(&message.group).expect("a group that was sent to");
            assert!(group.visible_at <= now, "it is ready");
            waited.push(group.visible_at);
            group.losses += u32::from(group.lease.is_some());
            assert_eq!(Some(&message.id), group.messages.front(), "the first of its group");
            assert_eq!((message.attempt, message.losses), (group.attempts + 1, group.losses));
            group.visible_at = now + VISIBILITY.as_secs();
            group.lease = Some(message.receipt.clone());
        }
        waited.sort_unstable();
        assert_eq!(waited, ready, "those that have been ready longest");
    }

    fn leased(&mut self, receipt: &Receipt) -> Option<&mut Group> {
        self.groups.get_mut(&receipt.key).filter(|group| group.lease.as_ref() == Some(receipt))
    }

    /// Applies a settlement. Returns whether the receipt was valid.
    fn settle(&mut self, receipt: &Receipt, outcome: Outcome) -> bool {
        let now = self.now;
        let Some(group) = self.leased(receipt) else { return false };
        group.lease = None;
        match outcome {
            Outcome::Retry(after) => {
                group.attempts += 1;
                group.visible_at = now + after;
            }
            Outcome::Defer(after) => (group.losses, group.visible_at) = (0, now + after),
            Outcome::Done | Outcome::DeadLetter => {
                group.messages.pop_front();
                (group.attempts, group.losses, group.visible_at) = (0, 0, now);
                if group.messages.is_empty() {
                    self.groups.remove(&receipt.key);
                }
            }
        }
        true
    }

    fn extend(&mut self, receipt: &Receipt) -> bool {
        let end = self.now + VISIBILITY.as_secs();
        self.leased(receipt).map(|group| group.visible_at = end).is_some()
    }

    fn depth(&self) -> (u64, u64) {
        let messages: usize = self.groups.values().map(|group| group.messages.len()).sum();
        let leased = |group: &&Group| group.lease.is_some() && group.visible_at > self.now;
        (messages as u64, self.groups.values().filter(leased).count() as u64)
    }
}

fn is_valid(answer: Result<(), QueueError>) -> bool {
    match answer {
        Ok(()) => true,
        Err(QueueError::LeaseLost) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn run_history(fixture: &Fixture, queue: &DatabaseQueue, steps: Vec<Step>) {
    let mut model = Model::default();
    let mut receipts: Vec<Receipt> = Vec::new();
    for step in steps {
        match step {
            Step::Send { lead, content } => {
                let event = event(lead, content);
                assert_eq!(queue.send(&event).await.unwrap(), model.send(&event));
            }
            Step::Receive { max } => {
                let messages = queue.receive(max).await.unwrap();
                model.received(max, &messages);
                receipts.extend(messages.into_iter().map(|message| message.receipt));
            }
            Step::Settle { receipt, outcome } if !receipts.is_empty() => {
                let receipt = receipt.get(&receipts);
                let settled = queue.settle(receipt, &settlement(outcome)).await;
                assert_eq!(is_valid(settled), model.settle(receipt, outcome));
            }
            Step::Extend { receipt } if !receipts.is_empty() => {
                let receipt = receipt.get(&receipts);
                assert_eq!(is_valid(queue.extend(receipt).await), model.extend(receipt));
            }
            Step::Settle { .. } | Step::Extend { .. } => {}
            Step::Wait { seconds } => {
                fixture.clock.advance(Duration::from_secs(seconds));
                model.now += seconds;
            }
            Step::Pause => {
                queue.pause(&AI, "model", fixture.clock.now()).await.unwrap();
                model.paused = true;
            }
            Step::Resume => {
                queue.resume(&AI).await.unwrap();
                model.paused = false;
            }
        }
        let depth = queue.depth().await.unwrap();
        assert_eq!((depth.messages, depth.in_flight), model.depth());
    }

    // Nothing is lost: the remaining messages of the model are received, in order.
    queue.resume(&AI).await.unwrap();
    model.paused = false;
    fixture.clock.advance(VISIBILITY);
    model.now += VISIBILITY.as_secs();
    while !model.groups.is_empty() {
        let messages = queue.receive(10).await.unwrap();
        model.received(10, &messages);
        for message in messages {
            queue.settle(&message.receipt, &Settlement::Done).await.unwrap();
            assert!(model.settle(&message.receipt, Outcome::Done));
        }
    }
    assert_eq!(queue.depth().await.unwrap(), queue::Depth::default());
}

#[test]
fn random_histories_match_the_model() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (fixture, database, queue) = runtime.block_on(async {
        let fixture = Fixture::sqlite().await;
        let (database, queue) = (fixture.database().await, fixture.queue().await);
        (fixture, database, queue)
    });
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..60))| {
        runtime.block_on(async {
            // One database for all histories. A failed history leaves rows behind.
            let emptied = sqlx::raw_sql("DELETE FROM queue_group; DELETE FROM queue_message; DELETE FROM queue_pause");
            emptied.execute(database.pool()).await.unwrap();
            run_history(&fixture, &queue, steps).await;
        });
    });
}
