use jiff::Timestamp;
use routing::{Member, PassedOver};
use serde::Serialize;
use store::Assignment;

/// Who has a lead and why, as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RoutingView {
    /// Who has it, as the CRM calls them; none where it is left to the CRM.
    pub owner: Option<String>,
    /// The name that the rules have for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The pool whose turn it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The decision in a sentence.
    pub because: String,
    /// The rules before it, each with the reason it did not decide.
    pub passed_over: Vec<PassedOver>,
    /// The members of the pools that were asked.
    pub members: Vec<Member>,
    /// The version of the rules.
    pub version: String,
    /// When its owner was given it.
    pub assigned_at: Timestamp,
    /// When somebody is to have responded; none where nobody is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub respond_by: Option<Timestamp>,
    /// When somebody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responded_at: Option<Timestamp>,
    /// Who said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responded_by: Option<String>,
    /// When nobody had responded in time, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
    /// How often it was given to somebody else.
    pub reassignments: i64,
}

impl RoutingView {
    /// An assignment as it is kept.
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
