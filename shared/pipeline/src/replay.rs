use analysis::fact_sheet;
use enrichment::Enrichment;
use grounding::{Answer, Verdict, check};
use lead::{Failure, LeadId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Pipeline, judge};

/// What judging a lead again would change. Nothing is written to find out.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// The lead.
    pub lead_id: LeadId,
    /// The verdict in force.
    pub stored: Verdict,
    /// Whether the stored facts and answer give the stored verdict again, byte for byte, under the stored contract.
    /// False means that the verdict cannot be trusted; true for a fallback, which rests on no answer.
    pub reproducible: bool,
    /// The verdict that the present configuration and analyst would give on what is stored.
    pub now: Verdict,
    /// How the two differ, as a person would put it. Empty: nothing would change.
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

impl Pipeline {
    /// Judges a lead again from what is stored of it, writing nothing. None where it has not been judged yet.
    pub async fn replay(&self, lead: &LeadId) -> Result<Option<Replay>, Failure> {
        let (Some(record), Some(analysis)) =
            (self.store.lead(lead).await?, self.store.analysis_in_force(lead).await?)
        else {
            return Ok(None);
        };
        let reproducible = analysis.fallback
            || Answer::parse(&analysis.raw_answer).is_ok_and(|answer| {
                json!(check(&analysis.facts, &answer, &analysis.contract)) == json!(analysis.verdict)
            });
        let stored = self.store.enrichment_of(&analysis.delivery_id).await?;
        let enrichment: Enrichment =
            stored.and_then(|stored| serde_json::from_value(stored).ok()).ok_or_else(|| {
                Failure::permanent("stored_data_unreadable", "the stored enrichment cannot be read")
            })?;
        let facts = fact_sheet(&record.content, &enrichment, &self.icp);
        let (_, answer) = judge::ask(self, &facts).await?;
        let now = check(&facts, &answer, &self.icp.contract);
        let changes = changes(&analysis.verdict, &now);
        Ok(Some(Replay { lead_id: lead.clone(), stored: analysis.verdict, reproducible, now, changes }))
    }
}

fn changes(from: &Verdict, to: &Verdict) -> Vec<Change> {
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
