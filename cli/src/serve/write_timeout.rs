//! A time limit for writes to a client.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A stream with writes that fail with `TimedOut` when the peer does not read them within a limit. The limit
/// covers a complete write, so that a client that reads a few bytes from time to time cannot extend it.
pub(super) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// Created at the first write that has to wait.
    deadline: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, deadline: None, waits: false }
    }

    /// Passes on a write's outcome, and starts, checks or stops the time limit. `whole` is the number of
    /// bytes offered.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
        whole: usize,
    ) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(written)) if *written < whole => {}
            Poll::Ready(_) => {
                self.waits = false;
                return outcome;
            }
            Poll::Pending => {}
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        if !self.waits {
            self.waits = true;
            deadline.as_mut().reset(Instant::now() + self.limit);
        }
        if outcome.is_pending() && deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, outcome, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.watch(context, outcome, buffers.iter().map(|buffer| buffer.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn write_to_a_stalled_reader_times_out() {
        let (ours, _theirs) = duplex(16);
        let mut stream = WriteTimeout::new(ours, LIMIT);
        let started = Instant::now();
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
    }

    #[tokio::test(start_paused = true)]
    async fn write_to_a_slow_reader_times_out() {
        let (ours, mut theirs) = duplex(16);
        let mut stream = WriteTimeout::new(ours, LIMIT);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                theirs.read_u8().await.unwrap();
            }
        });
        let started = Instant::now();
        assert!(stream.write_all(&[0; 64]).await.is_err());
        assert!(started.elapsed() <= LIMIT + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn time_between_two_writes_does_not_count() {
        let (ours, mut theirs) = duplex(16);
        let mut stream = WriteTimeout::new(ours, LIMIT);
        let reading = tokio::spawn(async move {
            let mut taken = [0; 80];
            tokio::time::sleep(Duration::from_secs(3)).await;
            theirs.read_exact(&mut taken[..40]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(63)).await;
            theirs.read_exact(&mut taken[40..]).await.unwrap();
        });
        stream.write_all(&[0; 40]).await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
        stream.write_all(&[0; 40]).await.unwrap();
        reading.await.unwrap();
    }
}
