//! Spans of a lead's way, and the trace context that goes with its calls.
//!
//! A [`Span`] is run around a future. Within it [`current`] is the context that outgoing calls send, [`note`] adds an
//! attribute, and [`fail`] says why it failed. Where a process has a [`Recorder`] ([`install`]) and the trace is sampled, each
//! span has an id of its own and is recorded when its future ends or is dropped; otherwise the context of the lead goes on
//! unchanged.
//!
//! Only what is opened here is ever recorded: no span of another crate, no log line. The context goes with the task; what is
//! spawned beside it belongs to no lead.
//!
//! Attributes hold nothing personal, no path or query of a URL, and nothing that a model was asked or said.

mod recorder;
mod span;

pub use recorder::{Finished, Kind, Recorder, Value, install};
pub use span::{Span, current, fail, note};
