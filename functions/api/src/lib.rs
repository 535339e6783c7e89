//! Read and operate: leads, audit, explain, replay, dead letters.
//!
//! [`Operations`] is what an operator can do; the command line calls it directly and [`router`] puts it on HTTP.

mod crm;
mod explain;
mod http;
mod openapi;
mod operations;
mod pauses;
mod people;
mod routing;
mod view;

pub use explain::{
    Adjustment, Asked, CheckedClaim, Counterfactual, Explanation, Fact, Judgement, Knew, OtherLead, Part,
    Received, Sum, Unanswered, Written,
};
pub use http::{ApiState, local_only, router, router_without_database};
pub use openapi::openapi;
pub use operations::{OperationError, Operations, Page};
pub use pauses::Resumed;
pub use people::{Certificate, HeldLead, ReviewAnswer};
pub use routing::RoutingView;
pub use view::LeadView;
