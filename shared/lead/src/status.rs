use std::fmt;

use serde::{Deserialize, Serialize};

use crate::judgement::vocabulary;

vocabulary! {
    /// Where a lead stands.
    LeadStatus {
        /// Accepted, not yet worked on.
        Queued = "queued",
        /// A worker has it.
        Processing = "processing",
        /// An attempt failed or was deferred; another will follow by itself.
        Retrying = "retrying",
        /// Written to the CRM.
        Synced = "synced",
        /// A person must look at it: its analysis was rejected.
        Held = "held",
        /// Held, and put aside by a person: nothing was written.
        Dismissed = "dismissed",
        /// The person is on the suppression list: nothing was written.
        Suppressed = "suppressed",
        /// Its plan for the CRM is made and kept, and not carried out: the CRM is only shadowed.
        Planned = "planned",
        /// A worker of another application on the same queue has done it: what it wrote, nobody here knows.
        WorkedElsewhere = "worked_elsewhere",
        /// The synthetic lead has gone all the way: nothing was written.
        Synthetic = "synthetic",
        /// Dead-lettered, with a reason a person can act on.
        PermanentlyFailed = "permanently_failed",
    }
}

impl LeadStatus {
    /// Whether nothing more happens by itself.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Synced
                | Self::Held
                | Self::Dismissed
                | Self::Suppressed
                | Self::Planned
                | Self::WorkedElsewhere
                | Self::Synthetic
                | Self::PermanentlyFailed
        )
    }
}
