//! The spool, with a queue that fails or refuses on demand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{CampaignId, Dependency, EmailAddress, Failure, Lead, TraceContext};

use super::*;
use crate::{Depth, Message, Pause, Receipt, Settlement};

#[derive(Default)]
struct Queue {
    sent: Mutex<Vec<LeadEvent>>,
    is_away: AtomicBool,
    /// Events that it refuses permanently.
    refuses: Mutex<Vec<LeadEvent>>,
}

#[async_trait]
impl LeadQueue for Queue {
    fn backend(&self) -> &'static str {
        "test"
    }
    async fn send(&self, event: &LeadEvent) -> Result<Sent, QueueError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(QueueError::unavailable("away"));
        }
        if self.refuses.lock().unwrap().contains(event) {
            return Err(QueueError::Refused("too long for this queue".to_owned()));
        }
        let mut sent = self.sent.lock().unwrap();
        if sent.contains(event) {
            return Ok(Sent::Duplicate);
        }
        sent.push(event.clone());
        Ok(Sent::Accepted)
    }
    async fn receive(&self, _: usize) -> Result<Vec<Message>, QueueError> {
        unreachable!("the spool only sends")
    }
    async fn extend(&self, _: &Receipt) -> Result<(), QueueError> {
        unreachable!("the spool only sends")
    }
    async fn settle(&self, _: &Receipt, _: &Settlement) -> Result<(), QueueError> {
        unreachable!("the spool only sends")
    }
    async fn release(&self, _: &Receipt) -> Result<(), QueueError> {
        unreachable!("the spool only sends")
    }
    async fn pause(&self, _: &Dependency, _: &str, _: Timestamp) -> Result<(), QueueError> {
        unreachable!("the spool only sends")
    }
    async fn resume(&self, _: &Dependency) -> Result<(), QueueError> {
        unreachable!("the spool only sends")
    }
    async fn pauses(&self) -> Result<Vec<Pause>, QueueError> {
        unreachable!("the spool only sends")
    }
    async fn depth(&self) -> Result<Depth, QueueError> {
        unreachable!("the spool only sends")
    }
    fn visibility_timeout(&self) -> Duration {
        Duration::ZERO
    }
}

fn event(number: usize) -> LeadEvent {
    let email = EmailAddress::parse(&format!("lead{number}@example.com")).unwrap();
    let lead = Lead::new(email, CampaignId::parse("c").unwrap());
    LeadEvent::new(lead, Timestamp::UNIX_EPOCH).traced(TraceContext::new(7, 8, true))
}

/// The parked events, with the codes of their failures. Parking fails while `is_away` is set.
#[derive(Default)]
struct Parked {
    events: Mutex<Vec<(LeadEvent, String)>>,
    is_away: bool,
}

#[async_trait]
impl Park for Parked {
    async fn park(&self, event: &LeadEvent, reason: QueueError) -> Result<(), QueueError> {
        if self.is_away {
            return Err(QueueError::unavailable("no database"));
        }
        self.events.lock().unwrap().push((event.clone(), Failure::from(reason).code.into_owned()));
        Ok(())
    }
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, 1 << 20).unwrap()
}

#[tokio::test]
async fn next_process_sends_spooled_events_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let events: Vec<_> = (0..600).map(event).collect();
    for event in &events {
        spool.append(event).unwrap();
    }
    drop(spool); // the process dies
    let (spool, queue) = (open(folder.path()), Queue::default());
    assert!(!spool.is_empty());
    assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 600);
    assert_eq!(*queue.sent.lock().unwrap(), events);
    assert!(spool.is_empty());
    drop(spool);
    assert!(open(folder.path()).is_empty(), "sent events are removed");
}

#[tokio::test]
async fn unavailable_queue_leaves_the_spool_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, queue) = (open(folder.path()), Queue::default());
    spool.append(&event(1)).unwrap();
    queue.is_away.store(true, Ordering::Relaxed);
    assert!(spool.drain(&queue, &Parked::default()).await.is_err());
    spool.append(&event(2)).unwrap();
    queue.is_away.store(false, Ordering::Relaxed);
    assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 2);
    assert_eq!(spool.waiting_bytes(), 0);
}

#[tokio::test]
async fn partial_line_of_a_crash_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    spool.append(&event(1)).unwrap();
    drop(spool);
    let file = folder.path().join("0.jsonl");
    let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
    torn.write_all(br#"{"version":1,"lead_id":"ab"#).unwrap();
    drop(torn);
    let (spool, queue) = (open(folder.path()), Queue::default());
    spool.append(&event(2)).unwrap();
    assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 2);
}

#[tokio::test]
async fn damaged_line_does_not_block_the_others() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0.jsonl"), b"nonsense\n").unwrap();
    let (spool, queue) = (open(folder.path()), Queue::default());
    spool.append(&event(1)).unwrap();
    assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 1);
    assert!(spool.is_empty());
}

#[tokio::test]
async fn unreadable_lines_are_moved_aside_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0.jsonl"), b"nonsense\n{\"version\":1}\n").unwrap();
    assert_eq!(Spool::unreadable(folder.path()).unwrap(), 0);
    let (spool, queue) = (open(folder.path()), Queue::default());
    assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 0);
    let aside = folder.path().join("0.unreadable.jsonl");
    assert_eq!(std::fs::read_to_string(&aside).unwrap(), "nonsense\n{\"version\":1}\n");
    assert_eq!(Spool::unreadable(folder.path()).unwrap(), 2);
    std::fs::write(folder.path().join("0.jsonl"), b"more\n").unwrap();
    drop(spool);
    open(folder.path()).drain(&queue, &Parked::default()).await.unwrap();
    assert_eq!(Spool::unreadable(folder.path()).unwrap(), 3, "earlier lines are kept");
}

#[tokio::test]
async fn abandoned_spools_are_found_beside_a_locked_one() {
    let (folder, queue) = (tempfile::tempdir().unwrap(), Queue::default());
    let spools: Vec<_> = (0..4).map(|_| open(folder.path())).collect();
    for (number, spool) in spools.iter().enumerate().take(3) {
        spool.append(&event(number)).unwrap();
    }
    let mut spools = spools.into_iter();
    let alive = spools.next().unwrap();
    drop(spools);
    let abandoned = Spool::abandoned(folder.path(), 1 << 20).unwrap();
    assert_eq!((abandoned.spools.len(), abandoned.held), (2, 1));
    for spool in &abandoned.spools {
        assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 1);
    }
    drop(abandoned);
    assert_eq!(*queue.sent.lock().unwrap(), [event(1), event(2)]);
    assert!(!alive.is_empty(), "the spool of a running process is left to it");
    let abandoned = Spool::abandoned(folder.path(), 1 << 20).unwrap();
    assert_eq!((abandoned.spools.len(), abandoned.held), (0, 1));
}

#[tokio::test]
async fn contents_of_a_lead_are_sent_in_order_of_arrival() {
    let (folder, queue) = (tempfile::tempdir().unwrap(), Queue::default());
    let spool = open(folder.path());
    let mut revision = event(1);
    revision.lead.title = Some("CTO".into());
    let events = [event(1), event(2), LeadEvent::new(revision.lead, Timestamp::UNIX_EPOCH)];
    for event in &events {
        spool.append(event).unwrap();
    }
    assert_eq!(spool.drain(&queue, &Parked::default()).await.unwrap(), 3);
    assert_eq!(*queue.sent.lock().unwrap(), events);
}

#[test]
fn two_processes_have_two_spools() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(folder.path()), open(folder.path()));
    one.append(&event(1)).unwrap();
    assert!(two.is_empty());
}

#[test]
fn full_spool_rejects_events_and_keeps_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 700).unwrap();
    let mut kept = 0;
    while spool.append(&event(kept)).is_ok() {
        kept += 1;
    }
    assert!(matches!(spool.append(&event(99)), Err(SpoolError::Full)));
    assert!((1..10).contains(&kept) && !spool.is_empty());
}

#[tokio::test]
async fn permanently_refused_event_is_parked() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, queue) = (open(folder.path()), Queue::default());
    for number in 0..3 {
        spool.append(&event(number)).unwrap();
    }
    queue.refuses.lock().unwrap().push(event(1));
    let parked = Parked::default();
    for _ in 1..MAX_REFUSALS {
        assert!(spool.drain(&queue, &parked).await.is_err(), "it may be the queue's mistake");
        assert!(parked.events.lock().unwrap().is_empty());
    }
    spool.drain(&queue, &parked).await.unwrap();
    assert_eq!(*parked.events.lock().unwrap(), [(event(1), "message_refused".to_owned())]);
    assert_eq!(*queue.sent.lock().unwrap(), [event(0), event(2)]);
    assert!(spool.is_empty());
}

#[tokio::test]
async fn event_that_cannot_be_parked_stays_in_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, queue) = (open(folder.path()), Queue::default());
    spool.append(&event(0)).unwrap();
    queue.refuses.lock().unwrap().push(event(0));
    let away = Parked { is_away: true, ..Parked::default() };
    for _ in 0..2 * MAX_REFUSALS {
        assert!(spool.drain(&queue, &away).await.is_err());
    }
    assert!(!spool.is_empty());
}
