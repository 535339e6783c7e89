//! Owners of leads: the assignment, its response deadline, and the counts that routing balances by.
//!
//! A lead that has an owner keeps them, unless they are unavailable; the response deadline follows the rules
//! for its newest content. For a lead that was routed but withheld from the CRM, the response time starts
//! when it is written after all.

mod assign;
mod breach;
mod counters;
mod crm_sync;
mod owner_load;
mod parking;
mod record;
mod response;

pub(crate) use assign::{Routed, assign};
pub use breach::Breach;
pub use crm_sync::CrmSync;
pub use owner_load::OwnerCount;
pub(crate) use parking::park;
pub use record::Assignment;
pub(crate) use record::{AssignmentRows, forget, forget_all};
