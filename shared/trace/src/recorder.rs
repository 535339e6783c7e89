use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use lead::TraceContext;

/// The longest text of an attribute, in bytes; what is longer is cut.
const MAX_TEXT: usize = 256;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request that was answered.
    Server,
    /// A message that was worked on.
    Consumer,
    /// A part of the work.
    Internal,
    /// A call of another system.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text of at most 256 bytes.
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

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Its trace and its own id.
    pub context: TraceContext,
    /// The id of the span that it is a part of; none where it begins the trace.
    pub parent: Option<u64>,
    /// Whether that one belongs to another process, or to this one at another time.
    pub parent_is_remote: bool,
    /// What was done, in words that do not depend on the lead.
    pub name: Cow<'static, str>,
    /// What it stands for.
    pub kind: Kind,
    /// When it began.
    pub started: SystemTime,
    /// When it ended; never before `started`, also where the clock was set back meanwhile.
    pub ended: SystemTime,
    /// More about it, by the names of OpenTelemetry's semantic conventions where there are some.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, as a code.
    pub error: Option<Cow<'static, str>>,
}

/// Where ended spans go. Neither call may block, fail or panic: a lead waits for both.
pub trait Recorder: Send + Sync + 'static {
    /// Whether to record a trace that begins here. Not asked where an event says that its trace is recorded or not.
    fn samples(&self) -> bool;

    /// Takes a span of a recorded trace.
    fn record(&self, span: Finished);
}

static RECORDER: OnceLock<Arc<dyn Recorder>> = OnceLock::new();

/// Sets the recorder of this process. Only the first call counts; false for each other one.
pub fn install(recorder: Arc<dyn Recorder>) -> bool {
    RECORDER.set(recorder).is_ok()
}

pub(crate) fn recorder() -> Option<&'static Arc<dyn Recorder>> {
    RECORDER.get()
}
