use std::sync::Arc;

use async_trait::async_trait;
use grounding::FactSheet;
use lead::{Dependency, Failure, FailureClass};

use crate::{Analysis, AnalysisError, Analyst, Objection};

/// A primary and a secondary analyst. If the primary one fails for any reason, the secondary one judges
/// within the same attempt. The analysis names the one that answered.
pub struct FallbackAnalyst {
    first: Arc<dyn Analyst>,
    second: Arc<dyn Analyst>,
}

impl FallbackAnalyst {
    /// Calls `first`, and `second` if `first` gives no answer.
    pub fn new(first: Arc<dyn Analyst>, second: Arc<dyn Analyst>) -> Self {
        Self { first, second }
    }
}

#[async_trait]
impl Analyst for FallbackAnalyst {
    fn provider(&self) -> &'static str {
        self.first.provider()
    }

    fn model(&self) -> &str {
        self.first.model()
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        let first = match self.first.analyse(facts).await {
            Ok(analysis) => return Ok(analysis),
            Err(first) => first,
        };
        tracing::info!(code = %first.failure.code, second = self.second.provider(), "first AI gave no answer, calling the second");
        match self.second.analyse(facts).await {
            Ok(analysis) => Ok(analysis.after(first.spent.as_deref())),
            Err(second) => Err(least_final(first, second)),
        }
    }

    /// Calls the analyst that gave the rejected answer.
    async fn correct(
        &self,
        facts: &FactSheet,
        rejected: &Analysis,
        objections: &[Objection],
    ) -> Result<Option<Analysis>, AnalysisError> {
        let analyst = if self.first.provider() == rejected.provider { &self.first } else { &self.second };
        analyst.correct(facts, rejected, objections).await
    }

    fn dependencies(&self) -> Vec<Dependency> {
        [self.first.dependencies(), self.second.dependencies()].concat()
    }

    async fn self_test(&self, dependency: &Dependency) -> Result<(), Failure> {
        if self.first.dependencies().contains(dependency) {
            self.first.self_test(dependency).await
        } else {
            self.second.self_test(dependency).await
        }
    }

    async fn probe(&self, dependency: &Dependency) -> Result<(), Failure> {
        if self.first.dependencies().contains(dependency) {
            self.first.probe(dependency).await
        } else {
            self.second.probe(dependency).await
        }
    }
}

/// Selects the failure that is more likely to recover: transient before deferral before permanent, and the
/// shorter of two waits. The first failure wins a tie. The result carries the cost of both.
fn least_final(first: AnalysisError, second: AnalysisError) -> AnalysisError {
    let rank = |no: &AnalysisError| match no.failure.class() {
        FailureClass::Transient => (0, None),
        FailureClass::Deferral => (1, no.failure.retry_after()),
        FailureClass::Permanent => (2, None),
    };
    let (counts, other) = if rank(&second) < rank(&first) { (second, first) } else { (first, second) };
    let spent = match (counts.spent, other.spent) {
        (Some(spent), other) => Some(Box::new(spent.after(other.as_deref()))),
        (None, other) => other,
    };
    AnalysisError { failure: counts.failure, spent }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Usage;

    #[test]
    fn less_final_of_two_failures_is_returned() {
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
            assert_eq!(least_final(first.into(), second.into()).failure, counts);
        }
        let other = Failure::permanent("ai_model_retired", "gone");
        assert_eq!(least_final(never().into(), other.into()).failure, never());
    }

    #[test]
    fn cost_of_both_failures_is_kept() {
        let cost = |provider: &str, cost_microusd| Analysis {
            provider: provider.to_owned(),
            model: String::new(),
            prompt_version: None,
            raw_answer: String::new(),
            usage: Usage { input_tokens: 1, output_tokens: 1, cost_microusd },
            latency_ms: 1,
        };
        let no = |failure, spent: Option<Analysis>| AnalysisError { failure, spent: spent.map(Box::new) };
        let never = || Failure::permanent("ai_blocked", "no");
        let again = || Failure::transient("ai_answer_unreadable", "not JSON");
        let both = least_final(no(never(), Some(cost("a", 3))), no(again(), Some(cost("b", 4))));
        let spent = both.spent.unwrap();
        assert_eq!((spent.provider.as_str(), spent.usage.cost_microusd, spent.latency_ms), ("b", 7, 2));
        let one = least_final(no(never(), Some(cost("a", 3))), no(again(), None));
        assert_eq!(one.spent.unwrap().usage.cost_microusd, 3);
    }
}
