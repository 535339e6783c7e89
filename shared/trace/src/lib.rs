//! Tracing spans of a lead's processing, and the trace context that its outgoing calls carry.
//!
//! A [`Span`] runs around a future. Inside it, [`current`] is the context for outgoing calls, [`note`] adds
//! an attribute, and [`fail`] records an error code. If the process has a [`Recorder`] ([`install`]) and the
//! trace is sampled, each span has its own id and is recorded when its future ends or is dropped. Otherwise
//! the context of the lead is passed on unchanged.
//!
//! Only spans opened through this crate are recorded, never spans of other crates or log lines. The context
//! belongs to the task; work spawned on another task has no context.
//!
//! Attributes hold nothing personal, no path or query of a URL, and no prompt or answer of a model.

mod recorder;
mod span;

pub use recorder::{Finished, Kind, Recorder, Value, install};
pub use span::{Enclosing, Span, current, enclosing, fail, note};
