use crate::vocabulary;

vocabulary! {
    /// The processing status of a lead. `queued`, `processing` and `retrying` proceed automatically; the
    /// others are final.
    LeadStatus {
        /// Accepted, not yet worked on.
        Queued = "queued",
        /// In progress at a worker.
        Processing = "processing",
        /// An attempt failed or was deferred. A retry is scheduled.
        Retrying = "retrying",
        /// Written to the CRM.
        Synced = "synced",
        /// Held for review by a person, because the analysis was rejected.
        Held = "held",
        /// Held, and dismissed by a person. Nothing was written.
        Dismissed = "dismissed",
        /// The person is on the suppression list. Nothing was written.
        Suppressed = "suppressed",
        /// The CRM plan is stored but not executed, because the CRM is in shadow mode or held.
        Planned = "planned",
        /// Processed by a worker of another application on the same queue. Its writes are not known here.
        WorkedElsewhere = "worked_elsewhere",
        /// The synthetic lead was processed completely. Nothing was written.
        Synthetic = "synthetic",
        /// Dead-lettered, with a reason that a person can act on.
        PermanentlyFailed = "permanently_failed",
    }
}

impl LeadStatus {
    /// Whether processing has ended, so that no further step follows without an external cause.
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
