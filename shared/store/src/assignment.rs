//! Owners of leads: the assignment, its response deadline, and the counts that routing balances by.

mod assign;
mod breach;
mod counters;
mod crm_sync;
mod owner_load;
mod parking;
mod record;
mod response;

pub use breach::Breach;
pub use crm_sync::CrmSync;
pub use owner_load::OwnerCount;
pub(crate) use parking::park;
pub use record::Assignment;
pub(crate) use record::forget;
