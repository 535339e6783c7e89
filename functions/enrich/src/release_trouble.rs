/// Signs of a bad release that do not appear as errors of the function, because it releases batches and
/// continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The connections to the database, AI or CRM could not be made.
    NotReady,
    /// A lead was dead-lettered.
    DeadLettered,
}

impl Trouble {
    /// Counts it with the function's version, so that an alarm can distinguish a new release from the
    /// previous one.
    pub(crate) fn count(self, times: usize) {
        if times == 0 {
            return;
        }
        let version = std::env::var("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_default();
        let kind = match self {
            Self::NotReady => "not_ready",
            Self::DeadLettered => "given_up",
        };
        metrics::counter!("revenueflow_release_trouble_total", "kind" => kind, "version" => version)
            .increment(times as u64);
    }
}
