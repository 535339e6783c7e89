//! Every use case of an operator: list, explain, review, redrive, suppress, erase, plan, promote, hold.
//!
//! [`Operations`] is the only way to these acts: the HTTP interface and the command line both call it.

mod crm;
mod explain;
mod operations;
mod pauses;
mod people;
mod routing;
mod view;

pub use explain::{
    Adjustment, Asked, CheckedClaim, Counterfactual, Explanation, Fact, Judgement, Knew, OtherLead, Part,
    Received, Sum, Unanswered, Written,
};
pub use operations::{OperationError, Operations, Page};
pub use pauses::Resumed;
pub use people::{Certificate, HeldLead, ReviewAnswer};
pub use pipeline::PlannedLead;
pub use routing::RoutingView;
pub use view::LeadView;
