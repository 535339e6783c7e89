//! The queue on Amazon SQS: a FIFO queue with a FIFO dead letter queue.
//!
//! SQS stores the messages, their order and their visibility timeouts. A [`Ledger`] stores the rest: the
//! failed attempts of each message, its current lease, and the active pauses. SQS counts only receives, which
//! differ from failures: when one message of a batch fails, every message of the batch is received again.
//!
//! A message that was received often without failing is replaced by a fresh copy, because a queue with a
//! redrive policy counts its receives as failures. The copy goes to the end of its group. If it then follows
//! a newer revision of its lead, this does no harm: of two revisions the one accepted later wins, in whatever
//! order they arrive.
//!
//! SQS does not report two things that other backends do: that a delivery sent again is a duplicate (within
//! five minutes SQS drops it silently; later it is a second message that finds nothing to do), and the age of
//! the oldest message (a CloudWatch metric).

mod batch;
mod client;
#[cfg(feature = "database")]
mod database_ledger;
mod ledger;
#[cfg(feature = "conformance")]
mod memory_ledger;
mod queue;
mod received;

pub use aws_sdk_sqs::Client as SqsClient;
pub use batch::{Limit, Processed, Processor, Times, release_all};
pub use client::{Fifo, Sqs};
#[cfg(feature = "database")]
pub use database_ledger::DatabaseLedger;
pub use ledger::{Ended, Ledger, Tries};
#[cfg(feature = "conformance")]
pub use memory_ledger::MemoryLedger;
pub use queue::SqsQueue;
pub use received::Received;

/// The maximum receive count of the deployment: after so many receives, the queue's redrive policy moves a
/// message to the dead letter queue. The functions rely on it. [`SqsQueue`] reads the value from the queue.
pub const MAX_RECEIVE_COUNT: u32 = 20;

/// From this receive count on, a message that did not fail that often is replaced by a fresh copy.
pub const COPY_AT_RECEIVE: u32 = copy_at_receive(MAX_RECEIVE_COUNT);

/// The receive count at which a message is copied: before the maximum, since the copying may fail and be
/// retried.
const fn copy_at_receive(max_receive_count: u32) -> u32 {
    max_receive_count.saturating_sub(2)
}
