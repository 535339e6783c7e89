use jiff::Timestamp;
use routing::{Member, PassedOver};
use serde::Serialize;
use store::Assignment;

/// The owner of a lead, and the routing decision.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct RoutingView {
    /// The owner's id in the CRM; null if the CRM assigns the owner.
    #[schema(required)]
    pub owner: Option<String>,
    /// The owner's name in the rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The deciding rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The pool that the owner was chosen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The reason of the decision, in a sentence.
    pub because: String,
    /// The preceding rules, each with the reason that it did not decide.
    pub passed_over: Vec<PassedOver>,
    /// The members of the considered pools.
    pub members: Vec<Member>,
    /// The version of the rules.
    pub version: String,
    /// The time of the assignment to the owner.
    pub assigned_at: Timestamp,
    /// The deadline for a response; none if no response is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<Timestamp>,
    /// The time of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responded_at: Option<Timestamp>,
    /// The reporter of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responded_by: Option<String>,
    /// The latest missed deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
    /// The number of reassignments.
    pub reassignments: i64,
}

impl RoutingView {
    /// The view of a stored assignment.
    pub fn new(given: &Assignment) -> Self {
        let routed = &given.routed;
        Self {
            owner: given.owner.as_ref().map(ToString::to_string),
            name: routed.name.clone(),
            rule: routed.rule.clone(),
            pool: routed.pool.clone(),
            because: routed.because.clone(),
            passed_over: routed.passed_over.clone(),
            members: routed.members.clone(),
            version: routed.version.clone(),
            assigned_at: given.assigned_at,
            respond_by: given.due_at,
            responded_at: given.responded_at,
            responded_by: given.responded_by.clone(),
            overdue_at: given.breached_at,
            reassignments: given.reassignments,
        }
    }
}
