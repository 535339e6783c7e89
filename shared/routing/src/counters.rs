use std::collections::BTreeMap;

use crate::OwnerId;

/// What the choice depends on besides the lead: whose turn it is, and how much everybody has. Kept by the caller, shared by
/// all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By pool and owner (the names of the file): how much of a turn is due to the owner. Absent means 0.
    pub credits: BTreeMap<(String, String), i64>,
    /// By owner: how many leads. Absent means none.
    pub loads: BTreeMap<OwnerId, Load>,
}

/// How many leads an owner has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Given since the day began, in UTC.
    pub today: u64,
    /// Given, and not responded to yet.
    pub open: u64,
}

impl Counters {
    /// What is due to a member of a pool.
    pub(crate) fn credit(&self, pool: &str, owner: &str) -> i64 {
        self.credits.get(&(pool.to_owned(), owner.to_owned())).copied().unwrap_or(0)
    }

    /// What an owner has.
    pub(crate) fn load(&self, owner: &OwnerId) -> Load {
        self.loads.get(owner).copied().unwrap_or_default()
    }
}
