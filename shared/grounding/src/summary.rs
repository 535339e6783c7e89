use std::fmt::Write as _;

use lead::Decision;
use serde_json::Value;

use crate::{Claim, ClaimType, GroundingStatus, Verdict};

/// The longest summary, in characters.
const MAX_CHARS: usize = 2_000;
/// The longest value shown, in characters.
const MAX_VALUE_CHARS: usize = 160;
/// The longest name of a field shown, in characters.
const MAX_LABEL_CHARS: usize = 80;

/// What a salesperson reads in the CRM: rendered by us from the claims that passed, never the model's prose.
///
/// Plain text of at most 2,000 characters, the same for the same verdict. Its lines break only where we break them:
/// values come without control, directional and invisible characters. It is not escaped for HTML: what shows it as
/// HTML has to do that.
pub fn summary(verdict: &Verdict) -> String {
    let mut text = format!(
        "Fit {} ({} of 100), intent {}: {}.\n",
        verdict.fit,
        verdict.fit_score,
        verdict.intent,
        in_words(verdict.decision)
    );
    let notes = notes(verdict);
    let lines = evidence_lines(&verdict.evidence);
    let room = MAX_CHARS.saturating_sub(text.chars().count() + notes.chars().count());
    append_bounded(&mut text, &lines, room);
    text.push_str(&notes);
    text.truncate(text.trim_end().len());
    text
}

fn in_words(decision: Decision) -> &'static str {
    match decision {
        Decision::RouteToSdr => "a sales representative should call now",
        Decision::Nurture => "marketing keeps in touch",
        Decision::ManualReview => "a person should decide",
        Decision::Ignore => "nothing to do",
    }
}

fn heading(claim_type: ClaimType) -> &'static str {
    match claim_type {
        ClaimType::Firmographic => "Company",
        ClaimType::Behavior => "Behavior",
        ClaimType::Pipeline => "Pipeline",
        ClaimType::Score => "Score",
    }
}

/// A heading for each type of claim there is, and a line for each claim, in the stable order of the evidence.
fn evidence_lines(evidence: &[Claim]) -> Vec<String> {
    let mut lines = Vec::new();
    for claim_type in ClaimType::ALL {
        let claims = evidence.iter().filter(|claim| ClaimType::parse(&claim.claim_type) == Some(claim_type));
        let shown: Vec<String> = claims.filter_map(claim_line).collect();
        if !shown.is_empty() {
            lines.push(format!("{}:\n", heading(claim_type)));
            lines.extend(shown);
        }
    }
    if lines.is_empty() {
        lines.push("No evidence.\n".to_owned());
    }
    lines
}

fn claim_line(claim: &Claim) -> Option<String> {
    let (namespace, field) = claim.field_path.split_once('.')?;
    let label = shown(&field.replace('_', " "), MAX_LABEL_CHARS);
    let value = match &claim.value {
        Value::Array(members) => members.iter().filter_map(single).collect::<Vec<_>>().join(", "),
        one => single(one)?,
    };
    Some(format!("- {label}: {} ({})\n", shown(&value, MAX_VALUE_CHARS), shown(namespace, MAX_LABEL_CHARS)))
}

fn single(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("yes".to_owned()),
        Value::Bool(false) => Some("no".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What we changed, in the sentences of the breaches, which repeat nothing of the model.
fn notes(verdict: &Verdict) -> String {
    if verdict.status == GroundingStatus::Rejected {
        return "Held: the analysis also said what the facts do not.\n".to_owned();
    }
    verdict.reasons.iter().filter(|breach| breach.claim.is_none()).fold(String::new(), |mut notes, breach| {
        let _ = writeln!(notes, "Adjusted: {}", shown(&breach.message, MAX_VALUE_CHARS)); // cannot fail
        notes
    })
}

/// Appends lines while they fit, and says how many claims did not.
fn append_bounded(text: &mut String, lines: &[String], room: usize) {
    const ROOM_FOR_THE_REST: usize = 20; // "- and 9999 more\n"
    let mut left = room.saturating_sub(ROOM_FOR_THE_REST);
    for (i, line) in lines.iter().enumerate() {
        let length = line.chars().count();
        if length > left {
            let more = lines[i..].iter().filter(|line| line.starts_with('-')).count();
            let _ = writeln!(text, "- and {more} more"); // cannot fail
            return;
        }
        left -= length;
        text.push_str(line);
    }
}

/// One line of visible text, cut to a length.
fn shown(text: &str, most: usize) -> String {
    let line = lead::text::visible(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use lead::{Fit, FitScore, Intent};
    use serde_json::json;

    use super::*;
    use crate::{Breach, Contract, ReasonCode};

    fn claim(source: &str, field_path: &str, value: Value, claim_type: &str) -> Claim {
        Claim { source: source.into(), field_path: field_path.into(), value, claim_type: claim_type.into() }
    }

    fn verdict(evidence: Vec<Claim>) -> Verdict {
        Verdict {
            contract_version: 1,
            status: GroundingStatus::Valid,
            reasons: vec![],
            fit_score: FitScore::clamped(92),
            fit: Fit::High,
            intent: Intent::High,
            decision: Decision::RouteToSdr,
            evidence,
        }
    }

    #[test]
    fn the_evidence_is_listed_under_what_it_is_about() {
        let verdict = verdict(vec![
            claim("COMPUTED", "computed.baseline_score", json!(85), "SCORE"),
            claim("ENRICHMENT", "enrichment.employees", json!(1200), "FIRMOGRAPHIC"),
            claim("ENRICHMENT", "enrichment.technologies", json!(["Rust", "HubSpot"]), "FIRMOGRAPHIC"),
            claim("MARKETO", "marketo.activity.last_page", json!("/pricing"), "BEHAVIOR"),
            claim("PRODUCT", "product.usage_signals.invited_team", json!(true), "BEHAVIOR"),
            claim("SALESFORCE", "salesforce.deal_stage", json!("Qualified"), "PIPELINE"),
        ]);
        let expected = [
            "Fit HIGH (92 of 100), intent HIGH: a sales representative should call now.",
            "Company:",
            "- employees: 1200 (enrichment)",
            "- technologies: Rust, HubSpot (enrichment)",
            "Behavior:",
            "- activity.last page: /pricing (marketo)",
            "- usage signals.invited team: yes (product)",
            "Pipeline:",
            "- deal stage: Qualified (salesforce)",
            "Score:",
            "- baseline score: 85 (computed)",
        ];
        assert_eq!(summary(&verdict), expected.join("\n"));
    }

    #[test]
    fn what_was_lowered_is_said_in_our_words() {
        let mut lowered = verdict(vec![claim("MARKETO", "marketo.program", json!("Webinar"), "BEHAVIOR")]);
        lowered.status = GroundingStatus::Downgraded;
        (lowered.fit, lowered.fit_score) = (Fit::Medium, FitScore::clamped(70));
        lowered.decision = Decision::ManualReview;
        lowered.reasons = vec![Breach {
            code: ReasonCode::WeakFit,
            claim: None,
            fact: None,
            message: "No fact about the company carries a HIGH fit; the score became 70.".into(),
        }];
        let expected = [
            "Fit MEDIUM (70 of 100), intent HIGH: a person should decide.",
            "Behavior:",
            "- program: Webinar (marketo)",
            "Adjusted: No fact about the company carries a HIGH fit; the score became 70.",
        ];
        assert_eq!(summary(&lowered), expected.join("\n"));
    }

    #[test]
    fn a_rejected_answer_says_so_without_its_lies() {
        let mut rejected = verdict(vec![]);
        rejected.status = GroundingStatus::Rejected;
        rejected.decision = Decision::ManualReview;
        rejected.reasons = vec![Breach {
            code: ReasonCode::ValueConflict,
            claim: Some(claim("ENRICHMENT", "enrichment.industry", json!("Retail"), "FIRMOGRAPHIC")),
            fact: Some(json!("Fintech")),
            message: "The claim does not say what stands at enrichment.industry.".into(),
        }];
        let expected = [
            "Fit HIGH (92 of 100), intent HIGH: a person should decide.",
            "No evidence.",
            "Held: the analysis also said what the facts do not.",
        ];
        assert_eq!(summary(&rejected), expected.join("\n"));
    }

    #[test]
    fn the_fallback_has_nothing_to_show() {
        let text = summary(&Verdict::fallback(&Contract::default()));
        assert_eq!(text, "Fit MEDIUM (50 of 100), intent LOW: a person should decide.\nNo evidence.");
    }

    #[test]
    fn a_value_cannot_break_the_lines_or_turn_the_text_around() {
        let hostile = json!("nice\r\nScore:\n- baseline: 100\u{202e}\u{200b}\u{7}\t<b>");
        let text = summary(&verdict(vec![claim("MARKETO", "marketo.a\u{2028}b", hostile, "BEHAVIOR")]));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("- a b: nice Score: - baseline: 100 <b> (marketo)"), "{text}");
    }

    #[test]
    fn a_summary_is_bounded() {
        let long =
            |i: usize| claim("MARKETO", &format!("marketo.f{i:03}"), json!("é".repeat(500)), "BEHAVIOR");
        let text = summary(&verdict((0..200).map(long).collect()));
        assert!(text.chars().count() <= MAX_CHARS);
        let shown = text.matches("marketo").count();
        assert!(text.ends_with(&format!("- and {} more", 200 - shown)), "{text}");
        assert!(text.contains(&format!("f000: {}… (", "é".repeat(159))), "{text}");
    }
}
