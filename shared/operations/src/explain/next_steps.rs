//! The status of a lead in words, its automatic next steps, and the possible ones of a person.

use grounding::GroundingStatus;
use lead::{Failure, FailureClass, LeadStatus, Stage};
use store::{AnalysisRecord, LeadRecord};

use super::plain;

/// The number of characters of an id that are shown to people.
pub(super) const SHORT_ID: usize = 12;
/// The longest failure message shown, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// The lead's status in a sentence.
pub(super) fn standing(lead: &LeadRecord, analysis: Option<&AnalysisRecord>) -> String {
    let waits = match lead.status {
        LeadStatus::Queued => "Queued",
        LeadStatus::Processing => "A worker is processing it",
        LeadStatus::Retrying => "Waiting for another attempt",
        LeadStatus::Synced => return synced(lead, analysis),
        LeadStatus::Held => return "Held for a person: a claim of its analysis is not true.".to_owned(),
        LeadStatus::Planned => {
            return "Planned: the changes to the CRM are kept and not written, because the CRM is in shadow mode."
                .to_owned();
        }
        LeadStatus::Dismissed => return "Dismissed by a person; nothing was written.".to_owned(),
        LeadStatus::Suppressed => {
            return "Not written to the CRM: the person is on the suppression list.".to_owned();
        }
        LeadStatus::WorkedElsewhere => {
            return "Finished by another application's worker on the same queue; its results are not known here.".to_owned();
        }
        LeadStatus::Synthetic => {
            return "The synthetic lead: it has passed every step, and nothing is ever written for it."
                .to_owned();
        }
        LeadStatus::PermanentlyFailed => {
            return "Permanently failed, with the reason below; the lead is among the dead letters."
                .to_owned();
        }
    };
    match analysis {
        None => format!("{waits}: accepted and stored, not judged yet."),
        Some(analysis) if analysis.delivery_id == lead.delivery_id => {
            format!("{waits}; its last judgement is below.")
        }
        Some(_) => format!(
            "{waits}: its newest content is not judged yet; the judgement below is of an earlier one."
        ),
    }
}

fn synced(lead: &LeadRecord, analysis: Option<&AnalysisRecord>) -> String {
    let place = match (&lead.crm_provider, &lead.crm_record_id) {
        (Some(provider), Some(record)) => format!("{provider} record {record}"),
        _ => "the CRM".to_owned(),
    };
    match analysis.map(|analysis| &analysis.verdict) {
        Some(verdict) if verdict.status == GroundingStatus::Rejected => {
            format!("Synced to {place}, without anything from its analysis, which was rejected.")
        }
        Some(verdict) => format!("Synced to {place}: {}.", verdict.decision),
        None => format!("Synced to {place}."),
    }
}

/// The next steps, automatic ones and possible ones of a person.
pub(super) fn steps(lead: &LeadRecord, analysis: Option<&AnalysisRecord>) -> Vec<String> {
    let id: String = lead.lead_id.as_str().chars().take(SHORT_ID).collect();
    let fallback = analysis.is_some_and(|analysis| analysis.fallback);
    let mut steps = Vec::new();
    match lead.status {
        LeadStatus::Queued => steps.push("A worker picks it up automatically.".to_owned()),
        LeadStatus::Processing => {
            steps.push("If the worker dies, another one continues.".to_owned());
        }
        LeadStatus::Retrying => {
            steps.extend(lead.failure.as_ref().map(waiting));
            steps.push("Nothing has to be done: the next attempt follows automatically.".to_owned());
        }
        LeadStatus::Synced if fallback => {}
        LeadStatus::Synced => {
            steps.push(
                "It is finished. New content for the same lead is judged again and updates the same record."
                    .to_owned(),
            );
        }
        LeadStatus::Held => {
            steps.push(format!(
                "`revenueflow replay {id}` shows the judgement of the present configuration and analyst; with `--apply` the lead is judged again."
            ));
            steps.push(format!(
                "`revenueflow review approve {id}` writes it to the CRM without anything from its analysis; `review dismiss {id}` dismisses it."
            ));
            steps.push("Posting the lead with corrected content also has it judged again.".to_owned());
            steps.push(
                "With REJECTED_LEADS=bare such leads are written to the CRM without anything from their analysis."
                    .to_owned(),
            );
        }
        LeadStatus::Planned => {
            steps.push(format!("`revenueflow plan {id}` shows what would be written now, field by field."));
            steps.push(format!(
                "`revenueflow crm promote {id}` writes it, `revenueflow crm promote --all` every planned lead."
            ));
        }
        LeadStatus::Dismissed => {
            steps.push(format!("`revenueflow replay {id} --apply` has it judged again after all."));
        }
        LeadStatus::Suppressed => {
            steps.push(format!(
                "Once `revenueflow suppress remove` has taken the person off the list, `revenueflow replay {id} --apply` has it judged and written."
            ));
        }
        LeadStatus::WorkedElsewhere => {
            steps.push(format!(
                "`revenueflow replay {id} --apply` has it judged and written by RevenueFlow as well."
            ));
        }
        LeadStatus::Synthetic => steps.push("It is finished. The next one replaces it.".to_owned()),
        LeadStatus::PermanentlyFailed => {
            steps.extend(lead.failure.as_ref().map(|failure| {
                format!("It failed permanently{} because of {}.", at(failure.stage), in_words(failure))
            }));
            steps.push(format!(
                "Once the cause is fixed, `revenueflow dead-letters redrive {id}` sends it again with all its attempts."
            ));
        }
    }
    if fallback && lead.status != LeadStatus::PermanentlyFailed {
        steps.push(format!(
            "It is judged again automatically once the analyst answers; `revenueflow replay {id} --apply` does it at once."
        ));
    }
    steps
}

fn waiting(failure: &Failure) -> String {
    match (failure.class(), failure.dependency()) {
        (FailureClass::Deferral, Some(dependency)) => {
            format!("It waits for {dependency}, which cannot be used now: {}.", in_words(failure))
        }
        _ => match failure.stage {
            Stage::Storage => {
                format!("Our own storage failed, which costs no attempt: {}.", in_words(failure))
            }
            stage => format!("The last attempt{} ended with {}.", at(stage), in_words(failure)),
        },
    }
}

/// The stage in words. The number of the attempt is in the audit trail.
fn at(stage: Stage) -> &'static str {
    match stage {
        Stage::CrmRead => " at the read of the CRM",
        Stage::Analysis => " at the analysis",
        Stage::CrmWrite => " at the write to the CRM",
        Stage::Storage | Stage::Other => "",
    }
}

fn in_words(failure: &Failure) -> String {
    format!("{} ({})", plain::line(&failure.code, 80), plain::line(&failure.message, MAX_MESSAGE_CHARS))
}
