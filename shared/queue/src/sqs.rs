//! The queue on Amazon SQS: a FIFO queue, and a FIFO dead letter queue behind it.
//!
//! SQS keeps the messages, their order and the time they stay hidden. What it cannot keep is in a [`Ledger`] beside
//! it: how often a message failed (SQS counts receives, which is something else: every message of a batch is received
//! when one of them fails), who holds it, and which pauses are in force.
//!
//! A message that was received often without failing itself is put back as a fresh copy, for a queue with a redrive
//! policy would take its receives for failures. The copy goes to the end of its group. That it then comes after a newer
//! revision of its lead does no harm: of two revisions the later accepted one wins, whatever the order of their arrival.
//!
//! What SQS does not show, and other backends do: that a delivery sent again is a duplicate (for five minutes it is
//! swallowed without a word, afterwards it is a second message that finds nothing to do), and the age of the oldest
//! message (which is a metric of CloudWatch).

mod client;
#[cfg(feature = "database")]
mod database_ledger;
mod ledger;
mod memory_ledger;
mod queue;
mod received;

pub use aws_sdk_sqs::Client as SqsClient;
pub use client::{Fifo, Sqs};
#[cfg(feature = "database")]
pub use database_ledger::DatabaseLedger;
pub use ledger::{Ended, Ledger, Tries};
pub use memory_ledger::MemoryLedger;
pub use queue::SqsQueue;
pub use received::Received;

/// How often the deployment lets a message be received before the redrive policy of its queue takes it away; the functions reckon
/// with it. [`SqsQueue`] asks the queue itself.
pub const MAX_RECEIVE_COUNT: u32 = 20;

/// From this receive on a message that did not fail so often is replaced by a fresh copy.
pub const COPY_AT_RECEIVE: u32 = copy_at_receive(MAX_RECEIVE_COUNT);

/// Earlier than needed, since a copy may fail too.
const fn copy_at_receive(max_receive_count: u32) -> u32 {
    max_receive_count.saturating_sub(2)
}
