//! The rules on claims: source, type, path and value of each claim against the fact sheet.

use serde_json::Value;

use crate::equality::{is_empty, matching};
use crate::matched::is_matched;
use crate::{Breach, Claim, ClaimType, FactSheet, FieldPath, FieldPathError, Namespace, ReasonCode, relaxed};

/// The facts that a SCORE claim may cite: the computed scores and levels.
const SCORES: [&str; 5] = [
    "computed.baseline_score",
    "computed.intent_score",
    "computed.intent_level",
    "computed.engagement_level",
    "computed.title_level",
];

/// A claim that passed.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    /// The claim, with the value as its source wrote it.
    pub(crate) claim: Claim,
    /// The type of the claim.
    pub(crate) claim_type: ClaimType,
    /// Whether the fact fired a signal or matched the profile.
    pub(crate) is_matched: bool,
    /// The note about a corrected type.
    pub(crate) retyped: Option<Breach>,
}

/// Checks one claim against the facts. The breach is the first broken rule, in the order of this function.
pub(crate) fn judge(facts: &FactSheet, claim: &Claim) -> Result<Passed, Box<Breach>> {
    let path = FieldPath::parse(&claim.field_path);
    let named = path.as_ref().ok().and_then(|path| Named::find(facts, path));
    let breach = |code, message: String| {
        let fact = named.as_ref().and_then(|named| excerpt(named.fact));
        Box::new(Breach { code, claim: Some(claim.clone()), fact, message })
    };

    let Some(source) = Namespace::from_source(&claim.source) else {
        let message = "The claim rests on a source that is not one of the five the model was given.";
        return Err(breach(ReasonCode::UnauthorizedSource, message.to_owned()));
    };
    let Some(claimed_type) = ClaimType::parse(&claim.claim_type) else {
        let message = "The claim is of a type that no source may support.";
        return Err(breach(ReasonCode::SourceMismatch, message.to_owned()));
    };
    let owner = owner(&claim.field_path, path.as_ref());
    let claim_type = if owner.is_none_or(|owner| owner == source) {
        supported_type(claimed_type, source, &claim.field_path)
    } else {
        claimed_type
    };
    if !claim_type.may_rest_on(source) {
        let message = format!("A {} claim may not rest on {}.", claim_type.as_str(), source.source());
        return Err(breach(ReasonCode::SourceMismatch, message));
    }
    if let Some(owner) = owner
        && owner != source
    {
        let message =
            format!("The claim rests on {}, but names a field of {}.", source.source(), owner.source());
        return Err(breach(ReasonCode::SourceMismatch, message));
    }
    if claim_type == ClaimType::Firmographic && found_nothing(facts, Namespace::Enrichment) {
        let message = "A claim about the company, although enrichment found nothing about it.";
        return Err(breach(ReasonCode::NoEnrichment, message.to_owned()));
    }
    let Some(named) = &named else {
        let message = "The fact sheet holds nothing under the path the claim names.";
        return Err(breach(ReasonCode::UnknownField, message.to_owned()));
    };
    let path = &named.path;
    let Some(value) = named.matching(&claim.value) else {
        let message = if named.fact.is_object() {
            format!("The claim names {path}, which is a group of facts and has no value itself.")
        } else {
            format!("The claim does not say what stands at {path}.")
        };
        return Err(breach(ReasonCode::ValueConflict, message));
    };
    let claim = Claim {
        source: source.source().to_owned(),
        field_path: path.to_string(),
        value,
        claim_type: claim_type.as_str().to_owned(),
    };
    let retyped = (claim_type != claimed_type).then(|| Breach {
        code: ReasonCode::ClaimRetyped,
        claim: None,
        fact: None,
        message: format!(
            "A {} claim may not rest on {path}; it counts as {}.",
            claimed_type.as_str(),
            claim_type.as_str()
        ),
    });
    Ok(Passed { is_matched: is_matched(facts, path, &claim.value), claim, claim_type, retyped })
}

/// The fact that a claim cites.
struct Named<'a> {
    /// The path of the fact, or of the list of a member.
    path: FieldPath,
    /// The fact or the member.
    fact: &'a Value,
}

impl<'a> Named<'a> {
    fn find(facts: &'a FactSheet, path: &FieldPath) -> Option<Self> {
        let whole = facts.get(path).map(|fact| (path.clone(), fact));
        let found = whole.or_else(|| member(facts, path.as_str()));
        found.filter(|(_, fact)| !is_empty(fact)).map(|(path, fact)| Self { path, fact })
    }

    /// The part of the fact that equals a claimed value, as the source wrote it.
    fn matching(&self, claimed: &Value) -> Option<Value> {
        let relaxed = || relaxed::matching(&self.path, self.fact, claimed);
        matching(self.fact, claimed).cloned().or_else(relaxed)
    }
}

/// The member of a list at an index, written as `path[0]` or `path.0`.
fn member<'a>(facts: &'a FactSheet, text: &str) -> Option<(FieldPath, &'a Value)> {
    let (list, index) = match text.strip_suffix(']') {
        Some(text) => text.rsplit_once('[')?,
        None => text.rsplit_once('.')?,
    };
    let is_index = (1..=3).contains(&index.len()) && index.bytes().all(|byte| byte.is_ascii_digit());
    if !is_index || (index.len() > 1 && index.starts_with('0')) {
        return None;
    }
    let path = FieldPath::parse(list).ok()?;
    let member = facts.get(&path)?.as_array()?.get(index.parse::<usize>().ok()?)?;
    Some((path, member))
}

/// The type that the fact supports, which may differ from the claimed one.
fn supported_type(claimed_type: ClaimType, source: Namespace, path: &str) -> ClaimType {
    let is_score = SCORES.contains(&path);
    match source {
        Namespace::Enrichment => ClaimType::Firmographic,
        Namespace::Marketo | Namespace::Product => ClaimType::Behavior,
        Namespace::Salesforce => ClaimType::Pipeline,
        Namespace::Computed if claimed_type == ClaimType::Pipeline || !is_score => ClaimType::Pipeline,
        Namespace::Computed => ClaimType::Score,
    }
}

/// The namespace of a path, even if the rest of the path is malformed.
fn owner(text: &str, path: Result<&FieldPath, &FieldPathError>) -> Option<Namespace> {
    match path {
        Ok(path) => Some(path.namespace()),
        Err(_) => Namespace::parse(text.split('.').next().unwrap_or_default()),
    }
}

fn found_nothing(facts: &FactSheet, namespace: Namespace) -> bool {
    facts.namespace(namespace).is_none_or(|facts| facts.values().all(is_empty))
}

/// The fact for a breach: single values and lists of bounded size.
fn excerpt(fact: &Value) -> Option<Value> {
    (!fact.is_object() && fact.to_string().len() <= Breach::MAX_FACT_BYTES).then(|| fact.clone())
}

#[cfg(test)]
mod tests;
