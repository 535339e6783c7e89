use serde::{Deserialize, Serialize};

/// A considered member of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// The pool.
    pub pool: String,
    /// The owner's name in the routing file.
    pub owner: String,
    /// Share of turns in proportion to the other members.
    pub weight: u32,
    /// The round-robin credit before the decision.
    pub credit: i64,
    /// Leads assigned to the owner since the day began, in UTC.
    pub today: u64,
    /// Leads assigned to the owner without a response.
    pub open: u64,
    /// `chosen`, `waits`, or `skipped` with the reason.
    #[schema(value_type = Value)]
    pub outcome: Outcome,
}

/// The result for a considered member of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The member receives the lead.
    Chosen,
    /// The member was eligible, but another one had the next turn.
    Waits,
    /// The member was not eligible, with the reason.
    Skipped(String),
}
