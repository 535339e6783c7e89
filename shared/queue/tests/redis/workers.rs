//! Our own worker, with a handler that records its messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lead::{Failure, SystemClock};
use queue::{LeadHandler, LeadQueue, Message, Settlement, Worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The scripted outcome of one message.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Fail,
    Panic,
    DeadLetter,
}

/// A handler that follows the script for the first messages and succeeds on the rest.
#[derive(Default)]
pub(crate) struct Recorder {
    script: Mutex<VecDeque<Act>>,
    seen: Mutex<Vec<Message>>,
}

impl Recorder {
    pub(crate) fn seen(&self) -> Vec<Message> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.seen().into_iter().map(|message| message.id).collect()
    }
}

#[async_trait]
impl LeadHandler for Recorder {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        self.seen.lock().unwrap().push(message.clone());
        let act = self.script.lock().unwrap().pop_front();
        match act {
            None => Ok(()),
            Some(Act::Fail) => Err(Failure::transient("made_to_fail", "the handler failed")),
            Some(Act::Panic) => panic!("the handler panicked"),
            Some(Act::DeadLetter) => Err(Failure::permanent("unreadable", "nobody can read this")),
        }
    }

    async fn record(&self, _: &Message, _: &Settlement) -> Result<(), Failure> {
        Ok(())
    }
}

/// A worker that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) recorder: Arc<Recorder>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(queue: Arc<dyn LeadQueue>, concurrency: usize, script: &[Act]) -> Self {
        let script = Mutex::new(script.iter().copied().collect());
        let recorder = Arc::new(Recorder { script, ..Recorder::default() });
        let shutdown = CancellationToken::new();
        let worker = Worker::new(queue, recorder.clone(), Arc::new(SystemClock), concurrency);
        let token = shutdown.clone();
        let task = tokio::spawn(async move { worker.run(token).await });
        Self { recorder, shutdown, task }
    }

    /// Stops the worker after its running messages have finished. Returns all messages it has received.
    pub(crate) async fn stop(self) -> Vec<Message> {
        self.shutdown.cancel();
        self.task.await.expect("the worker does not panic");
        self.recorder.seen()
    }
}
