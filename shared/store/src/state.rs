use lead::vocabulary;

vocabulary! {
    /// The state of a delivery.
    DeliveryState {
        /// Accepted and not finished.
        Open = "open",
        /// Finished, whatever the outcome for the lead.
        Done = "done",
        /// Skipped, because a newer delivery arrived.
        Superseded = "superseded",
        /// Dead-lettered.
        Failed = "failed",
    }
}

vocabulary! {
    /// The state of the circuit breaker of a dependency.
    BreakerState {
        /// Calls are admitted.
        Closed = "closed",
        /// No call is admitted.
        Open = "open",
        /// One call is admitted as a probe.
        HalfOpen = "half_open",
    }
}

vocabulary! {
    /// Whether enrichment is requested again for a delivery.
    EnrichmentRetry {
        /// A provider has answered, or none was queried yet.
        None = "none",
        /// No provider could answer.
        Missing = "missing",
        /// No provider could answer, and the next judgement requests enrichment again.
        Requested = "requested",
    }
}
