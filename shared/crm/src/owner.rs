//! Possible owners of CRM records, as the CRM reports them.

use crate::{LeftOut, Object};

/// Whether a user or queue can own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerStatus {
    /// An active user.
    Active,
    /// An inactive user.
    Inactive,
    /// A queue.
    Queue {
        /// Whether it may own leads.
        leads: bool,
        /// Whether it may own tasks.
        tasks: bool,
    },
    /// The CRM does not report it, and may refuse the owner.
    Unknown,
}

impl OwnerStatus {
    /// The reason that the owner cannot have a record of this kind. None if it can, or if the CRM does not
    /// report it.
    ///
    /// In Salesforce, inactive users may keep accounts and opportunities, but no other records.
    pub fn refuses(self, object: Object) -> Option<LeftOut> {
        let is_account = matches!(object, Object::Company | Object::Opportunity);
        match (self, object) {
            (Self::Inactive, _) if !is_account => Some(LeftOut::OwnerInactive),
            (Self::Queue { leads, .. }, Object::Lead) => (!leads).then_some(LeftOut::OwnerUnsuitable),
            (Self::Queue { tasks, .. }, Object::Task | Object::Activity) => {
                (!tasks).then_some(LeftOut::OwnerUnsuitable)
            }
            (Self::Queue { .. }, _) => Some(LeftOut::OwnerUnsuitable),
            _ => None,
        }
    }
}
