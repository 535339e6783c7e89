//! How long data is kept, and what is due.

use std::sync::Arc;
use std::time::Duration;

use janitor::Retainer;
use jiff::Timestamp;
use lead::Actor;
use serde::Serialize;
use store::{Expired, ExpiredKind};

use crate::operations::{OperationError, Operations};

/// The data whose retention is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetentionReport {
    /// False for a dry run.
    pub applied: bool,
    /// Every kind of data.
    pub kinds: Vec<RetainedKind>,
}

/// One kind of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetainedKind {
    /// The kind.
    pub kind: ExpiredKind,
    /// The setting that limits it.
    pub setting: &'static str,
    /// The limit, in days; none if it is kept until it is erased.
    pub keep_days: Option<u64>,
    /// The number of rows that are due, or were removed.
    pub due: u64,
    /// The time of the oldest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
}

impl RetentionReport {
    /// The total number of rows.
    pub fn due(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.due).sum()
    }
}

impl Operations {
    /// Counts the data whose retention is over, by kind; with `apply`, removes it. Calls `progress` after
    /// each batch with the number of leads that were looked at.
    ///
    /// Reads every lead older than the shortest limit. If the future is dropped, what was removed so far
    /// stays removed.
    pub async fn retention(
        &self,
        actor: &Actor,
        apply: bool,
        progress: impl FnMut(u64) + Send,
    ) -> Result<RetentionReport, OperationError> {
        let (queue, clock) = (Arc::clone(&self.queue), Arc::clone(&self.pipeline.clock));
        let retainer =
            Retainer::new(self.store.clone(), queue, clock, self.retention).acting_as(actor.clone());
        let expired = if apply { retainer.apply(progress).await? } else { retainer.count(progress).await? };
        Ok(self.report(apply, &expired))
    }

    fn report(&self, applied: bool, expired: &Expired) -> RetentionReport {
        let kinds = ExpiredKind::ALL.map(|kind| {
            let (setting, kept) = match kind {
                ExpiredKind::Leads => ("RETAIN_LEADS_DAYS", self.retention.leads),
                ExpiredKind::HeldLeads => ("RETAIN_HELD_DAYS", self.retention.held),
                ExpiredKind::Contents | ExpiredKind::Answers | ExpiredKind::CrmValues => {
                    ("RETAIN_CONTENT_DAYS", self.retention.content)
                }
                ExpiredKind::DeadLetters => ("RETAIN_DEAD_LETTERS_DAYS", self.retention.dead_letters),
            };
            let keep_days = kept.map(|kept: Duration| kept.as_secs() / (24 * 60 * 60));
            let oldest = expired.of(kind).map(|found| found.oldest);
            RetainedKind { kind, setting, keep_days, due: expired.count(kind), oldest }
        });
        RetentionReport { applied, kinds: kinds.into() }
    }
}
