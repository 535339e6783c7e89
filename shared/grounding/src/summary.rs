//! Renders a verdict as the text that sales reads in the CRM.

use std::fmt::Write as _;

use lead::Decision;
use serde_json::Value;

use crate::matched::is_matched;
use crate::{Claim, ClaimType, FactSheet, FieldPath, GroundingStatus, Namespace, Origins, Verdict};

/// The maximum length of a summary, in characters.
const MAX_CHARS: usize = 2_000;
/// The maximum length of a value, in characters.
const MAX_VALUE_CHARS: usize = 160;
/// The maximum length of the name of a field, in characters.
const MAX_LABEL_CHARS: usize = 80;
/// The maximum length of the name of a source, in characters.
const MAX_ORIGIN_CHARS: usize = 60;
/// The maximum length of a value without quotation marks, in characters and in words.
const TOKEN: (usize, usize) = (40, 4);

/// The context of a verdict in a summary.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The judged facts.
    pub facts: &'a FactSheet,
    /// The origins of these facts.
    pub origins: &'a Origins,
    /// The names of the opt-outs from the sender; empty without any.
    pub opted_out: &'a [&'static str],
}

/// The text for sales in the CRM. It is rendered from the claims that passed, never from the model's prose.
///
/// Plain text of at most 2,000 characters; the same verdict gives the same text. Each line of evidence ends
/// with the origin of the fact. Values that the profile knows, numbers and short tokens are unquoted. Any
/// other value is quoted, so that it cannot imitate a line of the summary. Values have no control,
/// directional or invisible characters and no line breaks, and links and markup in them are defanged (`http`
/// becomes `hxxp`). The text is not escaped for HTML; an HTML view must do that.
pub fn summary(verdict: &Verdict, context: Context<'_>) -> String {
    let mut text = format!(
        "Fit {} ({} of 100), intent {}: {}.\n",
        verdict.fit,
        verdict.fit_score,
        verdict.intent,
        in_words(verdict.decision)
    );
    if !context.opted_out.is_empty() {
        let _ = writeln!(
            text,
            "The person opted out: {} ({}).",
            context.opted_out.join(", "),
            sender(context.origins)
        );
    }
    let notes = notes(verdict);
    let lines = evidence_lines(&verdict.evidence, context);
    let room = MAX_CHARS.saturating_sub(text.chars().count() + notes.chars().count());
    append_bounded(&mut text, &lines, room);
    text.push_str(&notes);
    text.truncate(text.trim_end().len());
    text
}

fn sender(origins: &Origins) -> String {
    plain(&crate::Origin::Sent(origins.sender.clone()).to_string(), MAX_ORIGIN_CHARS)
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

/// A heading for each type of claim, and a line for each claim, in the stable order of the evidence. Computed
/// facts are listed under Score, whatever their type.
fn evidence_lines(evidence: &[Claim], context: Context<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let section = |claim: &Claim| match Namespace::from_source(&claim.source) {
        Some(Namespace::Computed) => Some(ClaimType::Score),
        _ => ClaimType::parse(&claim.claim_type),
    };
    for claim_type in ClaimType::ALL {
        let claims = evidence.iter().filter(|claim| section(claim) == Some(claim_type));
        let shown: Vec<String> = claims.filter_map(|claim| claim_line(claim, context)).collect();
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

fn claim_line(claim: &Claim, context: Context<'_>) -> Option<String> {
    let path = FieldPath::parse(&claim.field_path).ok()?;
    let label = plain(&path.within_namespace().replace('_', " "), MAX_LABEL_CHARS);
    let value = match &claim.value {
        Value::Array(members) => members.iter().filter_map(single).collect::<Vec<_>>().join(", "),
        Value::Object(band) => range(band)?,
        one => single(one)?,
    };
    let is_ours = path.namespace() == Namespace::Computed && !claim.value.is_array();
    let is_known = !claim.value.is_string() && !claim.value.is_array();
    let is_known =
        is_known || is_ours || is_matched(context.facts, &path, &claim.value) && !claim.value.is_array();
    let shown = shown(&value, MAX_VALUE_CHARS);
    let shown = if is_known || is_token(&shown) { shown } else { format!("\"{}\"", shown.replace('"', "'")) };
    let origin = plain(&context.origins.of(&path).to_string(), MAX_ORIGIN_CHARS);
    Some(format!("- {label}: {shown} ({origin})\n"))
}

/// Whether a text is one or a few words, such as `pricing page visit`, `/docs/api` or `AWS, Kubernetes`.
fn is_token(text: &str) -> bool {
    let (chars, words) = TOKEN;
    let is_plain = |c: char| {
        c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '+' | '#' | '&' | ',' | '%')
    };
    text.chars().count() <= chars
        && text.split(' ').count() <= words
        && text.chars().all(is_plain)
        && !text.split(' ').any(|word| word.chars().all(|c| c == '-'))
}

/// A band of numbers, such as `5001-10000` or `10001+`.
fn range(band: &serde_json::Map<String, Value>) -> Option<String> {
    let min = single(band.get("min")?)?;
    Some(match band.get("max").and_then(single) {
        Some(max) => format!("{min}-{max}"),
        None => format!("{min}+"),
    })
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

/// The changes to the answer, in the messages of the breaches, which repeat nothing of the model.
fn notes(verdict: &Verdict) -> String {
    if verdict.status == GroundingStatus::Rejected {
        return "Held: the analysis also said what the facts do not.\n".to_owned();
    }
    verdict.reasons.iter().filter(|breach| breach.claim.is_none()).fold(String::new(), |mut notes, breach| {
        let _ = writeln!(notes, "Adjusted: {}", shown(&breach.message, MAX_VALUE_CHARS)); // cannot fail
        notes
    })
}

/// Appends lines while they fit, and the number of claims that do not.
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

/// One line of visible text without working links and markup, cut to a length.
fn shown(text: &str, most: usize) -> String {
    let line = defanged(&lead::text::visible(text).split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= most {
        return line;
    }
    let cut: String = line.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

/// A name, reduced to letters, digits, blanks, dots, dashes, underscores and plus signs.
fn plain(text: &str, most: usize) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_' | '+');
    shown(&text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect::<String>(), most)
}

/// Text without working links and markup.
fn defanged(text: &str) -> String {
    let text = text.replace("](", "] (").replace('<', "‹").replace('>', "›");
    let text = with_each(&text, "http", |found| format!("{}xx{}", &found[..1], &found[3..]));
    with_each(&text, "www.", |found| format!("{}[.]", &found[..3]))
}

/// A text with each occurrence of an ASCII word replaced, ignoring case.
fn with_each(text: &str, word: &str, replace: impl Fn(&str) -> String) -> String {
    let lower = text.to_ascii_lowercase();
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in lower.match_indices(word) {
        replaced.push_str(&text[from..at]);
        from = at + word.len();
        replaced.push_str(&replace(&text[at..from]));
    }
    replaced.push_str(&text[from..]);
    replaced
}

#[cfg(test)]
mod tests;
