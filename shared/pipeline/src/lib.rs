//! Processing of one lead, from the queue to the CRM: enrich, read the CRM, judge, check, write.
//!
//! Each step stores its result before the next step begins. When a process dies, the next attempt resumes the
//! delivery at the step that was interrupted: no stored result is requested again, and no effect happens
//! twice.
//!
//! ```text
//! begin ── enrich ── read the CRM ── judge ── check ──┬── plan ──┬── guard ── CRM ── synced
//!   │         │            │           │        │     │          └── planned (shadow mode)
//!   │         │            │           │        │     └── held (rejected)
//!   └─────────┴────────────┴───────────┴────────┴───────────────────────── store, audit trail
//! ```
//!
//! The synthetic lead ends after `check`. It causes no call to a provider, a paid model or a CRM.

mod breakers;
mod convert;
mod crm_facts;
mod earlier;
mod enrichment_retry;
mod evaluate;
mod flood;
mod handler;
mod judge;
mod permission;
mod plan;
mod preview;
mod replay;
mod rollback;
mod route;
mod source_rules;
mod synthetic;
mod trust;

pub use convert::{Conversion, NotConverted};
pub use evaluate::{Alternative, Basis, Evaluated, FactChange, Judgement, NotEvaluated, Route};
pub use flood::FloodLimits;
pub use plan::Rejected;
pub use preview::{NoPlan, PlannedLead};
pub use replay::{Change, Problem, Replay, verify};
pub use route::EscalationSummary;
pub use source_rules::SourceRules;

use std::sync::Arc;

use analysis::{Analyst, Icp};
use crm::Guard;
use enrichment::Waterfall;
use lead::{Clock, Dependency, Failure};
use routing::Routing;
use store::{Steps, Store};

/// The processing steps and their dependencies.
pub struct Pipeline {
    /// Persistent state: leads, deliveries, analyses, audit trail, CRM ledger.
    pub store: Store,
    /// The steps of work in that store.
    pub steps: Steps,
    /// The enrichment providers.
    pub enrichment: Waterfall,
    /// The ideal customer profile, which computes facts and sets the thresholds.
    pub icp: Icp,
    /// The analyst that judges leads.
    pub analyst: Arc<dyn Analyst>,
    /// The only access to the CRM.
    pub guard: Guard,
    /// The rules that assign leads to owners.
    pub routing: Arc<Routing>,
    /// The limits on the leads of each source, domain and address.
    pub sources: SourceRules,
    /// The treatment of a lead whose analysis is rejected.
    pub rejected: Rejected,
    /// The source of the current time.
    pub clock: Arc<dyn Clock>,
}

impl Pipeline {
    /// The outside systems that processing waits for: the AI services of the analyst, then the CRM.
    pub fn dependencies(&self) -> Vec<Dependency> {
        let mut dependencies = self.analyst.dependencies();
        dependencies.push(self.guard.dependency().clone());
        dependencies
    }

    /// Probes one of the [`dependencies`](Self::dependencies) with its cheapest call.
    pub async fn probe(&self, dependency: &Dependency) -> Result<(), Failure> {
        if dependency == self.guard.dependency() {
            self.guard.probe().await
        } else {
            self.analyst.probe(dependency).await
        }
    }
}
