//! What a CRM says of those who may own records.

use crate::{LeftOut, Object};

/// Whether somebody may be given records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerStanding {
    /// A user who works there.
    Active,
    /// A user who has left.
    Inactive,
    /// A queue.
    Queue {
        /// Whether it may own leads.
        leads: bool,
        /// Whether it may own tasks.
        tasks: bool,
    },
    /// The CRM does not say. It will refuse the owner, or not.
    Unknown,
}

impl OwnerStanding {
    /// Why a record of this kind cannot be given to them; none where it can, or where the CRM does not say.
    ///
    /// Salesforce lets users who have left keep accounts and opportunities, and nothing else.
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
