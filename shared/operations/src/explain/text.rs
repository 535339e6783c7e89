//! The explanation as plain text. Outside text is on one line, cut to a length, in quotation marks.

use std::fmt::{Formatter, Result};

use grounding::Namespace;
use jiff::Timestamp;
use lead::{LeadStatus, Personal};
use routing::Outcome;
use serde_json::Value;

use super::next_steps::SHORT_ID;
use crate::RoutingView;

use super::{
    CheckedClaim, Explanation, Fact, Judgement, KnownFacts, OtherLead, Received, ScoreBreakdown, Written,
    plain,
};

/// The most facts shown of one source; the JSON has all of them.
const MAX_FACTS: usize = 40;
/// The longest quotation of an analyst's prose, in characters.
const MAX_PROSE_CHARS: usize = 600;

pub(super) fn write(explanation: &Explanation, f: &mut Formatter<'_>) -> Result {
    let Explanation { lead_id, email, campaign_id, standing, .. } = explanation;
    let campaign = plain::line(campaign_id, plain::MAX_VALUE_CHARS);
    writeln!(f, "Lead {:.SHORT_ID$}: {}, campaign {campaign}", lead_id.as_str(), exposed(email))?;
    writeln!(f, "{standing}")?;
    explanation.received.iter().try_for_each(|content| received(content, f))?;

    explanation.same_person.iter().try_for_each(|other| other_lead(other, f))?;

    writeln!(f, "\nWhat we knew")?;
    knew(&explanation.knew, f)?;

    if let Some(judgement) = &explanation.judgement {
        writeln!(f, "\nWhat was claimed, and what each claim rests on")?;
        claimed(judgement, f)?;
        writeln!(f, "\nWhat was decided")?;
        decided(judgement, f)?;
    }

    if let Some(given) = &explanation.routing {
        writeln!(f, "\nWho got it")?;
        routed(given, f)?;
    }

    writeln!(f, "\nWhat was written to the CRM")?;
    if explanation.crm.is_empty() {
        writeln!(f, "  Nothing.")?;
    }
    explanation.crm.iter().try_for_each(|action| written(action, f))?;

    if !explanation.would_change.is_empty() {
        writeln!(f, "\nWhat would have changed it")?;
        for change in &explanation.would_change {
            writeln!(f, "  - If {}: {}.", change.condition, change.outcome)?;
        }
    }
    let heading = if explanation.status == LeadStatus::Held { "How to go on" } else { "What happens now" };
    writeln!(f, "\n{heading}")?;
    explanation.next.iter().try_for_each(|step| writeln!(f, "  - {step}"))
}

fn exposed(email: &Personal<String>) -> String {
    plain::line(email.expose(), 320)
}

fn received(content: &Received, f: &mut Formatter<'_>) -> Result {
    write!(f, "Revision {} was received {} ({}", content.revision, content.received_at, content.state)?;
    match content.duplicates {
        0 => writeln!(f, ")."),
        1 => writeln!(f, "; the same content was received once more)."),
        times => writeln!(f, "; the same content was received {times} more times)."),
    }
}

fn other_lead(other: &OtherLead, f: &mut Formatter<'_>) -> Result {
    let when = if other.earlier { "an earlier" } else { "a later" };
    let (id, campaign) = (other.lead_id.as_str(), line(&other.campaign_id));
    write!(f, "The same person has {when} lead {id:.SHORT_ID$}: campaign {campaign}, {}", other.status)?;
    match (&other.provider, &other.record_id) {
        (Some(provider), Some(record)) => writeln!(f, ", {provider} record {}.", plain::line(record, 80)),
        _ => writeln!(f, "."),
    }
}

fn knew(knew: &KnownFacts, f: &mut Formatter<'_>) -> Result {
    writeln!(f, "  {}", knew.enrichment)?;
    for silent in &knew.unanswered {
        let message = plain::line(&silent.message, plain::MAX_VALUE_CHARS);
        writeln!(f, "  {} could not answer: {} ({message}).", silent.provider, silent.code)?;
    }
    // Computed facts are shown as scores.
    for namespace in Namespace::ALL.into_iter().filter(|namespace| *namespace != Namespace::Computed) {
        let of_it = |fact: &&Fact| fact.path.split('.').next() == Some(namespace.as_str());
        let facts: Vec<_> = knew.facts.iter().filter(of_it).collect();
        for fact in facts.iter().take(MAX_FACTS) {
            let path = plain::line(&fact.path, plain::MAX_VALUE_CHARS);
            writeln!(f, "  {path}: {} ({})", plain::value(&fact.value), source(&fact.said_by, fact.at))?;
        }
        if facts.len() > MAX_FACTS {
            writeln!(f, "  and {} more of {namespace}", facts.len() - MAX_FACTS)?;
        }
    }
    if let Some(version) = knew.computed("icp_version") {
        writeln!(f, "  By profile {} that makes", unquoted(version))?;
    }
    knew.sums.iter().try_for_each(|sum| self::sum(sum, f))
}

fn sum(sum: &ScoreBreakdown, f: &mut Formatter<'_>) -> Result {
    write!(f, "    {} {} of 100:", sum.of, sum.total)?;
    for (i, part) in sum.parts.iter().enumerate() {
        write!(f, "{} {} {}", if i == 0 { "" } else { "," }, part.name, part.points)?;
        if let Some(matched) = &part.matched {
            write!(f, " ({})", unquoted(matched))?;
        }
    }
    writeln!(f)
}

fn claimed(judgement: &Judgement, f: &mut Formatter<'_>) -> Result {
    let Judgement { provider, model, at, .. } = judgement;
    if judgement.fallback {
        return writeln!(f, "  Nothing: {provider} ({model}) gave no answer by {at}.");
    }
    write!(f, "  {provider} ({model}) judged ")?;
    match (judgement.revision, judgement.is_of_newest) {
        (Some(revision), true) => write!(f, "revision {revision}")?,
        (Some(revision), false) => write!(f, "revision {revision}, which is not the newest,")?,
        (None, _) => write!(f, "an earlier revision")?,
    }
    let time = if judgement.round == 1 { String::new() } else { format!(" (judgement {})", judgement.round) };
    writeln!(f, " on {at}{time}:")?;
    if judgement.claims.is_empty() {
        writeln!(f, "  no claims")?;
    }
    judgement.claims.iter().try_for_each(|claim| self::claim(claim, f))?;
    if let Some(words) = &judgement.own_words {
        let words = plain::line(words, MAX_PROSE_CHARS).replace('"', "'");
        writeln!(f, "  The analyst's own words, not checked and not sent anywhere: \"{words}\"")?;
    }
    Ok(())
}

fn claim(checked: &CheckedClaim, f: &mut Formatter<'_>) -> Result {
    let line = |text: &str| plain::line(text, plain::MAX_VALUE_CHARS);
    let claim = &checked.claim;
    let said = match &checked.said_by {
        Some(by) => source(by, checked.said_at),
        None => "no source".to_owned(),
    };
    let (path, value, kind) = (line(&claim.field_path), plain::value(&claim.value), line(&claim.claim_type));
    if checked.passed {
        return writeln!(f, "  passed  {path} is {value} ({kind}), said by {said}");
    }
    let code = checked.code.map_or("", grounding::ReasonCode::as_str);
    writeln!(f, "  BROKEN  {path} is {value} ({kind}, from {}): {code}", line(&claim.source))?;
    write!(f, "          {}", checked.message.as_deref().unwrap_or_default())?;
    match &checked.fact {
        Some(fact) => writeln!(f, " It is {}, said by {said}.", plain::value(fact)),
        None => writeln!(f),
    }
}

fn decided(judgement: &Judgement, f: &mut Formatter<'_>) -> Result {
    let Judgement { fit_score, fit, intent, grounding, .. } = judgement;
    if let Some(asked) = &judgement.asked {
        writeln!(
            f,
            "  The analyst asked for score {}, intent {}, {}; grounding: {grounding}.",
            asked.fit_score, asked.intent, asked.decision
        )?;
    }
    if let Some(at) = judgement.answer_removed_at {
        writeln!(f, "  Retention removed the analyst's answer at {at}; the verdict on it stays.")?;
    }
    for adjustment in &judgement.adjustments {
        writeln!(f, "  {}: {}", adjustment.code, plain::line(&adjustment.message, MAX_PROSE_CHARS))?;
    }
    writeln!(
        f,
        "  Score {fit_score}, so fit {fit} (MEDIUM from {}, HIGH from {}); intent {intent}.",
        judgement.fit_medium_from, judgement.fit_high_from
    )?;
    writeln!(f, "  {}", judgement.because)
}

fn routed(given: &RoutingView, f: &mut Formatter<'_>) -> Result {
    match (&given.owner, &given.name) {
        (Some(owner), Some(name)) => writeln!(f, "  {} ({owner}), since {}.", line(name), given.assigned_at)?,
        (Some(owner), None) => writeln!(f, "  {owner}, since {}.", given.assigned_at)?,
        (None, _) => writeln!(f, "  No owner by our rules: the CRM assigns one.")?,
    }
    writeln!(f, "  By rules {}: {}.", line(&given.version), line(&given.because))?;
    for passed in &given.passed_over {
        writeln!(f, "  passed over  {}: {}", line(&passed.rule), line(&passed.because))?;
    }
    for member in &given.members {
        let outcome = match &member.outcome {
            Outcome::Chosen => "chosen".to_owned(),
            Outcome::Waits => "waits: another member was due more".to_owned(),
            Outcome::Skipped(because) => format!("skipped: {}", line(because)),
        };
        let (pool, owner) = (line(&member.pool), line(&member.owner));
        let (weight, credit, today, open) = (member.weight, member.credit, member.today, member.open);
        writeln!(
            f,
            "  {pool}/{owner}  weight {weight}, due {credit}, {today} today, {open} open: {outcome}"
        )?;
    }
    if given.reassignments > 0 {
        writeln!(f, "  It was reassigned {} times for lack of a response.", given.reassignments)?;
    }
    match (given.responded_at, given.respond_by, given.overdue_at) {
        (Some(at), ..) => {
            let by = given.responded_by.as_deref().map(line).unwrap_or_default();
            writeln!(f, "  Responded to {at}, reported by {by}.")
        }
        (None, Some(due), _) => writeln!(f, "  A response is due by {due}."),
        (None, None, Some(since)) => writeln!(f, "  There was no response by {since}."),
        (None, None, None) => Ok(()),
    }
}

fn line(text: &str) -> String {
    plain::line(text, plain::MAX_VALUE_CHARS)
}

fn written(action: &Written, f: &mut Formatter<'_>) -> Result {
    let Written { kind, provider, state, .. } = action;
    write!(f, "  {kind}: {state}")?;
    if let Some(record) = &action.record_id {
        let verb = if action.created == Some(true) { "created" } else { "wrote" };
        write!(f, ", {verb} {provider} record {}", plain::line(record, 80))?;
    }
    if let Some(revision) = action.revision {
        write!(f, " (revision {revision}, {})", action.at)?;
    }
    if !action.fields.is_empty() {
        write!(f, ": {}", action.fields.join(", "))?;
    }
    if let Some(failure) = &action.failure {
        let message = plain::line(&failure.message, plain::MAX_VALUE_CHARS);
        write!(f, "; {} ({message})", plain::line(&failure.code, 80))?;
    }
    writeln!(f)?;
    action.left_out.iter().try_for_each(|omission| {
        let (object, field) = (omission.object.as_str(), plain::line(&omission.field, 80));
        writeln!(f, "    left out  {object}.{field} ({}): {}", line(&omission.source), omission.reason)
    })
}

/// A value from our own configuration.
fn unquoted(value: &Value) -> String {
    plain::value(value).replace('"', "")
}

fn source(said_by: &str, at: Option<Timestamp>) -> String {
    let said_by = plain::line(said_by, 80);
    at.map_or(said_by.clone(), |at| format!("{said_by}, {at}"))
}
