//! Receives leads by `POST /leads`: authenticate, parse, enqueue, acknowledge.
//!
//! The handler is independent of the server and the queue: [`Ingest::handle`] takes an [`http::Request`], and
//! a [`LeadSink`] makes its result durable. It links no database, AI or CRM crate, so that the function that
//! runs it alone starts fast.
//!
//! | status | `status` in the body | when |
//! |---|---|---|
//! | 202 | `accepted`, `duplicate` | the lead is durable |
//! | 400 | `rejected` | the body is not a lead: nothing is queued, the body is quarantined |
//! | 400, 408 | `rejected` | the body is incomplete, or did not arrive in time, as reported by the caller |
//! | 401 | `rejected` | no valid credentials; the reason is only logged |
//! | 405 | `rejected` | not a POST |
//! | 413 | `rejected` | the body is larger than [`intake::MAX_BODY_BYTES`]; it is not kept |
//! | 503 | `unavailable` | the sink did not confirm that the lead is durable; `Retry-After` is set |
//!
//! Every answer is one flat JSON object, because Marketo treats an empty body as an error. No Content-Type is
//! refused, because many senders set none or a wrong one.
//!
//! A lead may be durable although its sender received a 503, or no answer because the process died. The
//! sender then posts it again, and the same content is a duplicate.

mod handler;
mod outcome;
mod quarantine;
mod sink;

pub use handler::{Ingest, SINK_TIMEOUT};
pub use outcome::{RETRY_AFTER, Unread};
pub use quarantine::{MAX_CONTENT_TYPE_BYTES, QuarantinedBody};
pub use sink::{Acceptance, LeadSink, SinkError};
