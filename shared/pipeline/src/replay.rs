use analysis::fact_sheet;
use enrichment::Enrichment;
use grounding::{Answer, Verdict, check};
use jiff::Timestamp;
use lead::{Failure, LeadId};
use serde::Serialize;
use serde_json::{Value, json};
use store::{AnalysisRecord, Scope, Store, StoredAnalysis};

use crate::evaluate::facts_anew;
use crate::permission::{Denied, Permission};
use crate::{Pipeline, judge};

/// What judging a lead again would change. Nothing is written to find out.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// The lead.
    pub lead_id: LeadId,
    /// The verdict in force.
    pub stored: Verdict,
    /// Whether the stored facts and answer give the stored verdict again, byte for byte, under the stored contract.
    /// False means that the verdict cannot be trusted.
    pub reproducible: bool,
    /// The verdict that the present configuration and analyst would give on what is stored. None where nobody could judge now.
    pub now: Option<Verdict>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_now: Option<Failure>,
    /// How the two differ, as a person would put it. Empty: nothing would change, or it is not known.
    pub changes: Vec<Change>,
}

/// One value that would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Which.
    pub field: &'static str,
    /// What it is.
    pub from: Value,
    /// What it would be.
    pub to: Value,
}

/// A stored judgement that was judged once more from what is stored with it.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    /// Which judgement: delivery and round.
    pub analysis_id: String,
    /// Of which lead.
    pub lead_id: LeadId,
    /// Why it cannot be trusted; none where the verdict came out again to the byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Why a stored judgement cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The stored facts and answer give another verdict.
    OtherVerdict,
    /// A verdict rests on an answer that cannot be read.
    UnreadableAnswer,
    /// The row, the content judged or what enrichment found for it cannot be read.
    UnreadableRow,
}

impl Problem {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherVerdict => "other_verdict",
            Self::UnreadableAnswer => "unreadable_answer",
            Self::UnreadableRow => "unreadable_row",
        }
    }
}

/// Judges every stored analysis once more, each from its own facts and answer under its own contract, and compares the
/// verdicts byte for byte. Writes nothing, asks nobody, and holds one page at a time.
pub async fn verify(
    store: &Store,
    since: Option<Timestamp>,
    mut each: impl FnMut(Verified),
) -> Result<(), Failure> {
    let mut analyses = store.stored_analyses(Scope::Every, since);
    loop {
        let page = analyses.next_page().await?;
        if page.is_empty() {
            return Ok(());
        }
        for stored in page {
            let problem = problem_of(&stored);
            each(Verified { analysis_id: stored.analysis_id, lead_id: stored.lead_id, problem });
        }
    }
}

fn problem_of(stored: &StoredAnalysis) -> Option<Problem> {
    let (Ok(analysis), Ok(basis)) = (&stored.analysis, &stored.basis) else {
        return Some(Problem::UnreadableRow);
    };
    if serde_json::from_value::<Enrichment>(basis.enrichment.clone()).is_err() {
        return Some(Problem::UnreadableRow);
    }
    match judged_once_more(analysis) {
        None => Some(Problem::UnreadableAnswer),
        Some(verdict) if text_of(&verdict) != stored.verdict => Some(Problem::OtherVerdict),
        Some(_) => None,
    }
}

/// The verdict on what is stored, under the contract that is stored. None where the answer cannot be read.
fn judged_once_more(analysis: &AnalysisRecord) -> Option<Verdict> {
    if analysis.fallback {
        return Some(Verdict::fallback(&analysis.contract));
    }
    let answer = Answer::parse(&analysis.raw_answer, &analysis.contract).ok()?;
    Some(check(&analysis.facts, &answer, &analysis.contract))
}

/// A verdict as the store writes it.
fn text_of(verdict: &Verdict) -> String {
    serde_json::to_string(verdict).unwrap_or_default() // strings, numbers and JSON always serialise
}

impl Pipeline {
    /// Judges a lead again from what is stored of it, writing nothing. None where it has not been judged yet.
    ///
    /// Enrichment is that of the delivery that was judged: nobody is asked about the company again.
    pub async fn replay(&self, lead: &LeadId) -> Result<Option<Replay>, Failure> {
        let (Some(record), Some(analysis)) =
            (self.store.lead(lead).await?, self.store.analysis_in_force(lead).await?)
        else {
            return Ok(None);
        };
        let again = judged_once_more(&analysis);
        let reproducible = again.is_some_and(|again| text_of(&again) == text_of(&analysis.verdict));
        let stored = self.store.enrichment_of(&analysis.delivery_id).await?;
        let enrichment: Enrichment =
            stored.and_then(|stored| serde_json::from_value(stored).ok()).ok_or_else(|| {
                Failure::permanent("stored_data_unreadable", "the stored enrichment cannot be read")
            })?;
        let facts = if record.delivery_id == analysis.delivery_id {
            facts_anew(&record.content, &enrichment, &self.icp, &analysis.facts)
        } else {
            fact_sheet(&record.content, &enrichment, &self.icp) // a revision that is still to be judged
        };
        // What is stored can be judged by itself: an AI that is away must not hide whether it can be trusted.
        let (now, not_now) = match Permission::of(&self.store, &record.content.email).await {
            Err(Denied::Failed(failure)) => return Err(failure),
            Err(Denied::Suppressed(_)) => {
                let message = "the person is on the suppression list: nothing outside is asked about them";
                (None, Some(Failure::permanent("suppressed", message)))
            }
            Ok(permission) => {
                let analyst = self.analyst_of(lead);
                match judge::ask(self, analyst.as_ref(), &permission, &facts).await {
                    Ok(checked) => (Some(checked.verdict), None),
                    Err(no) => (None, Some(no.failure)),
                }
            }
        };
        let changes = now.as_ref().map_or_else(Vec::new, |now| changes(&analysis.verdict, now));
        let lead_id = lead.clone();
        Ok(Some(Replay { lead_id, stored: analysis.verdict, reproducible, now, not_now, changes }))
    }
}

/// How two verdicts differ.
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
