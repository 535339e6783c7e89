//! Finished spans, and the recorder that receives them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use lead::TraceContext;

/// The longest text of an attribute, in bytes; longer texts are cut.
const MAX_TEXT: usize = 256;

/// The kind of work that a span represents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that this process answers.
    Server,
    /// A message that this process handles.
    Consumer,
    /// A part of the work.
    Internal,
    /// A call to another system.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text of at most 256 bytes, cut at a character boundary.
    Text(Cow<'static, str>),
    /// A whole number.
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(mut text: String) -> Self {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Self::Text(Cow::Owned(text))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The ids of the trace and of this span.
    pub context: TraceContext,
    /// The id of the parent span; `None` if this span begins the trace.
    pub parent: Option<u64>,
    /// Whether the parent belongs to another process, or to this process at another time.
    pub parent_is_remote: bool,
    /// The operation, in words that do not depend on the lead.
    pub name: Cow<'static, str>,
    /// The kind of work.
    pub kind: Kind,
    /// The start time.
    pub started: SystemTime,
    /// The end time; never before `started`, even if the clock was set back in between.
    pub ended: SystemTime,
    /// Attributes, named by OpenTelemetry's semantic conventions if there is one that fits.
    pub attributes: Vec<(&'static str, Value)>,
    /// The error code, if the work failed.
    pub error: Option<Cow<'static, str>>,
}

/// Receives finished spans. Neither method may block, fail or panic: a lead waits for both.
pub trait Recorder: Send + Sync + 'static {
    /// Decides whether to record a trace that begins in this process. Not called if an event carries the
    /// decision for its trace.
    fn samples(&self) -> bool;

    /// Receives a finished span of a recorded trace.
    fn record(&self, span: Finished);
}

static RECORDER: OnceLock<Arc<dyn Recorder>> = OnceLock::new();

/// Sets the recorder of this process. Only the first call has an effect; later calls return false.
pub fn install(recorder: Arc<dyn Recorder>) -> bool {
    RECORDER.set(recorder).is_ok()
}

pub(crate) fn recorder() -> Option<&'static Arc<dyn Recorder>> {
    RECORDER.get()
}
