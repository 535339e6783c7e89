//! Spans around futures.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use lead::{Failure, TraceContext};

use crate::recorder::recorder;
use crate::{Finished, Kind, Recorder, Value};

tokio::task_local! {
    static CURRENT: Arc<Active>;
}

/// The maximum number of attributes of one span; further ones are dropped.
const MAX_ATTRIBUTES: usize = 32;

/// The error of a span whose future was dropped before it finished.
const CANCELLED: &str = "cancelled";

struct Active {
    context: TraceContext,
    /// `None` if the trace is not recorded.
    notes: Option<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    attributes: Vec<(&'static str, Value)>,
    error: Option<Cow<'static, str>>,
}

impl Active {
    fn note(&self, change: impl FnOnce(&mut Notes)) {
        if let Some(notes) = &self.notes {
            change(&mut notes.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// The trace context of the lead in progress, for its outgoing calls.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|active| active.context).ok()
}

/// The innermost span of the caller, for work that another task does on its behalf.
#[derive(Clone)]
pub struct Enclosing(Option<Arc<Active>>);

/// The innermost span. Without one, work that it encloses belongs to no span.
pub fn enclosing() -> Enclosing {
    Enclosing(CURRENT.try_with(Arc::clone).ok())
}

impl Enclosing {
    /// Runs a future as a part of the span, which may have ended.
    pub async fn run<F: Future>(self, future: F) -> F::Output {
        match self.0 {
            Some(active) => CURRENT.scope(active, future).await,
            None => future.await,
        }
    }
}

/// Adds an attribute to the innermost span. The value must not be personal.
pub fn note(name: &'static str, value: impl Into<Value>) {
    let _ = CURRENT.try_with(|active| {
        active.note(|notes| {
            if notes.attributes.len() < MAX_ATTRIBUTES {
                notes.attributes.push((name, value.into()));
            }
        });
    });
}

/// Marks the innermost span as failed, with the code of the failure.
pub fn fail(code: impl Into<Cow<'static, str>>) {
    let _ = CURRENT.try_with(|active| active.note(|notes| notes.error = Some(code.into())));
}

/// The parent of a span.
enum Cause {
    /// The enclosing span. Without one the span is not recorded.
    Around,
    /// A context of this system, such as an event's, which decides whether the trace is recorded. Without one
    /// the span begins a trace.
    Own(Option<TraceContext>),
    /// A context sent by another system. Its ids are used; its sampling decision is not. Without one the span
    /// begins a trace.
    Foreign(Option<TraceContext>),
}

/// A span that has not started yet.
#[must_use = "a span is nothing until it runs"]
pub struct Span {
    name: Cow<'static, str>,
    kind: Kind,
    cause: Cause,
    attributes: Vec<(&'static str, Value)>,
}

impl Span {
    fn new(kind: Kind, name: impl Into<Cow<'static, str>>, cause: Cause) -> Self {
        Self { name: name.into(), kind, cause, attributes: Vec::new() }
    }

    /// A request from another system, which may have sent a trace context.
    ///
    /// The span continues the sender's trace, so that the sender can find the lead in it. This process makes
    /// the sampling decision: a sender must not control the cost of tracing.
    pub fn server(name: &'static str, sent: Option<TraceContext>) -> Self {
        Self::new(Kind::Server, name, Cause::Foreign(sent))
    }

    /// The work on a message that was sent in this context, which decides whether the trace is recorded.
    /// Without one the span begins a trace.
    pub fn consumer(name: &'static str, sent: Option<TraceContext>) -> Self {
        Self::new(Kind::Consumer, name, Cause::Own(sent))
    }

    /// A part of the work.
    pub fn internal(name: &'static str) -> Self {
        Self::new(Kind::Internal, name, Cause::Around)
    }

    /// A call to another system.
    pub fn client(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Client, name, Cause::Around)
    }

    /// Adds an attribute. The value must not be personal.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// Runs a future within the span. The future is boxed, because spans nest and the future of a whole lead
    /// is large.
    pub fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        let future = Box::pin(future);
        async move {
            let Some(open) = self.open(recorder()) else { return future.await };
            let output = CURRENT.scope(Arc::clone(&open.active), future).await;
            open.end();
            output
        }
    }

    /// Runs a future within the span, and records its failure as the span's error.
    pub fn try_run<T, F>(self, work: F) -> impl Future<Output = Result<T, Failure>>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let work = Box::pin(work);
        self.run(async move {
            let done = work.await;
            if let Err(failure) = &done {
                fail(failure.code.clone());
            }
            done
        })
    }

    /// `None` if the enclosing context stays in effect.
    fn open(self, recorder: Option<&Arc<dyn Recorder>>) -> Option<Open> {
        let (parent, sampled) = match self.cause {
            Cause::Around => (Some(current().filter(|around| around.sampled)?), recorder.is_some()),
            Cause::Own(Some(sent)) => (Some(sent), sent.sampled && recorder.is_some()),
            Cause::Own(None) | Cause::Foreign(None) => (None, recorder?.samples()),
            Cause::Foreign(Some(sent)) => {
                let sampled = recorder.is_some_and(|recorder| recorder.samples());
                (Some(sent.with_sampled(sampled)), sampled)
            }
        };
        let recorder = recorder.filter(|_| sampled);
        let context = match (parent, recorder) {
            (Some(parent), Some(_)) => child_of(&parent),
            (Some(_), None) if matches!(self.cause, Cause::Around) => return None,
            (Some(parent), None) => parent,
            (None, _) => root(sampled),
        };
        let notes = recorder.map(|_| Mutex::new(Notes { attributes: self.attributes, error: None }));
        Some(Open {
            active: Arc::new(Active { context, notes }),
            recorder: recorder.cloned(),
            parent: parent.map(|parent| parent.span_id()),
            parent_is_remote: parent.is_some() && !matches!(self.cause, Cause::Around),
            name: self.name,
            kind: self.kind,
            started: SystemTime::now(),
            clock: Instant::now(),
            has_ended: false,
        })
    }
}

/// A running span. It is recorded when dropped.
struct Open {
    active: Arc<Active>,
    recorder: Option<Arc<dyn Recorder>>,
    parent: Option<u64>,
    parent_is_remote: bool,
    name: Cow<'static, str>,
    kind: Kind,
    started: SystemTime,
    clock: Instant,
    has_ended: bool,
}

impl Open {
    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(recorder) = self.recorder.take() else { return };
        if !self.has_ended {
            self.active.note(|notes| notes.error = Some(CANCELLED.into()));
        }
        let (mut attributes, mut error) = (Vec::new(), None);
        self.active.note(|notes| {
            attributes = std::mem::take(&mut notes.attributes);
            error = notes.error.take();
        });
        recorder.record(Finished {
            context: self.active.context,
            parent: self.parent,
            parent_is_remote: self.parent_is_remote,
            name: std::mem::take(&mut self.name),
            kind: self.kind,
            started: self.started,
            ended: self.started + self.clock.elapsed(),
            attributes,
            error,
        });
    }
}

/// A context with a new span id in the same trace.
fn child_of(parent: &TraceContext) -> TraceContext {
    random(|| TraceContext::new(parent.trace_id(), rand::random(), parent.sampled))
}

/// A context for a new trace.
fn root(sampled: bool) -> TraceContext {
    random(|| TraceContext::new(rand::random(), rand::random(), sampled))
}

/// Draws ids until none of them is 0.
fn random(draw: impl Fn() -> Option<TraceContext>) -> TraceContext {
    loop {
        if let Some(context) = draw() {
            return context;
        }
    }
}

#[cfg(test)]
mod tests;
