//! Feeds batches of SQS messages to the pipeline.
//!
//! A batch of a FIFO queue holds messages of several groups; a group is one lead. [`Processor::process`]
//! works on the groups concurrently and within a group in order, and returns the messages that SQS is to
//! deliver again:
//!
//! - The first message of a group that fails, and those behind it. Other groups are unaffected. The failed
//!   message and its followers stay hidden for its backoff.
//! - Messages that could not be tried: a dependency is down, a limit on all leads is full, the time is up, or
//!   the database is unavailable.
//!
//! A [`queue::Ledger`] counts the attempts of each message, because SQS counts receives, and a failure in a
//! batch causes further receives of its neighbours. After its fifth attempt, or at once after a permanent
//! failure, a message moves to the dead letter queue with its reason, and its group continues. The queue's
//! redrive policy is only a safety net. A message that nears it without failures of its own is replaced by a
//! fresh copy.
//!
//! If the process dies, the next attempt finds an unfinished one in the ledger. The message may not be the
//! cause, because others ran beside it. From then on it runs in isolation, after all others, until it is
//! settled. A message that keeps killing its process in isolation is dead-lettered after five attempts; its
//! neighbours are not.
//!
//! If the answer is lost, or two processes receive the same batch, the messages are tried again. The store
//! recognises finished work and does not repeat it.

mod backlog;
mod batch;
mod event;
mod panic;
mod release_trouble;
mod timed_ledger;
mod unreachable;
mod wait;

pub use backlog::Limit;
pub use batch::{Processor, Times};
pub use event::received;
pub use release_trouble::Trouble;
pub use unreachable::Unreachable;
