//! Limits on the leads of one source, domain or address, so that a flood of one does not use up the AI
//! budget, the enrichment credits and the CRM quota of the others.

use std::sync::Arc;

use analysis::{Analyst, Rules};
use enrichment::{Enrichment, EnrichmentStatus};
use lead::{Failure, SenderName};
use sources::{Policy, Sources};
use store::{OverLimit, SourceLimits, Work};

use crate::Pipeline;
use crate::flood::{FloodLimits, Floods};

/// The sources of leads and the limits on them.
pub struct SourceRules {
    sources: Sources,
    /// The AI's budget a day, of which each source may have a share.
    ai_microusd_per_day: Option<u64>,
    floods: Floods,
}

impl SourceRules {
    /// The rules of the sources file, for an AI with this budget a day in millionths of a US dollar.
    pub fn new(sources: Sources, ai_microusd_per_day: Option<u64>, floods: FloodLimits) -> Self {
        Self { sources, ai_microusd_per_day, floods: Floods::new(floods) }
    }

    /// The rules of a product without a sources file: none.
    pub fn none() -> Self {
        Self::new(Sources::unnamed(), None, FloodLimits::NONE)
    }

    /// The policy of a source; none for one that is not in the file any more.
    pub(crate) fn policy(&self, source: &SenderName) -> Option<&Policy> {
        self.sources.get(source).map(sources::Source::policy)
    }

    fn limits(&self, source: &SenderName) -> SourceLimits {
        let Some(policy) = self.policy(source) else { return SourceLimits::default() };
        let share = policy.limits.ai_share.zip(self.ai_microusd_per_day);
        SourceLimits {
            per_minute: policy.limits.per_minute,
            per_day: policy.limits.per_day,
            ai_microusd_per_day: share.map(|(share, budget)| share_of(budget, share)),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of at most 1 of an amount of money"
)]
fn share_of(budget: u64, share: f64) -> u64 {
    (budget as f64 * share) as u64
}

/// Why a lead is judged by the rules although an AI is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RulesOnly {
    /// A limit of its source.
    Source(OverLimit),
    /// Many leads of its domain.
    DomainFlood,
    /// Many leads of its address.
    AddressFlood,
}

impl RulesOnly {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Source(over) => over.as_str(),
            Self::DomainFlood => "domain_flood",
            Self::AddressFlood => "address_flood",
        }
    }
}

impl Pipeline {
    /// Defers a lead whose source sends faster than its limit until its turn.
    pub(crate) async fn await_turn(&self, work: &mut Work) -> Result<(), Failure> {
        let source = &work.sender.name;
        let limits = self.sources.limits(source);
        if limits.is_none() {
            return Ok(());
        }
        let turn = match work.turn {
            Some(turn) => turn,
            None => self.store.take_turn(source, &work.delivery_id, limits).await?,
        };
        work.turn = Some(turn);
        let wait = turn.at.duration_since(self.clock.now());
        match wait.try_into() {
            // A limit that was removed since holds nothing back.
            Ok(wait) if limits.per_minute.is_some() && turn.at > self.clock.now() => {
                let message = "its source sends more leads a minute than the sources file permits";
                metrics::counter!("revenueflow_source_limited_total", "source" => source.as_str().to_owned(),
                    "limit" => "per_minute")
                .increment(1);
                Err(Failure::lead_deferral("source_paced", message, wait))
            }
            _ => Ok(()),
        }
    }

    /// Whether a lead is judged by the rules only. Counts it for the limits on domains and addresses.
    pub(crate) fn rules_only(&self, work: &Work) -> Option<RulesOnly> {
        if self.analyst.dependencies().is_empty() || work.lead_id.is_synthetic() {
            return None;
        }
        let over = work.turn.and_then(|turn| turn.over).map(RulesOnly::Source);
        let reason = over.or_else(|| self.sources.floods.count(&work.lead.email, self.clock.now()))?;
        metrics::counter!("revenueflow_source_limited_total", "source" => work.sender.name.as_str().to_owned(),
            "limit" => reason.as_str())
        .increment(1);
        Some(reason)
    }

    /// The rules as an analyst.
    pub(crate) fn rules(&self) -> Arc<dyn Analyst> {
        Arc::new(Rules::new(self.icp.clone()))
    }
}

/// The enrichment of a lead over the limit of its source: no provider is queried.
pub(crate) fn unenriched(work: &Work) -> Option<Enrichment> {
    let is_over = work.turn.is_some_and(|turn| turn.over == Some(OverLimit::SourceDay));
    is_over.then(|| Enrichment::nothing(EnrichmentStatus::OverLimit))
}
