//! A spool on disk for accepted events while the queue cannot be reached.

use std::fs::{File, OpenOptions, TryLockError, create_dir_all};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lead::LeadEvent;

use crate::{LeadQueue, QueueError, Sent};

/// The maximum number of spools, and so of processes, in one folder.
const MAX_SPOOLS: u32 = 64;

/// The number of events that are read from the file at a time.
const READ_BATCH: usize = 256;

/// The number of permanent refusals of one event by the queue before the event is parked.
const MAX_REFUSALS: u32 = 5;

/// A file of events in the order of their acceptance. Each event is on disk before its sender is answered.
///
/// One process has one spool; a folder may hold several. A spool that a dead process left behind is taken
/// over by the next process that starts, or drained through [`Spool::abandoned`].
#[derive(Clone)]
pub struct Spool(Arc<Mutex<Inner>>);

struct Inner {
    file: File,
    path: PathBuf,
    /// The file for lines that cannot be parsed.
    unreadable: PathBuf,
    /// The offset in bytes up to which events have been sent.
    sent_end: u64,
    /// The offset in bytes up to which events are complete and on disk.
    end: u64,
    max_bytes: u64,
    /// The end offset of the line that the queue refused last, and the number of refusals.
    refused: (u64, u32),
}

/// A store for events that a queue refuses permanently.
#[async_trait]
pub trait Park: Send + Sync {
    /// Stores an event, with the reason, for a person to inspect. It is durable when this returns `Ok`.
    async fn park(&self, event: &LeadEvent, reason: QueueError) -> Result<(), QueueError>;
}

/// The failure of a spool operation.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The spool has reached its size limit.
    #[error("the spool is full")]
    Full,
    /// An I/O operation failed.
    #[error("spool: {0}")]
    Io(#[from] io::Error),
}

/// The non-empty spools of a folder.
pub struct Abandoned {
    /// The spools that no other process has locked. They are locked by this process now.
    pub spools: Vec<Spool>,
    /// The number of spools that other processes have locked and drain themselves.
    pub held: usize,
}

impl Spool {
    /// Opens the first spool of a folder that no other process has locked, creating it if necessary. The
    /// spool holds up to `max_bytes`.
    ///
    /// A partial line at the end, which a crash left behind, was never acknowledged and is cut off.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, SpoolError> {
        create_dir_all(folder)?;
        for number in 0..MAX_SPOOLS {
            if let Some(spool) = Self::try_lock(folder, number, max_bytes)? {
                // The directory entry must survive a power failure as well as the content.
                File::open(folder)?.sync_all()?;
                return Ok(spool);
            }
        }
        Err(io::Error::other("every spool of the folder is in use").into())
    }

    /// Locks and returns the non-empty spools of a folder that no process has locked: several processes may
    /// have died.
    pub fn abandoned(folder: &Path, max_bytes: u64) -> Result<Abandoned, SpoolError> {
        let mut abandoned = Abandoned { spools: Vec::new(), held: 0 };
        for number in 0..MAX_SPOOLS {
            // An empty spool is not locked: a process that is just starting may need it.
            if std::fs::metadata(spool_path(folder, number)).is_ok_and(|file| file.len() > 0) {
                match Self::try_lock(folder, number, max_bytes)? {
                    Some(spool) => abandoned.spools.push(spool),
                    None => abandoned.held += 1,
                }
            }
        }
        Ok(abandoned)
    }

    /// Counts the lines of a folder's spools that could not be parsed and were moved to the files for
    /// unreadable lines.
    pub fn unreadable(folder: &Path) -> io::Result<usize> {
        let mut lines = 0;
        for number in 0..MAX_SPOOLS {
            match std::fs::read(unreadable_path(folder, number)) {
                Ok(content) => {
                    lines += content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lines)
    }

    /// Opens and locks a spool; `None` if another process has locked it.
    fn try_lock(folder: &Path, number: u32, max_bytes: u64) -> Result<Option<Self>, SpoolError> {
        let path = spool_path(folder, number);
        let file = open_private(&path)?;
        match file.try_lock() {
            Ok(()) => {
                let inner = Inner::new(file, path, unreadable_path(folder, number), max_bytes)?;
                Ok(Some(Self(Arc::new(Mutex::new(inner)))))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Whether all events have been sent.
    pub fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.sent_end == inner.end
    }

    /// The bytes of events that have not been sent.
    pub fn waiting_bytes(&self) -> u64 {
        let inner = self.lock();
        inner.end - inner.sent_end
    }

    /// Appends an event. It is on disk when this returns. Blocks for the duration of the write.
    pub fn append(&self, event: &LeadEvent) -> Result<(), SpoolError> {
        let mut line = serde_json::to_vec(event).map_err(io::Error::other)?;
        line.push(b'\n');
        self.lock().append(&line)
    }

    /// Sends all waiting events in order. Returns the number of events that were new to the queue.
    ///
    /// Stops at the first event that the queue does not accept. After a crash in between, some events are
    /// sent again, which the queue recognizes as duplicates. An event that the queue has refused permanently
    /// five times goes to `parked`, so that it does not block later events.
    pub async fn drain(&self, queue: &dyn LeadQueue, parked: &dyn Park) -> Result<u64, QueueError> {
        let mut accepted = 0;
        loop {
            let batch = self.lock().read(READ_BATCH).map_err(QueueError::unavailable)?;
            if batch.is_empty() {
                return Ok(accepted);
            }
            for (line, end) in batch {
                match serde_json::from_slice(&line) {
                    Ok(event) => match queue.send(&event).await {
                        Ok(sent) => accepted += u64::from(sent == Sent::Accepted),
                        Err(error @ (QueueError::TooLarge(_) | QueueError::Refused(_))) => {
                            if !self.lock().is_refused_for_good(end) {
                                return Err(error);
                            }
                            parked.park(&event, error).await?;
                        }
                        Err(error) => return Err(error),
                    },
                    Err(_) => self.lock().move_to_unreadable(&line).map_err(QueueError::unavailable)?,
                }
                self.lock().mark_sent(end).map_err(QueueError::unavailable)?;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn new(mut file: File, path: PathBuf, unreadable: PathBuf, max_bytes: u64) -> Result<Self, SpoolError> {
        let end = end_of_last_line(&mut file)?;
        file.set_len(end)?;
        file.sync_all()?;
        Ok(Self { file, path, unreadable, sent_end: 0, end, max_bytes, refused: (0, 0) })
    }

    fn append(&mut self, line: &[u8]) -> Result<(), SpoolError> {
        let end = self.end + line.len() as u64;
        if end > self.max_bytes {
            return Err(SpoolError::Full);
        }
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(line));
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // A partial write was not acknowledged; the next event overwrites it.
            let _ = self.file.set_len(self.end);
            return Err(error.into());
        }
        self.end = end;
        Ok(())
    }

    /// Counts a refusal of the line that ends at `end`. True once the limit is reached.
    fn is_refused_for_good(&mut self, end: u64) -> bool {
        let (line, times) = self.refused;
        self.refused = (end, if line == end { times + 1 } else { 1 });
        self.refused.1 >= MAX_REFUSALS
    }

    /// The next lines, each with its end offset.
    fn read(&self, max: usize) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let mut offset = reader.seek(SeekFrom::Start(self.sent_end))?;
        let mut lines = Vec::new();
        while offset < self.end && lines.len() < max {
            let mut line = Vec::new();
            offset += reader.read_until(b'\n', &mut line)? as u64;
            if line.is_empty() {
                return Err(io::Error::other("the spool file was truncated by another process"));
            }
            lines.push((line, offset));
        }
        Ok(lines)
    }

    /// Moves a line that cannot be parsed, because the file was damaged, to the file for unreadable lines,
    /// for a person to inspect. It is on disk when this returns.
    fn move_to_unreadable(&self, line: &[u8]) -> io::Result<()> {
        let mut file = open_private(&self.unreadable)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(line)?;
        file.sync_all()?;
        if let Some(folder) = self.unreadable.parent() {
            File::open(folder)?.sync_all()?;
        }
        metrics::counter!("revenueflow_spool_unreadable_total").increment(1);
        tracing::error!(file = %self.unreadable.display(), "unreadable spool line moved to a separate file");
        Ok(())
    }

    /// Records that all events before `offset` are sent, and truncates the file once all are.
    fn mark_sent(&mut self, offset: u64) -> io::Result<()> {
        self.sent_end = offset;
        self.refused = (0, 0);
        if self.sent_end == self.end {
            self.file.set_len(0)?;
            // Even if the sync below fails, the file is empty, and the next event belongs at its start.
            (self.sent_end, self.end) = (0, 0);
            self.file.sync_all()?;
        }
        Ok(())
    }
}

fn spool_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.jsonl"))
}

fn unreadable_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.unreadable.jsonl"))
}

/// Opens a file that only this user may read: it holds personal data of leads.
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
mod tests;
