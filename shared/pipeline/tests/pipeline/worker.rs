//! The pipeline with a real worker and a real queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crm::testing::Fault;
use database::Database;
use lead::{FailureClass, LeadEvent, LeadId, LeadStatus};
use on_both::on_both;
use queue::{DatabaseQueue, LeadHandler, LeadQueue, MAX_ATTEMPTS, Worker};
use store::{Accept, AuditKind};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Fixture, PANIC_SENTINEL, Reply, hot};

const VISIBILITY: Duration = Duration::from_mins(10);

impl Fixture {
    fn queue_on(&self, database: Database) -> Arc<dyn LeadQueue> {
        Arc::new(DatabaseQueue::new(database, Arc::new(self.clock.clone()), VISIBILITY))
    }

    /// Accepts a delivery and queues it unless it is a repeat or superseded.
    async fn post(&self, event: &LeadEvent) {
        if let Accept::New | Accept::Revision = self.store.accept(event).await.unwrap() {
            self.queue_on(self.store.database().clone()).send(event).await.unwrap();
        }
    }

    /// A worker process with its own connection pool.
    async fn start_worker(&self) -> RunningWorker {
        let database = self.connect().await;
        let handler = Arc::new(self.pipeline_on(database.clone())) as Arc<dyn LeadHandler>;
        let worker = Worker::new(self.queue_on(database.clone()), handler, Arc::new(self.clock.clone()), 8);
        let task = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
        RunningWorker { task, database }
    }

    /// Lets the workers run for 10 ms of real time and advances their clock by one second. Resumes paused
    /// consumption like the janitor.
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

struct RunningWorker {
    task: JoinHandle<()>,
    database: Database,
}

impl RunningWorker {
    /// Kills the worker with its work in progress.
    async fn die(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "the worker was running");
        self.database.close().await;
    }
}

#[on_both]
async fn panic_fails_one_lead_and_its_message_is_not_stored(fixture: Fixture) {
    let [broken, fine] = [hot("broken", "CTO", 0), hot("fine", "CTO", 0)];
    fixture.analyst.will((0..MAX_ATTEMPTS).map(|_| Reply::Panic));
    fixture.post(&broken).await;
    fixture.work_until_settled().await;
    fixture.post(&fine).await;
    fixture.work_until_settled().await;
    let failed = fixture.lead(&broken.lead_id).await;
    assert_eq!(failed.status, LeadStatus::PermanentlyFailed);
    let failure = failed.failure.unwrap();
    assert_eq!(
        (failure.code.as_ref(), failure.message.as_str()),
        ("panic", "the work panicked; the log says where")
    );
    let letter = fixture.store.dead_letters(None, 10).await.unwrap().swap_remove(0);
    assert_eq!((letter.attempts, &letter.lead_id), (i64::from(MAX_ATTEMPTS), &Some(broken.lead_id.clone())));
    let stored = format!("{letter:?}{:?}", fixture.audit(&broken.lead_id).await);
    assert!(stored.contains("the work panicked") && !stored.contains(PANIC_SENTINEL), "{stored}");
    assert_eq!(fixture.lead(&fine.lead_id).await.status, LeadStatus::Synced);
    assert_eq!(fixture.provider.take_calls(), 2, "once for each lead, whatever followed");
}

const LEADS: usize = 200;
const DEATHS: usize = 12;

/// Deliveries of many leads, a quarter of them with revisions, in scrambled order and some of them twice.
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
    let stride = 7919; // a prime, so that every index is visited once
    (0..deliveries.len()).map(|index| deliveries[index * stride % deliveries.len()].clone()).collect()
}

/// The CRM faults in the life of one worker. The last one kills the worker.
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

#[on_both]
async fn two_hundred_leads_survive_all_faults_and_worker_deaths(fixture: Fixture) {
    let campaign = campaign();
    let queue = fixture.queue_on(fixture.store.database().clone());
    for (life, deliveries) in campaign.chunks(campaign.len().div_ceil(DEATHS)).enumerate() {
        for event in deliveries {
            fixture.post(event).await;
        }
        fixture.crm_faults.extend(faults(life));
        let running = fixture.start_worker().await;
        while !fixture.crm_faults.is_over() && fixture.unsettled().await > 0 {
            fixture.tick(queue.as_ref()).await;
        }
        running.die().await;
        fixture.clock.advance(VISIBILITY); // its leases expire
    }
    fixture.work_until_settled().await;
    assert!(fixture.crm_faults.is_over(), "all scripted faults have occurred");

    let leads: BTreeSet<&LeadId> = campaign.iter().map(|event| &event.lead_id).collect();
    assert_eq!(leads.len(), LEADS);
    let counts = fixture.store.count_leads().await.unwrap();
    assert_eq!(counts, [(LeadStatus::Synced, i64::try_from(LEADS).unwrap())]);
    let records = fixture.crm_counts().await;
    let written: BTreeSet<_> = fixture.crm().await.into_iter().map(|record| record.external_id).collect();
    assert_eq!(records[..2], [LEADS, LEADS], "one record and one call each");
    let mut ledgered = 0;
    for id in leads {
        assert_completed(&fixture, &campaign, id).await;
        let actions = fixture.store.actions(id, 100).await.unwrap();
        let of_lead = actions.iter().filter(|action| action.kind == "log_activity");
        ledgered += of_lead.filter(|activity| written.contains(&activity.action_id)).count();
    }
    assert_eq!(records[2], ledgered, "every activity has a ledger row");
    let created = fixture.crm().await.into_iter().filter(|record| record.object != "lead");
    assert_eq!(created.filter(|record| record.writes != 1).count(), 0);
}

/// Asserts that a lead ended with its newest content, and that its revisions were written in order.
async fn assert_completed(fixture: &Fixture, campaign: &[LeadEvent], id: &LeadId) {
    let newest =
        campaign.iter().filter(|event| event.lead_id == *id).max_by_key(|event| event.received_at).unwrap();
    let lead = fixture.lead(id).await;
    assert_eq!(lead.content, newest.lead);
    let record = fixture.crm_lead(id).await;
    assert_eq!(
        record.fields["title"],
        newest.lead.title.clone().unwrap(),
        "the newest content is in the CRM"
    );
    assert_eq!(lead.crm_record_id, Some(record.record_id));
    let revisions: std::collections::BTreeMap<_, _> = (fixture.store.deliveries(id, 10).await.unwrap())
        .into_iter()
        .map(|delivery| (delivery.delivery_id, delivery.revision))
        .collect();
    let synced: Vec<_> = (fixture.audit(id).await.iter())
        .filter(|event| event.kind == AuditKind::Synced)
        .map(|event| revisions[event.delivery_id.as_ref().unwrap()])
        .collect();
    assert!(synced.is_sorted_by(|a, b| a < b), "in order, each once: {synced:?}");
}
