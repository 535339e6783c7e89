//! The steps around a receive: before it, recovery of jobs from dead workers and redrive of dead letters;
//! after it, conversion of jobs into messages.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use super::dead_letter::DeadLetter;
use super::identity::Identity;
use super::jobs::{JOB, job_options};
use super::{ORDER_RECHECK, RedisQueue, millis};
use crate::{Message, QueueError, Receipt};

/// The interval between checks for retried dead letters.
const REDRIVE_INTERVAL: Duration = Duration::from_secs(1);

/// A leased job, as `receive.lua` returns it.
pub(super) type Leased = (String, String, String, Vec<u8>, u32, u32, i64, u8);

impl RedisQueue {
    /// Releases the jobs of dead workers, if the stalled interval has passed.
    pub(super) async fn recover(&self) -> Result<(), QueueError> {
        let interval = self.options.stalled_interval;
        if self.recovery_timer.is_due(interval) {
            self.connection.set_client_name(&self.keys.client_name).await?;
            let mut recover = self.scripts.recover();
            recover.arg(millis(interval));
            let count: u64 = self.connection.run(&recover).await?;
            if count > 0 {
                tracing::warn!(count, "leases of dead workers expired: their messages are received again");
            }
        }
        Ok(())
    }

    /// Requeues the dead letters that were retried through BullMQ, such as at a dashboard, if the interval
    /// has passed.
    pub(super) async fn redrive(&self) -> Result<(), QueueError> {
        if !self.redrive_timer.is_due(REDRIVE_INTERVAL) {
            return Ok(());
        }
        let mut retried = self.scripts.retried();
        retried.arg(&self.keys.dead_letters);
        let letters: Vec<String> = self.connection.run(&retried).await?;
        for letter in letters {
            let Some(DeadLetter { id, lead_id, data }) = DeadLetter::parse(&letter) else {
                tracing::error!("retried dead letter cannot be parsed: it was changed and is not requeued");
                continue;
            };
            let Identity { mut lead, delivery } = Identity::new(data, &id);
            if !lead_id.is_empty() {
                lead = lead_id;
            }
            let mut redrive = self.scripts.redrive();
            redrive.arg(JOB).arg(millis(ORDER_RECHECK)).arg(&self.keys.dead_letters);
            redrive.arg(&id).arg(data).arg(job_options(&id)).arg(&lead).arg(delivery);
            let _: i64 = self.connection.run(&redrive).await?;
            tracing::info!(lead_id = lead, message_id = id, "retried dead letter requeued");
        }
        Ok(())
    }

    /// Converts a leased job into a message. `None` if another job of its lead comes first.
    async fn message(&self, leased: Leased) -> Result<Option<Message>, QueueError> {
        let (id, token, mut lead, data, attempts, losses, sent_at, redriven) = leased;
        let body = String::from_utf8_lossy(&data).into_owned();
        if lead.is_empty() {
            let delivery;
            Identity { lead, delivery } = Identity::new(&body, &id);
            let mut claim = self.scripts.claim();
            claim.arg(&id).arg(&token).arg(&lead).arg(millis(ORDER_RECHECK)).arg(delivery);
            if !self.connection.run(&claim).await? {
                return Ok(None);
            }
        }
        Ok(Some(Message {
            receipt: Receipt { key: id.clone(), token },
            id,
            group: lead,
            body,
            attempt: attempts.saturating_add(1),
            losses,
            sent_at: Timestamp::from_millisecond(sent_at).unwrap_or(Timestamp::UNIX_EPOCH),
            redriven: redriven == 1,
            removed: crate::Removed::default(),
        }))
    }

    /// Converts leased jobs into messages. A job whose claim fails is received again when its lease has
    /// expired.
    pub(super) async fn messages(&self, leased: Vec<Leased>) -> Vec<Message> {
        let claimed = join_all(leased.into_iter().map(|job| self.message(job))).await;
        let skip = |error| tracing::warn!(%error, "leased message could not be claimed");
        claimed.into_iter().filter_map(|message| message.map_err(skip).ok().flatten()).collect()
    }
}
