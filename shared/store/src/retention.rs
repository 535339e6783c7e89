//! Retention: finished leads, contents that nothing needs any more, and dead letters are removed after a set
//! time.
//!
//! A pass looks at the leads in the order of their creation, in batches, and remembers how far it got. It
//! needs no index of its own, and a process that dies costs one batch. Each removal is a short transaction of
//! few leads, so that arriving leads wait for at most one of them.

mod contents;
mod expired;
mod leads;
mod pass;
mod scan;

use std::time::Duration;

use lead::LeadStatus;

pub use expired::{Expired, ExpiredKind, Findings};
pub use pass::RetentionPass;

use crate::Cursor;

/// How long data is kept; none: until somebody erases it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Finished leads with everything that belongs to them, since their last change or delivery.
    pub leads: Option<Duration>,
    /// Leads that wait for a decision of a person: held and planned ones.
    pub held: Option<Duration>,
    /// Contents: superseded deliveries, raw answers of analysts, and the CRM's old values in the ledger.
    pub content: Option<Duration>,
    /// Dead letters, since their failure.
    pub dead_letters: Option<Duration>,
}

/// The result of one batch of a pass.
#[derive(Clone, Debug, PartialEq)]
pub struct RetentionBatch {
    /// The expired data that the batch has found, and removed unless it only counts.
    pub expired: Expired,
    /// The number of leads that it looked at.
    pub looked_at: u64,
    /// The position of the next batch; none if the pass has ended.
    pub next: Option<Cursor>,
}

/// The times before which data is due, in milliseconds; none: never.
#[derive(Clone, Copy)]
struct Limits {
    leads: Option<i64>,
    held: Option<i64>,
    content: Option<i64>,
}

impl Retention {
    /// Whether any of the data that a pass over the leads removes has a limit.
    pub fn concerns_leads(&self) -> bool {
        self.leads.is_some() || self.held.is_some() || self.content.is_some()
    }

    fn limits(&self, now: i64) -> Limits {
        let before = |kept: Option<Duration>| {
            kept.map(|kept| now.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)))
        };
        Limits { leads: before(self.leads), held: before(self.held), content: before(self.content) }
    }
}

impl Limits {
    /// The time before which a lead with this status is due; none if it is not to be removed. A lead that is
    /// on its way, or that waits for a person, is never removed with the finished ones.
    fn of(&self, status: LeadStatus) -> Option<i64> {
        match status {
            LeadStatus::Queued | LeadStatus::Processing | LeadStatus::Retrying => None,
            LeadStatus::Held | LeadStatus::Planned => self.held,
            // A permanently failed lead waits for a person as long as it has a dead letter; the statements
            // check that.
            LeadStatus::Synced
            | LeadStatus::Dismissed
            | LeadStatus::Suppressed
            | LeadStatus::WorkedElsewhere
            | LeadStatus::Synthetic
            | LeadStatus::PermanentlyFailed => self.leads,
        }
    }

    /// The time after which no lead was created that has any data due.
    fn newest(&self) -> i64 {
        [self.leads, self.held, self.content].into_iter().flatten().max().unwrap_or(i64::MIN)
    }
}
