/// What a bad release shows itself by: nothing of it is an error of the function, which hands batches back and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The parts that work on leads could not be made.
    NotReady,
    /// A lead was given up.
    GivenUp,
}

impl Trouble {
    /// Counts it, with the function's version, so that an alarm can tell a new release from the one before it.
    pub fn count(self) {
        let version = std::env::var("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or_default();
        let kind = match self {
            Self::NotReady => "not_ready",
            Self::GivenUp => "given_up",
        };
        metrics::counter!("revenueflow_release_trouble_total", "kind" => kind, "version" => version)
            .increment(1);
    }
}
