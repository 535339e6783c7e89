//! Where accepted events wait while the queue cannot be reached.

use std::fs::{File, OpenOptions, TryLockError, create_dir_all};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lead::LeadEvent;

use crate::{LeadQueue, QueueError, Sent};

/// How many processes may keep their spools in one folder.
const MAX_SPOOLS: u32 = 64;

/// How many events are read and sent between two looks at the file.
const BATCH: usize = 256;

/// A file of events, in the order they were accepted, each on the disk before its sender is told so.
///
/// One process has one spool; a folder may hold several. A spool that a dead process left behind is taken over by the
/// next one that starts.
#[derive(Clone)]
pub struct Spool(Arc<Mutex<Inner>>);

struct Inner {
    file: File,
    path: PathBuf,
    /// Everything before has been sent.
    sent_to: u64,
    /// Everything before is on the disk, and whole.
    end: u64,
    max_bytes: u64,
}

/// Why an event could not be spooled.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The spool holds as much as it may.
    #[error("the spool is full")]
    Full,
    /// The disk failed.
    #[error("spool: {0}")]
    Io(#[from] io::Error),
}

impl Spool {
    /// Opens the first spool of a folder that no other process has, and makes one where there is none. It takes up to
    /// `max_bytes`.
    ///
    /// What a crash left half-written at the end was never acknowledged, and is cut off.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, SpoolError> {
        create_dir_all(folder)?;
        for number in 0..MAX_SPOOLS {
            let path = folder.join(format!("{number}.jsonl"));
            let file = open_private(&path)?;
            match file.try_lock() {
                Ok(()) => {
                    // The file's name must survive a power cut as well as its content.
                    File::open(folder)?.sync_all()?;
                    let inner = Inner::new(file, path, max_bytes)?;
                    return Ok(Self(Arc::new(Mutex::new(inner))));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(io::Error::other("every spool of the folder is in use").into())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.sent_to == inner.end
    }

    /// How many bytes wait.
    pub fn waiting_bytes(&self) -> u64 {
        let inner = self.lock();
        inner.end - inner.sent_to
    }

    /// Keeps an event. It is on the disk when this returns. Blocks for as long as the disk does.
    pub fn append(&self, event: &LeadEvent) -> Result<(), SpoolError> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        self.lock().append(&line)
    }

    /// Sends what waits, in its order, until nothing does; says how many events the queue did not have yet.
    ///
    /// Stops at the first that the queue does not take. Dying half-way sends some of them again, which the queue knows
    /// as duplicates.
    pub async fn drain(&self, queue: &dyn LeadQueue) -> Result<u64, QueueError> {
        let mut accepted = 0;
        loop {
            let batch = self.lock().read(BATCH).map_err(QueueError::unavailable)?;
            if batch.is_empty() {
                return Ok(accepted);
            }
            for (event, end) in batch {
                if let Some(event) = event
                    && queue.send(&event).await? == Sent::Accepted
                {
                    accepted += 1;
                }
                self.lock().sent(end).map_err(QueueError::unavailable)?;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(mut file: File, path: PathBuf, max_bytes: u64) -> Result<Self, SpoolError> {
        let end = end_of_last_line(&mut file)?;
        file.set_len(end)?;
        file.sync_all()?;
        Ok(Self { file, path, sent_to: 0, end, max_bytes })
    }

    fn append(&mut self, line: &[u8]) -> Result<(), SpoolError> {
        let end = self.end + line.len() as u64;
        if end > self.max_bytes {
            return Err(SpoolError::Full);
        }
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(line));
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // What may have reached the disk was not acknowledged; the next event is written over it.
            let _ = self.file.set_len(self.end);
            return Err(error.into());
        }
        self.end = end;
        Ok(())
    }

    /// The next events, each with the place behind it. One that cannot be read is none: the file was damaged.
    fn read(&self, most: usize) -> io::Result<Vec<(Option<LeadEvent>, u64)>> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let mut place = reader.seek(SeekFrom::Start(self.sent_to))?;
        let mut events = Vec::new();
        while place < self.end && events.len() < most {
            let mut line = Vec::new();
            place += reader.read_until(b'\n', &mut line)? as u64;
            if line.is_empty() {
                return Err(io::Error::other("the spool was cut short by someone else"));
            }
            let event = serde_json::from_slice(&line).ok();
            if event.is_none() {
                tracing::error!(place, "a line of the spool cannot be read and is skipped");
            }
            events.push((event, place));
        }
        Ok(events)
    }

    /// Notes that everything before `place` is sent, and forgets it once nothing waits.
    fn sent(&mut self, place: u64) -> io::Result<()> {
        self.sent_to = place;
        if self.sent_to == self.end {
            self.file.set_len(0)?;
            self.file.sync_all()?;
            (self.sent_to, self.end) = (0, 0);
        }
        Ok(())
    }
}

/// Only we may read it: it holds what leads wrote.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(0))?;
    let mut end = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)? as u64;
        if !line.ends_with(b"\n") {
            return Ok(end);
        }
        end += read;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use jiff::Timestamp;
    use lead::{CampaignId, Dependency, EmailAddress, Lead};

    use super::*;
    use crate::{Depth, Message, Pause, Receipt, Settlement};

    #[derive(Default)]
    struct Queue {
        sent: Mutex<Vec<LeadEvent>>,
        is_away: AtomicBool,
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
        LeadEvent::new(Lead::new(email, CampaignId::parse("c").unwrap()), Timestamp::UNIX_EPOCH)
    }

    fn open(folder: &Path) -> Spool {
        Spool::open(folder, 1 << 20).unwrap()
    }

    #[tokio::test]
    async fn what_was_spooled_is_sent_in_order_also_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        let events: Vec<_> = (0..600).map(event).collect();
        for event in &events {
            spool.append(event).unwrap();
        }
        drop(spool); // the process dies
        let (spool, queue) = (open(folder.path()), Queue::default());
        assert!(!spool.is_empty());
        assert_eq!(spool.drain(&queue).await.unwrap(), 600);
        assert_eq!(*queue.sent.lock().unwrap(), events);
        assert!(spool.is_empty());
        drop(spool);
        assert!(open(folder.path()).is_empty(), "what was sent is gone");
    }

    #[tokio::test]
    async fn a_queue_that_is_still_away_leaves_everything_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (spool, queue) = (open(folder.path()), Queue::default());
        spool.append(&event(1)).unwrap();
        queue.is_away.store(true, Ordering::Relaxed);
        assert!(spool.drain(&queue).await.is_err());
        spool.append(&event(2)).unwrap();
        queue.is_away.store(false, Ordering::Relaxed);
        assert_eq!(spool.drain(&queue).await.unwrap(), 2);
        assert_eq!(spool.waiting_bytes(), 0);
    }

    #[tokio::test]
    async fn a_line_that_a_crash_cut_short_was_never_acknowledged() {
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
        assert_eq!(spool.drain(&queue).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_damaged_line_does_not_hold_up_the_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("0.jsonl"), b"nonsense\n").unwrap();
        let (spool, queue) = (open(folder.path()), Queue::default());
        spool.append(&event(1)).unwrap();
        assert_eq!(spool.drain(&queue).await.unwrap(), 1);
        assert!(spool.is_empty());
    }

    #[test]
    fn two_processes_have_two_spools() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (open(folder.path()), open(folder.path()));
        one.append(&event(1)).unwrap();
        assert!(two.is_empty());
    }

    #[test]
    fn a_full_spool_says_so_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 700).unwrap();
        let mut kept = 0;
        while spool.append(&event(kept)).is_ok() {
            kept += 1;
        }
        assert!(matches!(spool.append(&event(99)), Err(SpoolError::Full)));
        assert!((1..10).contains(&kept) && !spool.is_empty());
    }
}
