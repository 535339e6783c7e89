//! The pipeline behind a real worker and a real queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crm::testing::Fault;
use database::Database;
use lead::{Clock as _, FailureClass, LeadEvent, LeadId, LeadStatus};
use queue::{DatabaseQueue, LeadHandler, LeadQueue, MAX_ATTEMPTS, Worker};
use store::{Accept, AuditKind};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{PANIC_SENTINEL, Say, World, hot};

const VISIBILITY: Duration = Duration::from_mins(10);

impl World {
    fn queue_on(&self, database: Database) -> Arc<dyn LeadQueue> {
        Arc::new(DatabaseQueue::new(database, Arc::new(self.clock.clone()), VISIBILITY))
    }

    /// Takes a delivery in as the webhook does: the lead and its message in one transaction.
    async fn post(&self, event: &LeadEvent) {
        let mut transaction = self.store.database().begin().await.unwrap();
        if let Accept::New | Accept::Revision = self.store.accept_in(&mut transaction, event).await.unwrap() {
            DatabaseQueue::send_in(&mut transaction, event, self.clock.now()).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// A worker process with pools of its own.
    async fn start_worker(&self) -> Running {
        let database = self.connect().await;
        let handler = Arc::new(self.pipeline_on(database.clone())) as Arc<dyn LeadHandler>;
        let worker = Worker::new(self.queue_on(database.clone()), handler, Arc::new(self.clock.clone()), 8);
        let task = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
        Running { task, database }
    }

    /// Lets the workers work for a moment of the machine's time, in which a second passes for them; a pause of
    /// consumption is ended as the janitor does.
    async fn tick(&self, queue: &dyn LeadQueue) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.clock.advance(Duration::from_secs(1));
        for pause in queue.pauses().await.unwrap() {
            self.clock.advance(Duration::from_secs(30));
            queue.resume(&pause.dependency).await.unwrap();
        }
    }

    async fn unsettled(&self) -> i64 {
        let counts = self.store.count_leads().await.unwrap();
        counts.into_iter().filter(|(status, _)| !status.is_settled()).map(|(_, leads)| leads).sum()
    }

    async fn work_until_settled(&self) {
        let (running, queue) = (self.start_worker().await, self.queue_on(self.store.database().clone()));
        for _ in 0..20_000 {
            if self.unsettled().await == 0 && queue.depth().await.unwrap().messages == 0 {
                return running.die().await;
            }
            self.tick(queue.as_ref()).await;
        }
        panic!("never settled: {:?}", self.store.count_leads().await);
    }
}

struct Running {
    task: JoinHandle<()>,
    database: Database,
}

impl Running {
    /// Drops everything the worker has in hand.
    async fn die(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "the worker worked until then");
        self.database.close().await;
    }
}

async fn a_panic_is_one_leads_failure_and_what_it_says_is_kept_nowhere(world: World) {
    let [broken, fine] = [hot("broken", "CTO", 0), hot("fine", "CTO", 0)];
    world.analyst.will((0..MAX_ATTEMPTS).map(|_| Say::Panic));
    world.post(&broken).await;
    world.work_until_settled().await;
    world.post(&fine).await;
    world.work_until_settled().await;
    let parked = world.lead(&broken.lead_id).await;
    assert_eq!(parked.status, LeadStatus::PermanentlyFailed);
    let failure = parked.failure.unwrap();
    assert_eq!(
        (failure.code.as_ref(), failure.message.as_str()),
        ("panic", "the work panicked; the log says where")
    );
    let letter = world.store.dead_letters(None, 10).await.unwrap().swap_remove(0);
    assert_eq!((letter.attempts, &letter.lead_id), (i64::from(MAX_ATTEMPTS), &Some(broken.lead_id.clone())));
    let told = format!("{letter:?}{:?}", world.audit(&broken.lead_id).await);
    assert!(told.contains("the work panicked") && !told.contains(PANIC_SENTINEL), "{told}");
    assert_eq!(world.lead(&fine.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(world.provider.asked(), 2, "once for each lead, whatever came after");
}

const LEADS: usize = 200;
const DEATHS: usize = 12;

/// Deliveries of many leads, a quarter of them with revisions, in a scrambled order and some of them twice.
fn campaign() -> Vec<LeadEvent> {
    let mut deliveries = Vec::new();
    for lead in 0..LEADS {
        let person = format!("person{lead}");
        let revisions = if lead.is_multiple_of(12) {
            3
        } else if lead.is_multiple_of(4) {
            2
        } else {
            1
        };
        deliveries
            .extend((0..revisions).map(|revision| hot(&person, &format!("title {revision}"), revision)));
        if lead.is_multiple_of(5) {
            deliveries.push(hot(&person, "title 0", 0));
        }
    }
    let stride = 7919; // a prime, so that every place is visited once
    (0..deliveries.len()).map(|place| deliveries[place * stride % deliveries.len()].clone()).collect()
}

/// What goes wrong at the CRM in the life of one worker, which ends it.
fn faults(life: usize) -> Vec<Fault> {
    let last = if life.is_multiple_of(2) { Fault::CrashAfter } else { Fault::CrashBefore };
    let (fail, lose_reply) = (Fault::Fail(FailureClass::Transient), Fault::LoseReply);
    let passes = |times: usize| std::iter::repeat_n(Fault::Pass, times);
    passes(10 + life)
        .chain([fail])
        .chain(passes(20))
        .chain([lose_reply])
        .chain(passes(15))
        .chain([lose_reply, fail])
        .chain(passes(10))
        .chain([last])
        .collect()
}

async fn two_hundred_leads_survive_every_fault_and_every_death_of_their_worker(world: World) {
    let campaign = campaign();
    let queue = world.queue_on(world.store.database().clone());
    for (life, deliveries) in campaign.chunks(campaign.len().div_ceil(DEATHS)).enumerate() {
        for event in deliveries {
            world.post(event).await;
        }
        world.crm_faults.extend(faults(life));
        let running = world.start_worker().await;
        while !world.crm_faults.is_over() && world.unsettled().await > 0 {
            world.tick(queue.as_ref()).await;
        }
        running.die().await;
        world.clock.advance(VISIBILITY); // what it had in hand can be received again
    }
    world.work_until_settled().await;
    assert!(world.crm_faults.is_over(), "everything went wrong that was to go wrong");

    let leads: BTreeSet<&LeadId> = campaign.iter().map(|event| &event.lead_id).collect();
    assert_eq!(leads.len(), LEADS);
    let counts = world.store.count_leads().await.unwrap();
    assert_eq!(counts, [(LeadStatus::Synced, i64::try_from(LEADS).unwrap())]);
    let records = world.crm_counts().await;
    let written: BTreeSet<_> = world.crm().await.into_iter().map(|record| record.external_id).collect();
    assert_eq!((records["lead"], records["task"]), (LEADS, LEADS), "one record and one call each");
    let mut noted = 0;
    for id in leads {
        ended_well(&world, &campaign, id).await;
        let actions = world.store.actions(id, 100).await.unwrap();
        let of_lead = actions.iter().filter(|action| action.kind == "log_activity");
        noted += of_lead.filter(|note| written.contains(&note.action_id)).count();
    }
    assert_eq!(records["activity"], noted, "the ledger knows of every note");
    let created = world.crm().await.into_iter().filter(|record| record.object != "lead");
    assert_eq!(created.filter(|record| record.writes != 1).count(), 0);
}

/// Checks that a lead ended with its newest content, and that its revisions were written in their order.
async fn ended_well(world: &World, campaign: &[LeadEvent], id: &LeadId) {
    let newest =
        campaign.iter().filter(|event| event.lead_id == *id).max_by_key(|event| event.received_at).unwrap();
    let lead = world.lead(id).await;
    assert_eq!(lead.content, newest.lead);
    let record = world.crm_lead(id).await;
    assert_eq!(
        record.fields["title"],
        newest.lead.title.clone().unwrap(),
        "the newest content is in the CRM"
    );
    assert_eq!(lead.crm_record_id, Some(record.record_id));
    let revisions: std::collections::BTreeMap<_, _> = (world.store.deliveries(id, 10).await.unwrap())
        .into_iter()
        .map(|delivery| (delivery.delivery_id, delivery.revision))
        .collect();
    let synced: Vec<_> = (world.audit(id).await.iter())
        .filter(|event| event.kind == AuditKind::Synced)
        .map(|event| revisions[event.delivery_id.as_ref().unwrap()])
        .collect();
    assert!(synced.is_sorted_by(|a, b| a < b), "in order, and each once: {synced:?}");
}

on_both!(
    a_panic_is_one_leads_failure_and_what_it_says_is_kept_nowhere,
    two_hundred_leads_survive_every_fault_and_every_death_of_their_worker,
);
