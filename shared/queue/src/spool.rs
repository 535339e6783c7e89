//! Where accepted events wait while the queue cannot be reached.

use std::fs::{File, OpenOptions, TryLockError, create_dir_all};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lead::LeadEvent;

use crate::{LeadQueue, QueueError, Sent};

/// How many processes may keep their spools in one folder.
const MAX_SPOOLS: u32 = 64;

/// How many events are read and sent between two looks at the file.
const BATCH: usize = 256;

/// How often the queue may refuse one event for what it is before it is parked.
const MAX_REFUSALS: u32 = 5;

/// A file of events, in the order they were accepted, each on the disk before its sender is told so.
///
/// One process has one spool; a folder may hold several. A spool that a dead process left behind is taken over by the
/// next one that starts, or emptied by whoever asks for [`Spool::abandoned`].
#[derive(Clone)]
pub struct Spool(Arc<Mutex<Inner>>);

struct Inner {
    file: File,
    path: PathBuf,
    /// Where lines go that cannot be read.
    unreadable: PathBuf,
    /// Everything before has been sent.
    sent_to: u64,
    /// Everything before is on the disk, and whole.
    end: u64,
    max_bytes: u64,
    /// The line that the queue refused last, by its end, and how often.
    refused: (u64, u32),
}

/// Keeps events that a queue refuses for good.
#[async_trait]
pub trait Park: Send + Sync {
    /// Keeps one, with the reason, where a person sees it. It is durable when this returns `Ok`.
    async fn park(&self, event: &LeadEvent, reason: QueueError) -> Result<(), QueueError>;
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

/// The spools of a folder that hold something.
pub struct Abandoned {
    /// Those that no process has.
    pub spools: Vec<Spool>,
    /// How many other processes have, which empty them themselves.
    pub held: usize,
}

impl Spool {
    /// Opens the first spool of a folder that no other process has, and makes one where there is none. It takes up to
    /// `max_bytes`.
    ///
    /// What a crash left half-written at the end was never acknowledged, and is cut off.
    pub fn open(folder: &Path, max_bytes: u64) -> Result<Self, SpoolError> {
        create_dir_all(folder)?;
        for number in 0..MAX_SPOOLS {
            if let Some(spool) = Self::take(folder, number, max_bytes)? {
                // The file's name must survive a power cut as well as its content.
                File::open(folder)?.sync_all()?;
                return Ok(spool);
            }
        }
        Err(io::Error::other("every spool of the folder is in use").into())
    }

    /// The spools of a folder that hold something and that no process has: several may have died.
    pub fn abandoned(folder: &Path, max_bytes: u64) -> Result<Abandoned, SpoolError> {
        let mut abandoned = Abandoned { spools: Vec::new(), held: 0 };
        for number in 0..MAX_SPOOLS {
            // One that holds nothing is left alone: a process that starts just now may want it.
            if std::fs::metadata(path_of(folder, number)).is_ok_and(|file| file.len() > 0) {
                match Self::take(folder, number, max_bytes)? {
                    Some(spool) => abandoned.spools.push(spool),
                    None => abandoned.held += 1,
                }
            }
        }
        Ok(abandoned)
    }

    /// How many lines of a folder's spools could not be read, and were put aside.
    pub fn unreadable(folder: &Path) -> io::Result<usize> {
        let mut lines = 0;
        for number in 0..MAX_SPOOLS {
            match std::fs::read(unreadable_of(folder, number)) {
                Ok(content) => {
                    lines += content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lines)
    }

    /// None where another process has it.
    fn take(folder: &Path, number: u32, max_bytes: u64) -> Result<Option<Self>, SpoolError> {
        let path = path_of(folder, number);
        let file = open_private(&path)?;
        match file.try_lock() {
            Ok(()) => {
                let inner = Inner::new(file, path, unreadable_of(folder, number), max_bytes)?;
                Ok(Some(Self(Arc::new(Mutex::new(inner)))))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
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
    /// as duplicates. An event that the queue has refused five times for what it is goes to `parked` instead, so that those
    /// behind it are not held up.
    pub async fn drain(&self, queue: &dyn LeadQueue, parked: &dyn Park) -> Result<u64, QueueError> {
        let mut accepted = 0;
        loop {
            let batch = self.lock().read(BATCH).map_err(QueueError::unavailable)?;
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
                    Err(_) => self.lock().put_aside(&line).map_err(QueueError::unavailable)?,
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
    fn new(mut file: File, path: PathBuf, unreadable: PathBuf, max_bytes: u64) -> Result<Self, SpoolError> {
        let end = end_of_last_line(&mut file)?;
        file.set_len(end)?;
        file.sync_all()?;
        Ok(Self { file, path, unreadable, sent_to: 0, end, max_bytes, refused: (0, 0) })
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

    /// Counts a refusal of the line that ends there. True once there were enough.
    fn is_refused_for_good(&mut self, end: u64) -> bool {
        let (line, times) = self.refused;
        self.refused = (end, if line == end { times + 1 } else { 1 });
        self.refused.1 >= MAX_REFUSALS
    }

    /// The next lines, each with the place behind it.
    fn read(&self, most: usize) -> io::Result<Vec<(Vec<u8>, u64)>> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let mut place = reader.seek(SeekFrom::Start(self.sent_to))?;
        let mut lines = Vec::new();
        while place < self.end && lines.len() < most {
            let mut line = Vec::new();
            place += reader.read_until(b'\n', &mut line)? as u64;
            if line.is_empty() {
                return Err(io::Error::other("the spool was cut short by someone else"));
            }
            lines.push((line, place));
        }
        Ok(lines)
    }

    /// Keeps a line that cannot be read, since the file was damaged, where a person finds it. It is on the disk when this
    /// returns.
    fn put_aside(&self, line: &[u8]) -> io::Result<()> {
        let mut file = open_private(&self.unreadable)?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(line)?;
        file.sync_all()?;
        if let Some(folder) = self.unreadable.parent() {
            File::open(folder)?.sync_all()?;
        }
        metrics::counter!("revenueflow_spool_unreadable_total").increment(1);
        tracing::error!(file = %self.unreadable.display(), "a line of the spool cannot be read: it is put aside");
        Ok(())
    }

    /// Notes that everything before `place` is sent, and forgets it once nothing waits.
    fn sent(&mut self, place: u64) -> io::Result<()> {
        self.sent_to = place;
        self.refused = (0, 0);
        if self.sent_to == self.end {
            self.file.set_len(0)?;
            // Where the disk fails from here on, the file is empty all the same, and the next event belongs at its start.
            (self.sent_to, self.end) = (0, 0);
            self.file.sync_all()?;
        }
        Ok(())
    }
}

fn path_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.jsonl"))
}

fn unreadable_of(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.unreadable.jsonl"))
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
mod tests;
