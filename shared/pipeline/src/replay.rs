use analysis::{Icp, fact_sheet};
use enrichment::Enrichment;
use grounding::{Answer, FactSheet, Namespace, Verdict, check};
use jiff::Timestamp;
use lead::{Failure, Lead, LeadId};
use serde::Serialize;
use serde_json::{Value, json};
use store::{AnalysisRecord, StoredAnalysis};

use crate::permission::{Denied, Permission};
use crate::trust::copy_trust;
use crate::{Pipeline, judge};

/// The result of judging a lead again without writing anything.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Replay {
    /// The lead.
    pub lead_id: LeadId,
    /// The verdict in force.
    pub stored: Verdict,
    /// Whether the stored facts and answer reproduce the stored verdict, byte for byte, under the stored
    /// contract. If false, the verdict cannot be trusted. Null if retention has removed the answer.
    #[schema(required)]
    pub reproducible: Option<bool>,
    /// When retention removed the answer; absent while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_removed_at: Option<Timestamp>,
    /// The verdict of the present configuration and analyst on the stored data. Null if there is no
    /// judgement now.
    #[schema(required)]
    pub now: Option<Verdict>,
    /// The reason why `now` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_now: Option<Failure>,
    /// The differences between `stored` and `now`. Empty if there are none, or if `now` is null.
    pub changes: Vec<Change>,
}

/// A difference in one field of two verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Change {
    /// The name of the field.
    pub field: &'static str,
    /// The value in force.
    pub from: Value,
    /// The new value.
    pub to: Value,
}

/// The reason why a stored judgement cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The stored facts and answer give another verdict.
    OtherVerdict,
    /// The answer that the verdict is based on cannot be read.
    UnreadableAnswer,
    /// The row, the judged content or its enrichment cannot be read.
    UnreadableRow,
}

impl Problem {
    /// The value in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherVerdict => "other_verdict",
            Self::UnreadableAnswer => "unreadable_answer",
            Self::UnreadableRow => "unreadable_row",
        }
    }
}

/// Recomputes the verdict of a stored analysis from its own facts and answer under its own contract, and
/// compares the verdicts byte for byte. `None` if they are equal.
pub fn verify(stored: &StoredAnalysis) -> Option<Problem> {
    let (Ok(analysis), Ok(basis)) = (&stored.analysis, &stored.basis) else {
        return Some(Problem::UnreadableRow);
    };
    if serde_json::from_value::<Enrichment>(basis.enrichment.clone()).is_err() {
        return Some(Problem::UnreadableRow);
    }
    match recomputed_verdict(analysis) {
        None => Some(Problem::UnreadableAnswer),
        Some(verdict) if text_of(&verdict) != stored.verdict => Some(Problem::OtherVerdict),
        Some(_) => None,
    }
}

/// The verdict on the stored answer under the stored contract. `None` if the answer cannot be read.
fn recomputed_verdict(analysis: &AnalysisRecord) -> Option<Verdict> {
    if analysis.fallback {
        return Some(Verdict::fallback(&analysis.contract));
    }
    let answer = Answer::parse(&analysis.raw_answer).ok()?;
    Some(check(&analysis.facts, &answer, &analysis.contract))
}

/// A verdict in the format of the store.
fn text_of(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).unwrap_or_default() // strings, numbers and JSON always serialise
}

impl Pipeline {
    /// Judges a lead again from its stored data and writes nothing. `None` if it has not been judged yet.
    ///
    /// Uses the stored enrichment of the judged delivery and does not query the providers.
    pub async fn replay(&self, lead: &LeadId) -> Result<Option<Replay>, Failure> {
        let (Some(record), Some(analysis)) =
            (self.store.lead(lead).await?, self.store.analysis_in_force(lead).await?)
        else {
            return Ok(None);
        };
        let recomputed = recomputed_verdict(&analysis);
        let is_same = recomputed.is_some_and(|verdict| text_of(&verdict) == text_of(&analysis.verdict));
        let answer_removed_at = analysis.removed.as_ref().map(|removed| removed.at);
        let reproducible = answer_removed_at.is_none().then_some(is_same);
        let enrichment = self.store.enrichment_of(&analysis.delivery_id).await?.ok_or_else(|| {
            Failure::permanent("stored_data_unreadable", "the stored enrichment is missing")
        })?;
        let facts = if record.delivery_id == analysis.delivery_id {
            recomputed_facts(&record.content, &enrichment, &self.icp, &analysis.facts)
        } else {
            // A revision that is still to be judged.
            let sender = self.store.sender_of(&record.delivery_id).await?;
            self.facts_of(&record.content, &sender, &enrichment)
        };
        // A failing analyst does not fail the replay, since `reproducible` needs no analyst.
        let (now, not_now) = match Permission::of(&self.steps, &record.content.email).await {
            Err(Denied::Failed(failure)) => return Err(failure),
            Err(Denied::Suppressed(_)) => {
                let message = "the person is on the suppression list, so no analyst is called";
                (None, Some(Failure::permanent("suppressed", message)))
            }
            Ok(permission) => {
                let analyst = self.analyst_of(lead);
                match judge::ask(self, analyst.as_ref(), &permission, &facts).await {
                    Ok(checked) => (Some(checked.verdict), None),
                    Err(no_analysis) => (None, Some(no_analysis.failure)),
                }
            }
        };
        let changes = now.as_ref().map_or_else(Vec::new, |now| changes(&analysis.verdict, now));
        let lead_id = lead.clone();
        Ok(Some(Replay {
            lead_id,
            stored: analysis.verdict,
            reproducible,
            answer_removed_at,
            now,
            not_now,
            changes,
        }))
    }
}

/// The facts of a judgement, recomputed under a profile from the stored data of the sources. The CRM facts
/// are copied from the judged facts, since the delivery does not contain them.
pub(crate) fn recomputed_facts(
    content: &Lead,
    enrichment: &Enrichment,
    icp: &Icp,
    judged: &FactSheet,
) -> FactSheet {
    let mut facts = fact_sheet(content, enrichment, icp);
    facts.set(Namespace::Salesforce, judged.namespace(Namespace::Salesforce).cloned().unwrap_or_default());
    copy_trust(judged, &mut facts);
    facts
}

/// The differences between two verdicts.
pub(crate) fn changes(from: &Verdict, to: &Verdict) -> Vec<Change> {
    let codes =
        |verdict: &Verdict| verdict.reasons.iter().map(|breach| json!(breach.code)).collect::<Vec<_>>();
    let claims = |verdict: &Verdict| {
        verdict.evidence.iter().map(|claim| json!([claim.field_path, claim.value])).collect::<Vec<_>>()
    };
    [
        ("grounding", json!(from.status), json!(to.status)),
        ("fit_score", json!(from.fit_score), json!(to.fit_score)),
        ("fit", json!(from.fit), json!(to.fit)),
        ("intent", json!(from.intent), json!(to.intent)),
        ("decision", json!(from.decision), json!(to.decision)),
        ("reasons", json!(codes(from)), json!(codes(to))),
        ("evidence", json!(claims(from)), json!(claims(to))),
    ]
    .into_iter()
    .filter(|(_, from, to)| from != to)
    .map(|(field, from, to)| Change { field, from, to })
    .collect()
}
