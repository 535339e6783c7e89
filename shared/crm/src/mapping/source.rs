use grounding::{FieldPath, Namespace};

use super::adopted::Adopted;
use crate::{Action, Object};

/// The sources that a mapping can name, besides facts.
pub const SOURCES: &[&str] = &[
    "lead.email",
    "lead.campaign_id",
    "lead.first_name",
    "lead.last_name",
    "lead.company",
    "lead.title",
    "lead.phone",
    "lead.owner",
    "lead.earlier",
    "lead.status",
    "score.fit_score",
    "score.fit",
    "score.intent",
    "score.decision",
    "score.fallback",
    "score.summary",
    "company.domain",
    "company.name",
    "company.industry",
    "company.employees_min",
    "company.employees_max",
    "company.revenue_usd_min",
    "company.revenue_usd_max",
    "company.city",
    "company.region",
    "company.country",
    "company.technologies",
    "account.domain",
    "account.name",
    "conversion.status",
    "task.decision",
    "task.subject",
    "task.description",
    "task.priority",
    "task.due_at",
    "task.owner",
    "activity.subject",
    "activity.body",
    "activity.at",
    "contact.email",
    "contact.first_name",
    "contact.last_name",
    "contact.title",
    "contact.phone",
    "opportunity.name",
    "opportunity.stage",
    "opportunity.amount_usd",
    "opportunity.closes_at",
];

/// The name of the score in [`SOURCES`].
pub(super) const SCORE: &str = "score.fit_score";

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A parameter of an action, by its name in [`SOURCES`].
    Own(&'static str),
    /// A fact that an action carries.
    Fact(FieldPath),
    /// A constant text.
    Constant(String),
}

impl Source {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let own = SOURCES.iter().find(|name| **name == text).copied().map(Self::Own);
        own.or_else(|| FieldPath::parse(text).ok().map(Self::Fact))
    }

    pub(crate) fn fact(&self) -> Option<&FieldPath> {
        if let Self::Fact(path) = self { Some(path) } else { None }
    }

    /// Whether the value is a judgement of the lead, or derived from one.
    pub(crate) fn is_judgement(&self) -> bool {
        match self {
            Self::Own(name) => name.starts_with("score.") || *name == "lead.status",
            Self::Fact(path) => path.namespace() == Namespace::Computed,
            Self::Constant(_) => false,
        }
    }

    /// Whether the action that writes the score carries the value.
    pub(crate) fn is_written_with_score(&self) -> bool {
        self.is_judgement() && *self != Self::Own("lead.status")
    }

    /// The default of `adopted`. Form data about a person, and the status that people set, only fill empty
    /// fields. Owners follow the routing, and enrichment is not form data.
    pub(crate) fn adopted(&self) -> Adopted {
        match self {
            Self::Own("lead.owner" | "lead.campaign_id") => Adopted::Same,
            Self::Own(name) if name.starts_with("lead.") || name.starts_with("contact.") => Adopted::IfEmpty,
            Self::Own(_) => Adopted::Same,
            Self::Fact(path) => match path.namespace() {
                Namespace::Marketo | Namespace::Product | Namespace::Salesforce => Adopted::IfEmpty,
                Namespace::Computed | Namespace::Enrichment => Adopted::Same,
            },
            Self::Constant(_) => Adopted::IfEmpty,
        }
    }

    /// The source as the mapping writes it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Own(name) => name,
            Self::Fact(path) => path.as_str(),
            Self::Constant(_) => "a constant",
        }
    }

    /// Whether a rule with this source is allowed in the table of an object.
    pub(crate) fn suits(&self, object: Object) -> bool {
        let group = match self {
            Self::Constant(_) => return true,
            Self::Fact(_) => "lead",
            Self::Own(name) => name.split('.').next().unwrap_or_default(),
        };
        match object {
            Object::Lead => matches!(group, "lead" | "score" | "company" | "account" | "conversion"),
            Object::Contact => matches!(group, "contact" | "lead" | "score" | "company"),
            Object::Company => {
                group == "company"
                    || self.fact().is_some_and(|path| path.namespace() == Namespace::Enrichment)
            }
            Object::Task => group == "task",
            Object::Activity => group == "activity",
            Object::Opportunity => group == "opportunity",
        }
    }

    /// Whether the action carries this source, even if it has no value for it.
    pub(crate) fn is_carried_by(&self, action: &Action) -> bool {
        self.key_in(action).is_some()
    }

    /// The source's name among the action's fields. None if another action carries it.
    pub(crate) fn key_in(&self, action: &Action) -> Option<&str> {
        let name = match self {
            Self::Constant(_) => return None,
            Self::Fact(path) => {
                let carried = match action {
                    Action::UpsertLead(_) | Action::CreateLead(_) => {
                        matches!(
                            path.namespace(),
                            Namespace::Marketo | Namespace::Product | Namespace::Salesforce
                        )
                    }
                    Action::SetLeadScore(_) => path.namespace() == Namespace::Computed,
                    Action::SyncFirmographics(_) => path.namespace() == Namespace::Enrichment,
                    _ => false,
                };
                return carried.then_some(path.as_str());
            }
            Self::Own(name) => *name,
        };
        let (group, key) = name.split_once('.')?;
        let is_status = name == "lead.status";
        let carried = match action {
            Action::UpsertLead(_) | Action::CreateLead(_) => group == "lead" && !is_status,
            Action::UpdateLeadStatus(_) => is_status,
            Action::SetLeadScore(_) => group == "score",
            Action::SyncFirmographics(_) => {
                // The action's names have the prefix `company_` because without it they would refer to the
                // person.
                return match name {
                    "company.domain" => Some("company_domain"),
                    "company.name" => Some("company_name"),
                    _ => (group == "company").then_some(key),
                };
            }
            Action::MatchAccount(_) => {
                return match name {
                    "account.domain" => Some("account_domain"),
                    "account.name" => Some("account_name"),
                    _ => None,
                };
            }
            Action::ConvertLead(_) => return (group == "conversion").then_some("converted_status"),
            Action::CreateTask(_) => group == "task",
            Action::LogActivity(_) => group == "activity",
            Action::CreateContact(_) => group == "contact",
            Action::CreateOpportunity(_) => group == "opportunity",
            Action::UpdateOpportunityStage(_) => name == "opportunity.stage",
            Action::ReassignTask(_) => name == "task.owner",
        };
        carried.then_some(key)
    }
}
