use std::sync::Arc;

use async_trait::async_trait;
use grounding::FactSheet;
use lead::{Dependency, Failure, FailureClass};

use crate::{Analysis, Analyst};

/// Two analysts: whatever keeps the first from answering, the second is asked in the same attempt. The analysis says which
/// one answered.
pub struct Relay {
    first: Arc<dyn Analyst>,
    second: Arc<dyn Analyst>,
}

impl Relay {
    /// Asks `first`, and `second` where that gives no answer.
    pub fn new(first: Arc<dyn Analyst>, second: Arc<dyn Analyst>) -> Self {
        Self { first, second }
    }
}

#[async_trait]
impl Analyst for Relay {
    fn provider(&self) -> &'static str {
        self.first.provider()
    }

    fn model(&self) -> &str {
        self.first.model()
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, Failure> {
        let first = match self.first.analyse(facts).await {
            Ok(analysis) => return Ok(analysis),
            Err(failure) => failure,
        };
        tracing::info!(code = %first.code, second = self.second.provider(), "the second AI is asked");
        match self.second.analyse(facts).await {
            Ok(analysis) => Ok(analysis),
            Err(second) => Err(least_final(first, second)),
        }
    }

    fn dependencies(&self) -> Vec<Dependency> {
        [self.first.dependencies(), self.second.dependencies()].concat()
    }

    async fn probe(&self, dependency: &Dependency) -> Result<(), Failure> {
        if self.first.dependencies().contains(dependency) {
            self.first.probe(dependency).await
        } else {
            self.second.probe(dependency).await
        }
    }
}

/// Of two reasons for no answer the one that leaves most hope: another attempt before a wait, the shorter wait before the
/// longer, and either before none. Otherwise the first one's.
fn least_final(first: Failure, second: Failure) -> Failure {
    let hope = |failure: &Failure| match failure.class {
        FailureClass::Transient => (0, None),
        FailureClass::Deferral => (1, failure.retry_after),
        FailureClass::Permanent => (2, None),
    };
    if hope(&second) < hope(&first) { second } else { first }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_two_failures_the_less_final_one_counts() {
        let wait = |seconds| {
            let wait = Some(Duration::from_secs(seconds));
            Failure::deferral(Dependency::new("ai.test"), "ai_rate_limited", "wait", wait)
        };
        let again = || Failure::transient("ai_unavailable", "busy");
        let never = || Failure::permanent("ai_blocked", "no");
        for (first, second, counts) in [
            (never(), again(), again()),
            (again(), never(), again()),
            (wait(9), again(), again()),
            (wait(9), wait(3), wait(3)),
            (wait(3), wait(9), wait(3)),
            (never(), wait(9), wait(9)),
            (wait(9), never(), wait(9)),
        ] {
            assert_eq!(least_final(first, second), counts);
        }
        let other = Failure::permanent("ai_model_retired", "gone");
        assert_eq!(least_final(never(), other), never());
    }
}
