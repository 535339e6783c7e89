//! The parameters of each action, bounded by type. Lengths are those of Salesforce's standard fields, if one
//! exists.

use jiff::Timestamp;
use lead::text::visible;
use lead::{CampaignId, Decision, EmailAddress, Fit, FitScore, Intent};
use serde::{Deserialize, Serialize, Serializer};

use crate::{ActionId, Facts, Prose, Text};

/// The person behind a lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeadDetails {
    /// The e-mail address.
    pub email: EmailAddress,
    /// The campaign of the lead. Written without hidden characters, which older versions accepted.
    #[serde(serialize_with = "visible_campaign")]
    pub campaign_id: CampaignId,
    /// Given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Text<40>>,
    /// Family name. If a CRM requires one, its executor supplies a placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Text<80>>,
    /// Company, as the person wrote it or as found by enrichment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Text<255>>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<128>>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text<64>>,
    /// The new owner, as the CRM's user id. None leaves the owner as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Text<64>>,
    /// A description of the person's earlier leads, for the sales representative. None for a first lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Text<1000, true>>,
    /// Facts below `marketo`, `product` and `salesforce` that the mapping sends to a field.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

fn visible_campaign<S: Serializer>(campaign: &CampaignId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&visible(campaign.as_str()))
}

/// A contact of a company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactDetails {
    /// The e-mail address.
    pub email: EmailAddress,
    /// Given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Text<40>>,
    /// Family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Text<80>>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<128>>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text<64>>,
}

/// The judgement of a lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLeadScore {
    /// How well the company matches.
    pub fit_score: FitScore,
    /// The level that corresponds to the score.
    pub fit: Fit,
    /// How ready the person is to buy.
    pub intent: Intent,
    /// The decision on the next step.
    pub decision: Decision,
    /// Whether the lead was judged without an AI, with a neutral score that will be replaced.
    #[serde(default)]
    pub fallback: bool,
    /// The reasons, rendered by us from verified claims; never a model's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Prose>,
    /// Facts below `computed` that the mapping sends to a field.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// Firmographics of the lead's company. Absent facts leave their fields as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncFirmographics {
    /// The company's domain, lower case.
    pub company_domain: Text<255>,
    /// The company's usual name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_name: Option<Text<255>>,
    /// The industry, as the enrichment provider spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry: Option<Text<200>>,
    /// Number of employees, lower bound. Both bounds are equal if the number is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employees_min: Option<u64>,
    /// Number of employees, upper bound. None for an open range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employees_max: Option<u64>,
    /// Annual revenue in US dollars, lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_usd_min: Option<u64>,
    /// Annual revenue in US dollars, upper bound. None for an open range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_usd_max: Option<u64>,
    /// City of the headquarters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<Text<200>>,
    /// State or region of the headquarters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Text<200>>,
    /// Country of the headquarters, ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Text<2>>,
    /// Technologies the company uses, as [`Text::list`] writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub technologies: Option<Text<1000>>,
    /// Facts below `enrichment` that the mapping sends to a field.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// The status of the lead's record in the sales process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateLeadStatus {
    /// The new status.
    pub status: SalesStatus,
}

/// The statuses of a lead. Executors map them to the CRM's picklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SalesStatus {
    /// Not yet reviewed by a person.
    New,
    /// A sales representative is in contact. No judgement results in this status: only people set it.
    Working,
    /// Marketing nurtures the lead.
    Nurturing,
    /// A person has to decide.
    InReview,
    /// Not a potential customer.
    Unqualified,
}

impl From<Decision> for SalesStatus {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::RouteToSdr => Self::New,
            Decision::Nurture => Self::Nurturing,
            Decision::ManualReview => Self::InReview,
            Decision::Ignore => Self::Unqualified,
        }
    }
}

/// The account that the lead belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchAccount {
    /// The company's domain, lower case.
    pub account_domain: Text<255>,
    /// The company's name, for CRMs that keep no domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<Text<255>>,
}

/// Parameters of a lead's conversion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvertLead {
    /// The status of a converted lead, as the CRM spells it.
    pub converted_status: Text<40>,
}

/// A task for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// The decision behind the task. A lead has one task for each decision, however often it is judged.
    pub decision: Decision,
    /// The task, in one line.
    pub subject: Text<255>,
    /// Background for the task, rendered by us from verified claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// How urgent it is.
    pub priority: Priority,
    /// The due time. Derived from the delivery, so that planning again gives the same value.
    pub due_at: Timestamp,
    /// The owner, as the CRM's user id. None leaves the choice to the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Text<64>>,
}

/// How urgent a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Low urgency.
    Low,
    /// Usual urgency.
    Normal,
    /// High urgency.
    High,
}

/// An event to log on the lead's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogActivity {
    /// The event, in one line.
    pub subject: Text<255>,
    /// Details, rendered by us from verified claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Prose>,
    /// The time of the event. Derived from the delivery, so that planning again gives the same value.
    pub at: Timestamp,
}

/// A possible sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateOpportunity {
    /// The opportunity's name.
    pub name: Text<120>,
    /// The stage, as the CRM spells it.
    pub stage: Text<40>,
    /// The expected amount, in whole US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<u64>,
    /// The expected closing time.
    pub closes_at: Timestamp,
}

/// A change of an opportunity's stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateOpportunityStage {
    /// The action that created the opportunity.
    pub opportunity: ActionId,
    /// The new stage, as the CRM spells it.
    pub stage: Text<40>,
}

/// A change of a task's owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReassignTask {
    /// The action that created the task.
    pub task: ActionId,
    /// The new owner, as the CRM's user id.
    pub owner: Text<64>,
}
