//! SQS batches to the pipeline.
//!
//! A batch of a FIFO queue holds messages of several groups, a group being one lead. [`Processor::process`] works on the
//! groups at the same time and within a group in order, and names the messages that are to come again:
//!
//! - The first of a group that fails, and those behind it. Other groups are not touched by it. The failed message and
//!   its followers stay hidden for its backoff.
//! - What could not be tried: a dependency is away, a limit on all leads is full, the time is up, the database cannot be asked.
//!
//! How often a message was tried is counted in a [`queue::Ledger`], because SQS counts receives, and each message of a
//! batch is received again when its neighbour fails. After the fifth try of its own, or at once where trying again
//! cannot help, a message goes to the dead letter queue with its reason, and its group goes on. The queue's own
//! redrive policy is a net below that; a message that comes close to it without having failed itself is put back as a
//! fresh copy before it can fall.
//!
//! What if the process dies? A try that never ended is seen at the next one. The message was perhaps not to blame, for
//! others ran beside it; so from then on it runs alone, after all others, until it is settled. Whoever then still dies
//! was to blame, and is given up after five tries; and nobody else is.
//!
//! What if the answer is lost, or the same batch comes to two processes? The messages are tried again, and the store
//! knows what is done: it is not done twice.

mod backlog;
mod batch;
mod event;
mod in_time;
mod panic;
mod trouble;
mod unreachable;
mod wait;

pub use backlog::Limit;
pub use batch::{Processor, Times};
pub use event::received;
pub use trouble::Trouble;
pub use unreachable::Unreachable;
