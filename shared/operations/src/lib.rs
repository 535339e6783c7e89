//! The use cases of an operator: list, explain, review, redrive, suppress, erase, plan, promote, hold,
//! evaluate, reconcile.
//!
//! The HTTP interface and the command line both call [`Operations`]; no other code implements these acts.

mod audit;
mod checks;
mod crm;
mod erasure;
mod evaluate;
mod explain;
mod export;
mod operations;
mod pauses;
mod people;
mod reconcile;
mod retention;
mod routing;
mod view;

pub use audit::AuditVerification;
pub use checks::{MappingState, Omissions, QueueState, RoutedOwner};
pub use crm::{CrmStatus, RolledBack, RolledBackAction};
pub use erasure::Certificate;
pub use evaluate::{Evaluation, FailedEvaluation, Flow, NotReproduced, Selection, Verification};
pub use explain::{
    Adjustment, CheckedClaim, Conclusion, Counterfactual, Explanation, Fact, Judgement, KnownFacts,
    OtherLead, Received, ScoreBreakdown, ScorePart, Unanswered, Written,
};
pub use export::Export;
pub use janitor::Reconciled;
pub use operations::{OperationError, Operations, Page};
pub use pauses::Resumed;
pub use people::{HeldLead, ReviewAnswer};
pub use pipeline::{Alternative, Basis, Evaluated, PlannedLead, Replay};
pub use reconcile::DrainedSpools;
pub use retention::{RetainedKind, RetentionReport};
pub use routing::RoutingView;
pub use store::{
    Act, ActKind, AuditBreak, AuditEvent, AuditProblem, Awaits, Cursor, ExpiredKind, LeadFilter, Retention,
    Suppression, Verdict, WrittenAction,
};
pub use view::LeadView;
