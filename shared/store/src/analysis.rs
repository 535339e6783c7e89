use database::Connection;
use grounding::{Contract, FactSheet, ReasonCode, Verdict};
use jiff::Timestamp;
use lead::{DeliveryId, LeadId};
use serde::Serialize;
use serde_json::json;
use sqlx::any::AnyRow;

use crate::audit::{self, AuditKind};
use crate::codec::{Columns as _, to_json, without_nul};
use crate::{Result, Store, erased};

/// One judgement: the input, the analyst's answer, and the verdict of the grounding contract. Sufficient to
/// repeat the check of the answer, byte for byte.
#[derive(Clone, Debug, Serialize)]
pub struct AnalysisRecord {
    /// The lead.
    pub lead_id: LeadId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// The number of this judgement of the delivery, from 1.
    pub round: i64,
    /// The fact sheet given to the analyst.
    pub facts: FactSheet,
    /// The contract that the answer was checked against.
    pub contract: Contract,
    /// The version of the ICP configuration that computed the facts.
    pub icp_version: String,
    /// The AI service or rule engine that answered.
    pub provider: String,
    /// Its model.
    pub model: String,
    /// The version of the prompt; none if the analyst takes no prompt.
    pub prompt_version: Option<String>,
    /// The answer, unchanged.
    pub raw_answer: String,
    /// The contract's verdict on the answer.
    pub verdict: Verdict,
    /// Whether no analyst answered, and the neutral verdict stands in until one does.
    pub fallback: bool,
    /// The code of the failure that left the judgement without an answer, if it did.
    pub fallback_reason: Option<String>,
    /// Input tokens.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// Cost in millionths of a US dollar.
    pub cost_microusd: i64,
    /// Time to the answer, in milliseconds.
    pub latency_ms: i64,
    /// When the judgement was made.
    pub created_at: Timestamp,
}

impl AnalysisRecord {
    /// The id: delivery and round.
    pub fn analysis_id(&self) -> String {
        analysis_id(&self.delivery_id, self.round)
    }

    pub(crate) async fn load(
        connection: &mut Connection,
        delivery: &DeliveryId,
        round: i64,
    ) -> Result<Option<Self>> {
        let query = sqlx::query("SELECT * FROM analysis WHERE analysis_id = $1");
        let row = query.bind(analysis_id(delivery, round)).fetch_optional(connection).await?;
        row.as_ref().map(Self::read).transpose()
    }

    pub(crate) fn read(row: &AnyRow) -> Result<Self> {
        Ok(Self {
            lead_id: row.id("lead_id")?,
            delivery_id: row.id("delivery_id")?,
            round: row.number("round")?,
            facts: row.json("facts")?,
            contract: row.json("contract")?,
            icp_version: row.text("icp_version")?,
            provider: row.text("provider")?,
            model: row.text("model")?,
            prompt_version: row.optional_text("prompt_version")?,
            raw_answer: row.text("raw_answer")?,
            verdict: row.json("verdict")?,
            fallback: row.flag("fallback")?,
            fallback_reason: row.optional_text("fallback_reason")?,
            input_tokens: row.number("input_tokens")?,
            output_tokens: row.number("output_tokens")?,
            cost_microusd: row.number("cost_microusd")?,
            latency_ms: row.number("latency_ms")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// A first answer that the contract rejected, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RejectedAnswer {
    /// The rules that it violated.
    pub reasons: Vec<ReasonCode>,
    /// Its input tokens.
    pub input_tokens: i64,
    /// Its output tokens.
    pub output_tokens: i64,
    /// Its cost, in millionths of a US dollar.
    pub cost_microusd: i64,
}

fn analysis_id(delivery: &DeliveryId, round: i64) -> String {
    format!("{delivery}:{round}")
}

impl Store {
    /// Saves a judgement, puts it in force, and returns the saved one: the first judgement of a round is
    /// final.
    ///
    /// `first` is the answer before a correction, if the contract rejected it; the audit trail then names the
    /// rejection. `analysis` holds the cost of both answers.
    pub async fn save_analysis(
        &self,
        analysis: AnalysisRecord,
        first: Option<&RejectedAnswer>,
    ) -> Result<AnalysisRecord> {
        let now = self.now_millis();
        let mut transaction = self.begin_on(&analysis.lead_id).await?;
        if erased::is_work_erased(&mut transaction, &analysis.lead_id, &analysis.delivery_id).await? {
            return Ok(analysis);
        }
        let before = AnalysisRecord::load(&mut transaction, &analysis.delivery_id, analysis.round).await?;
        if let Some(kept) = before {
            return Ok(kept);
        }
        sqlx::query(
            "INSERT INTO analysis (analysis_id, lead_id, delivery_id, round, facts, contract, icp_version, provider, \
             model, raw_answer, verdict, fallback, input_tokens, output_tokens, cost_microusd, latency_ms, created_at, \
             prompt_version, fallback_reason) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        )
        .bind(analysis.analysis_id())
        .bind(analysis.lead_id.as_str())
        .bind(analysis.delivery_id.as_str())
        .bind(analysis.round)
        .bind(to_json(&analysis.facts))
        .bind(to_json(&analysis.contract))
        .bind(&analysis.icp_version)
        .bind(&analysis.provider)
        .bind(&analysis.model)
        .bind(without_nul(&analysis.raw_answer))
        .bind(to_json(&analysis.verdict))
        .bind(i64::from(analysis.fallback))
        .bind(analysis.input_tokens)
        .bind(analysis.output_tokens)
        .bind(analysis.cost_microusd)
        .bind(analysis.latency_ms)
        .bind(database::to_millis(analysis.created_at))
        .bind(&analysis.prompt_version)
        .bind(&analysis.fallback_reason)
        .execute(&mut *transaction)
        .await?;
        let verdict = &analysis.verdict;
        sqlx::query(
            "UPDATE lead SET analysis_id = $3, fit_score = $4, fit = $5, intent = $6, decision = $7, \
             grounding = $8, fallback = $9, updated_at = $10 WHERE lead_id = $1 AND delivery_id = $2",
        )
        .bind(analysis.lead_id.as_str())
        .bind(analysis.delivery_id.as_str())
        .bind(analysis.analysis_id())
        .bind(verdict.fit_score.get())
        .bind(verdict.fit.as_str())
        .bind(verdict.intent.as_str())
        .bind(verdict.decision.as_str())
        .bind(verdict.status.as_str())
        .bind(i64::from(analysis.fallback))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let mut detail = json!({
            "round": analysis.round, "provider": analysis.provider, "model": analysis.model,
            "prompt_version": analysis.prompt_version, "fallback": analysis.fallback,
            "fallback_reason": analysis.fallback_reason, "grounding": verdict.status, "fit_score": verdict.fit_score,
            "fit": verdict.fit, "intent": verdict.intent, "decision": verdict.decision,
            "reasons": verdict.reasons.iter().map(|breach| breach.code).collect::<Vec<_>>(),
        });
        if let Some(first) = first {
            detail["rejected_first"] = json!(first);
        }
        let delivery = Some(&analysis.delivery_id);
        audit::append(&mut transaction, &analysis.lead_id, delivery, now, AuditKind::Judged, &detail).await?;
        transaction.commit().await?;
        Ok(analysis)
    }

    /// The judgement in force for a lead; none if there is none yet.
    pub async fn analysis_in_force(&self, lead: &LeadId) -> Result<Option<AnalysisRecord>> {
        let query = sqlx::query(
            "SELECT a.* FROM analysis a JOIN lead l ON l.analysis_id = a.analysis_id WHERE l.lead_id = $1",
        );
        let row = self.row(query.bind(lead.as_str())).await?;
        row.as_ref().map(AnalysisRecord::read).transpose()
    }
}
