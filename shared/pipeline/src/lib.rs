//! One lead's way from the queue to the CRM: enrich, ask what the CRM knows, judge, check, write.
//!
//! What each step finds out is stored before the next one begins. A process that dies anywhere leaves a delivery
//! that the next attempt takes up where it stopped: nobody is asked twice for what is known, and no effect happens
//! twice.
//!
//! ```text
//! begin ── enrich ── ask the CRM ── judge ── check ──┬── plan ──┬── guard ── CRM ── synced
//!   │         │           │           │        │     │          └── planned (shadow mode)
//!   │         │           │           │        │     └── held (rejected)
//!   └─────────┴───────────┴───────────┴────────┴───────────────────────── store, audit trail
//! ```
//!
//! The synthetic lead ends after `check`: neither a provider, a paid model nor a CRM is asked about it.

mod breakers;
mod convert;
mod earlier;
mod enriched_again;
mod evaluate;
mod handler;
mod judge;
mod known;
mod permission;
mod plan;
mod preview;
mod replay;
mod rollback;
mod route;
mod synthetic;

pub use convert::{Conversion, NotConverted};
pub use evaluate::{
    Alternative, Basis, Evaluated, FactChange, FailedEvaluation, Judgement, NotEvaluated, Route, Selection,
    evaluate,
};
pub use plan::Rejected;
pub use preview::{NoPlan, PlannedLead};
pub use replay::{Change, Problem, Replay, Verified, verify};
pub use route::Chased;

use std::sync::Arc;

use analysis::{Analyst, Icp};
use crm::Guard;
use enrichment::Waterfall;
use lead::Clock;
use routing::Routing;
use store::Store;

/// The steps and what they work with.
pub struct Pipeline {
    /// Where everything is kept.
    pub store: Store,
    /// Who knows companies.
    pub enrichment: Waterfall,
    /// The ideal customer, which computes facts and sets the thresholds.
    pub icp: Icp,
    /// Who judges.
    pub analyst: Arc<dyn Analyst>,
    /// The only way to the CRM.
    pub guard: Guard,
    /// Who gets a lead.
    pub routing: Routing,
    /// What becomes of a lead whose analysis is rejected.
    pub rejected: Rejected,
    /// The time.
    pub clock: Arc<dyn Clock>,
}
