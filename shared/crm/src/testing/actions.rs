use grounding::FieldPath;
use jiff::Timestamp;
use lead::{CampaignId, Decision, DeliveryId, EmailAddress, Fit, FitScore, Intent, LeadId};
use serde_json::Value;

use super::suite_plan;
use crate::parameters::{
    ContactDetails, ConvertLead, CreateOpportunity, CreateTask, LeadDetails, LogActivity, MatchAccount,
    Priority, ReassignTask, SalesStatus, SetLeadScore, SyncFirmographics, UpdateLeadStatus,
    UpdateOpportunityStage,
};
use crate::{Action, ActionId, Facts, Plan, Text};

/// A plan with one action of each kind, with all parameters set. Its lead is that of `suite_plan("ann", ..)`.
///
/// # Panics
///
/// Never: the values are fixed.
pub fn full_plan() -> Plan {
    let Plan { lead_id, delivery_id, .. } = suite_plan("ann", "", 0);
    let actions = every_action(&lead_id, &delivery_id);
    Plan::new(lead_id, delivery_id, 1, None, actions)
}

/// One action of each kind, with all parameters set.
///
/// # Panics
///
/// Never: the values are fixed.
pub fn every_action(lead: &LeadId, delivery: &DeliveryId) -> Vec<Action> {
    let email = EmailAddress::parse("ann@example.com").expect("an address");
    let at = Timestamp::UNIX_EPOCH;
    let details = LeadDetails {
        email: email.clone(),
        campaign_id: CampaignId::parse("launch_2024").expect("a campaign"),
        first_name: Text::fit("Ann"),
        last_name: Text::fit("O'Brien"),
        company: Text::fit("Drop Table Ltd"),
        title: Text::fit("Head of <3"),
        phone: Text::fit("+1 555 0100"),
        owner: Text::fit("005OWNER"),
        earlier: Text::fit("This person has an earlier lead: campaign spring_2024."),
        facts: fact("marketo.program", "Launch"),
    };
    let contact = ContactDetails {
        email,
        first_name: details.first_name.clone(),
        last_name: details.last_name.clone(),
        title: details.title.clone(),
        phone: details.phone.clone(),
    };
    let opportunity = Action::CreateOpportunity(CreateOpportunity {
        name: text("Example, 850 seats"),
        stage: text("Prospecting"),
        amount_usd: Some(100_000),
        closes_at: at,
    });
    let stage = Action::UpdateOpportunityStage(UpdateOpportunityStage {
        opportunity: ActionId::derive(&opportunity, lead, delivery, 1.into()),
        stage: text("Closed Won"),
    });
    let task = Action::CreateTask(CreateTask {
        decision: Decision::RouteToSdr,
        subject: text("Call the lead"),
        description: Text::fit("Fit HIGH (87)"),
        priority: Priority::High,
        due_at: at,
        owner: Text::fit("005OWNER"),
    });
    let reassigned = Action::ReassignTask(ReassignTask {
        task: ActionId::derive(&task, lead, delivery, 1.into()),
        owner: text("005OTHER"),
    });
    vec![
        Action::UpsertLead(details.clone()),
        Action::CreateLead(details),
        Action::SetLeadScore(SetLeadScore {
            fit_score: FitScore::clamped(87),
            fit: Fit::High,
            intent: Intent::High,
            decision: Decision::RouteToSdr,
            fallback: false,
            summary: Text::fit("Fit HIGH (87)\n- industry: Software"),
            facts: fact("computed.baseline_score", 82),
        }),
        Action::SyncFirmographics(SyncFirmographics {
            company_domain: text("example.com"),
            company_name: Text::fit("Example Corp"),
            industry: Text::fit("Software"),
            employees_min: Some(850),
            employees_max: Some(850),
            revenue_usd_min: Some(50_000_000),
            revenue_usd_max: Some(100_000_000),
            city: Text::fit("Los Angeles"),
            region: Text::fit("California"),
            country: Text::fit("US"),
            technologies: Text::list(["AWS", "Kubernetes"]),
            facts: fact("enrichment.founded_year", 1998),
        }),
        Action::UpdateLeadStatus(UpdateLeadStatus { status: SalesStatus::Working }),
        Action::MatchAccount(MatchAccount {
            account_domain: text("example.com"),
            account_name: Text::fit("Example Corp"),
        }),
        Action::ConvertLead(ConvertLead { converted_status: text("Qualified") }),
        task,
        Action::LogActivity(LogActivity { subject: text("Judged"), body: Text::fit("Fit HIGH (87)"), at }),
        Action::CreateContact(contact),
        opportunity,
        stage,
        reassigned,
    ]
}

fn text<const MAX: usize, const LINES: bool>(text: &str) -> Text<MAX, LINES> {
    Text::parse(text).expect("a sound text")
}

fn fact(path: &str, value: impl Into<Value>) -> Facts {
    Facts::fitting([(FieldPath::parse(path).expect("a path"), value.into())])
}
