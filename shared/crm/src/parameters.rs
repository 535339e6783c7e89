//! What each action takes, bounded by type. Lengths are those of Salesforce's standard fields, where one exists.

use jiff::Timestamp;
use lead::text::visible;
use lead::{CampaignId, Decision, EmailAddress, Fit, FitScore, Intent};
use serde::{Deserialize, Serialize, Serializer};

use crate::{ActionId, Facts, Prose, Text};

/// The person behind a lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeadDetails {
    /// The address.
    pub email: EmailAddress,
    /// The campaign the lead came from. Written without hidden characters, which older versions accepted.
    #[serde(serialize_with = "visible_campaign")]
    pub campaign_id: CampaignId,
    /// Given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Text<40>>,
    /// Family name. A CRM that insists on one gets its executor's placeholder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Text<80>>,
    /// Company, as the person wrote it or as enrichment knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Text<255>>,
    /// Job title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<128>>,
    /// Telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text<64>>,
    /// Who is to have it, as the CRM calls its users. None leaves the owner as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Text<64>>,
    /// The person's earlier leads, in words for who sells to them. None where this is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Text<1000, true>>,
    /// What the mapping sends to a field besides: facts below `marketo`, `product` and `salesforce`.
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
    /// The address.
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

/// What was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLeadScore {
    /// How well the company matches.
    pub fit_score: FitScore,
    /// The level that score amounts to.
    pub fit: Fit,
    /// How ready the person is to buy.
    pub intent: Intent,
    /// What is to be done.
    pub decision: Decision,
    /// Judged without an AI: a neutral score that will be replaced.
    #[serde(default)]
    pub fallback: bool,
    /// Why, rendered by us from claims that passed; never a model's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Prose>,
    /// What the mapping sends to a field besides: facts below `computed`.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// What is known of the lead's company. Absent facts leave their fields as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncFirmographics {
    /// The company's domain, lower case.
    pub company_domain: Text<255>,
    /// Its usual name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_name: Option<Text<255>>,
    /// Its industry, in the provider's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry: Option<Text<200>>,
    /// Employees, the lower end; both ends are equal where the number is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employees_min: Option<u64>,
    /// Employees, the upper end; none for an open band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employees_max: Option<u64>,
    /// Yearly revenue in US dollars, the lower end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_usd_min: Option<u64>,
    /// Yearly revenue in US dollars, the upper end; none for an open band.
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
    /// What the mapping sends to a field besides: facts below `enrichment`.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// Where the lead's record stands in the sales process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateLeadStatus {
    /// The new status.
    pub status: SalesStatus,
}

/// The statuses we know. Executors map them to the CRM's own picklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SalesStatus {
    /// Nobody has looked at it yet.
    New,
    /// A sales representative is in contact. No judgement says so: only people do.
    Working,
    /// Marketing keeps in touch.
    Nurturing,
    /// A person has to decide.
    InReview,
    /// Not our customer.
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
    /// Its name, for CRMs that keep no domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<Text<255>>,
}

/// How to convert a lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvertLead {
    /// The status of a converted lead, in the CRM's own words.
    pub converted_status: Text<40>,
}

/// Something for a person to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// The decision that asks for it: a lead has one task for each, however often it is judged.
    pub decision: Decision,
    /// What to do, in one line.
    pub subject: Text<255>,
    /// What to know, rendered by us from claims that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Prose>,
    /// How urgent it is.
    pub priority: Priority,
    /// By when. Derived from the delivery, so that planning again gives the same.
    pub due_at: Timestamp,
    /// Who is to have it, as the CRM calls its users. None leaves it to the CRM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Text<64>>,
}

/// How urgent a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Whenever there is time.
    Low,
    /// As usual.
    Normal,
    /// Now.
    High,
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogActivity {
    /// What, in one line.
    pub subject: Text<255>,
    /// More about it, rendered by us from claims that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Prose>,
    /// When. Derived from the delivery, so that planning again gives the same.
    pub at: Timestamp,
}

/// A sale that may come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateOpportunity {
    /// Its name.
    pub name: Text<120>,
    /// Its stage, in the CRM's own words.
    pub stage: Text<40>,
    /// What it may bring, in whole US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_usd: Option<u64>,
    /// When it may be decided.
    pub closes_at: Timestamp,
}

/// A sale that comes closer, or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateOpportunityStage {
    /// The action that created the opportunity.
    pub opportunity: ActionId,
    /// Its new stage, in the CRM's own words.
    pub stage: Text<40>,
}

/// A task that goes to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReassignTask {
    /// The action that created the task.
    pub task: ActionId,
    /// Who is to do it, as the CRM calls them.
    pub owner: Text<64>,
}
