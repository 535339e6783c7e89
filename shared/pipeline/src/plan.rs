use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use analysis::{opt_outs, sent_facts};
use crm::parameters::{
    CreateTask, LeadDetails, LogActivity, Priority, SetLeadScore, SyncFirmographics, UpdateLeadStatus,
};
use crm::{Action, Facts, Mapping, Mode, Object, Plan, Prose, Text};
use enrichment::{Enrichment, Firmographics};
use grounding::{Context, GroundingStatus, Namespace, Origins, summary};
use jiff::Timestamp;
use lead::{Decision, Lead, Personal};
use routing::OwnerId;
use serde_json::Value;
use store::{AnalysisRecord, Assignment, CrmFacts, Work};
use variables::{ConfigError, Variables};

use crate::earlier::Earlier;

/// Default time in which a sales representative must call a routed lead.
const CALL_WITHIN: Duration = Duration::from_hours(1);

/// The treatment of a lead whose analysis is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The lead is held for review by a person.
    Hold,
    /// The lead is written to the CRM without any field that the analysis influences.
    Bare,
}

impl Rejected {
    /// Reads `REJECTED_LEADS`: `hold`, the default, or `bare`.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        variables.choice("REJECTED_LEADS", &[("hold", Self::Hold), ("bare", Self::Bare)], Self::Hold)
    }
}

/// All CRM actions for a judgement: the person's details, the company's firmographics, and, unless the
/// analysis was rejected, the verdict.
///
/// The same delivery and round always give the same plan: ids and times are derived, never random.
///
/// Facts that the mapping assigns to a CRM field are attached to the action that writes their namespace. The
/// value is the one given to the analyst, or else the one in the webhook.
pub(crate) fn plan(
    work: &Work,
    enrichment: &Enrichment,
    analysis: &AnalysisRecord,
    mapping: &Mapping,
    assignment: &Assignment,
    earlier: Option<&Earlier>,
) -> Plan {
    let company = enrichment.found();
    let details = LeadDetails { earlier: earlier.cloned(), ..details(&work.lead, company, assignment) };
    let mut actions = vec![Action::UpsertLead(details)];
    actions.extend(company.and_then(firmographics).map(Action::SyncFirmographics));
    if analysis.verdict.status != GroundingStatus::Rejected {
        add_verdict_actions(work, enrichment, analysis, assignment, earlier, &mut actions);
    }
    // A mapping may send facts to the CRM that no model is shown.
    let mut sent = sent_facts(&work.lead);
    if matches!(work.crm_facts, Some(CrmFacts::Known(_))) {
        sent.set(Namespace::Salesforce, serde_json::Map::new());
    }
    for action in &mut actions {
        let (attached, namespaces): (_, &[Namespace]) = match action {
            Action::UpsertLead(details) => {
                (&mut details.facts, &[Namespace::Marketo, Namespace::Product, Namespace::Salesforce])
            }
            Action::SyncFirmographics(company) => (&mut company.facts, &[Namespace::Enrichment]),
            Action::SetLeadScore(score) => (&mut score.facts, &[Namespace::Computed]),
            _ => continue,
        };
        let mapped = mapping.facts().into_iter().filter(|path| namespaces.contains(&path.namespace()));
        let found = mapped.filter_map(|path| {
            let fact = analysis.facts.get(path).or_else(|| sent.get(path));
            Some((path.clone(), fact?.clone()))
        });
        *attached = Facts::fitting(found);
    }
    let account = company.map(|company| company.domain.clone());
    let round = u32::try_from(work.round).unwrap_or(u32::MAX);
    Plan::new(work.lead_id.clone(), work.delivery_id.clone(), round, account, actions)
}

/// Removes lead updates that equal the last write of the same kind: a revision that changes only the title
/// does not write the score again. This saves calls and keeps changes that people have made since.
pub(crate) fn remove_unchanged(plan: &mut Plan, written: &BTreeMap<String, Value>) {
    plan.actions.retain(|planned| {
        let action = &planned.action;
        let changes_the_lead = action.object() == Object::Lead && action.mode() == Mode::Update;
        let fields = Value::Object(action.fields());
        !(changes_the_lead && written.get(action.kind()) == Some(&fields))
    });
}

/// Removes the owner if it equals the last owner we wrote, so that a later reassignment by a person is kept.
pub(crate) fn remove_unchanged_owner(plan: &mut Plan, written: Option<&str>) {
    let written = written.and_then(OwnerId::parse);
    for planned in &mut plan.actions {
        if let Action::UpsertLead(details) = &mut planned.action
            && details.owner.as_ref().and_then(|owner| OwnerId::parse(owner.expose())) == written
        {
            details.owner = None;
        }
    }
}

/// The due time of the call task: the response time of the routing rule after the assignment, or else
/// [`CALL_WITHIN`] after the judgement.
fn task_due(analysis: &AnalysisRecord, assignment: &Assignment) -> Timestamp {
    let by_rule = assignment.routed.timer.and_then(|timer| {
        assignment.assigned_at.saturating_add(Duration::from_secs(timer.respond_within_s.into())).ok()
    });
    let by_default = || analysis.created_at.saturating_add(CALL_WITHIN).unwrap_or(analysis.created_at);
    by_rule.unwrap_or_else(by_default)
}

fn owner(assignment: &Assignment) -> Option<Text<64>> {
    Text::fit(assignment.owner.as_ref()?.as_str())
}

/// The sources of the facts that the lead was judged by.
fn origins(work: &Work, enrichment: &Enrichment) -> Origins {
    let crm = match &work.crm_facts {
        Some(CrmFacts::Known(known)) => known.facts().into_iter().map(|(name, _)| name).collect(),
        _ => BTreeSet::new(),
    };
    let provenance = enrichment.provenance.iter();
    let providers = provenance.map(|(field, source)| (field.clone(), source.provider.to_string())).collect();
    let sender = (!work.sender.is_unnamed()).then(|| work.sender.name.to_string());
    Origins { crm, sender, providers }
}

/// Adds the actions that write a verdict: score, status, call task, activity.
fn add_verdict_actions(
    work: &Work,
    enrichment: &Enrichment,
    analysis: &AnalysisRecord,
    assignment: &Assignment,
    earlier: Option<&Earlier>,
    actions: &mut Vec<Action>,
) {
    let verdict = &analysis.verdict;
    // The summary for the salesperson is rendered from the verified claims. The model's own prose is never
    // used.
    let (origins, opted_out) = (origins(work, enrichment), opt_outs(&work.lead));
    let context = Context { facts: &analysis.facts, origins: &origins, opted_out: &opted_out };
    let summary = Prose::fit(&summary(verdict, context));
    actions.push(Action::SetLeadScore(SetLeadScore {
        fit_score: verdict.fit_score,
        fit: verdict.fit,
        intent: verdict.intent,
        decision: verdict.decision,
        fallback: analysis.fallback,
        summary: summary.clone(),
        facts: Facts::default(),
    }));
    actions.push(Action::UpdateLeadStatus(UpdateLeadStatus { status: verdict.decision.into() }));
    let summary = with_earlier(earlier, summary);
    let line = |text: String| Text::fit(&text);
    if verdict.decision == Decision::RouteToSdr {
        let due_at = task_due(analysis, assignment);
        let subject = line(format!(
            "Call: {} fit, {} intent (score {})",
            verdict.fit, verdict.intent, verdict.fit_score
        ));
        actions.extend(subject.map(|subject| {
            let (decision, priority) = (verdict.decision, Priority::High);
            Action::CreateTask(CreateTask {
                decision,
                subject,
                description: summary.clone(),
                priority,
                due_at,
                owner: owner(assignment),
            })
        }));
    }
    // Fallback judgements can repeat many times during an AI outage, so they are not logged as CRM
    // activities.
    if !analysis.fallback {
        let subject = line(format!(
            "RevenueFlow, revision {}: {} (score {})",
            work.revision, verdict.decision, verdict.fit_score
        ));
        actions.extend(subject.map(|subject| {
            Action::LogActivity(LogActivity { subject, body: summary, at: analysis.created_at })
        }));
    }
}

/// The person's earlier leads followed by the summary, for tasks and activities.
fn with_earlier(earlier: Option<&Earlier>, summary: Option<Prose>) -> Option<Prose> {
    let Some(earlier) = earlier else { return summary };
    let summary = summary.as_ref().map_or("", Prose::expose);
    Prose::fit(&format!("{}\n\n{summary}", earlier.expose()))
}

fn details(lead: &Lead, company: Option<&Firmographics>, assignment: &Assignment) -> LeadDetails {
    let (first_name, last_name) = lead.name_parts();
    let company_name = lead.company.as_deref().or(company.and_then(|company| company.name.as_deref()));
    LeadDetails {
        email: lead.email.clone(),
        campaign_id: lead.campaign_id.clone(),
        first_name: personal(first_name.as_ref()),
        last_name: personal(last_name.as_ref()),
        company: company_name.and_then(Text::fit),
        title: lead.title.as_deref().and_then(Text::fit),
        phone: personal(lead.phone.as_ref()),
        owner: owner(assignment),
        earlier: None,
        facts: Facts::default(),
    }
}

fn firmographics(company: &Firmographics) -> Option<SyncFirmographics> {
    let (employees, revenue) = (company.employee_range, company.revenue_usd);
    Some(SyncFirmographics {
        company_domain: Text::fit(&company.domain)?,
        company_name: text(company.name.as_ref()),
        industry: text(company.industry.as_ref()),
        employees_min: company.employee_count.or(employees.map(|range| range.min)),
        employees_max: company.employee_count.or(employees.and_then(|range| range.max)),
        revenue_usd_min: revenue.map(|range| range.min),
        revenue_usd_max: revenue.and_then(|range| range.max),
        city: text(company.city.as_ref()),
        region: text(company.region.as_ref()),
        country: text(company.country.as_ref()),
        technologies: Text::list(company.technologies.iter().map(String::as_str)),
        facts: Facts::default(),
    })
}

fn text<const MAX: usize>(value: Option<&String>) -> Option<Text<MAX>> {
    value.and_then(|value| Text::fit(value))
}

fn personal<const MAX: usize>(value: Option<&Personal<String>>) -> Option<Text<MAX>> {
    text(value.map(Personal::expose))
}
