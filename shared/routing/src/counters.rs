use std::collections::BTreeMap;

use crate::OwnerId;

/// The state that routing depends on besides the lead: the turns in each pool and the load of each owner. The
/// caller stores it, shared by all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The round-robin credit of each owner, by the pool's and the owner's name in the routing file. Absent
    /// means 0.
    pub credits: BTreeMap<(String, String), i64>,
    /// The load of each owner. Absent means no leads.
    pub loads: BTreeMap<OwnerId, Load>,
}

/// The number of leads of an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Leads assigned since the day began, in UTC.
    pub today: u64,
    /// Assigned leads without a response.
    pub open: u64,
}

impl Counters {
    /// The round-robin credit of a member of a pool.
    pub(crate) fn credit(&self, pool: &str, owner: &str) -> i64 {
        self.credits.get(&(pool.to_owned(), owner.to_owned())).copied().unwrap_or(0)
    }

    /// The load of an owner.
    pub(crate) fn load(&self, owner: &OwnerId) -> Load {
        self.loads.get(owner).copied().unwrap_or_default()
    }
}
