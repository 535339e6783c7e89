use database::{Cell, Connection, Rows};
use grounding::{Contract, FactSheet, ReasonCode, Verdict};
use jiff::Timestamp;
use lead::{DeliveryId, LeadId};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::any::AnyRow;

use crate::codec::{Columns as _, to_json, without_nul};
use crate::{Result, Store};

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
    /// The answer, unchanged; empty after its removal.
    pub raw_answer: String,
    /// The removal of the answer by retention; none while the answer is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<RemovedAnswer>,
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

/// The removal of a raw answer by retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedAnswer {
    /// When it was removed.
    pub at: Timestamp,
    /// The SHA-256 of the answer.
    pub sha256: String,
}

impl RemovedAnswer {
    fn read(row: &AnyRow) -> Result<Option<Self>> {
        let (at, sha256) = (row.optional_time("answer_removed_at")?, row.optional_text("answer_sha256")?);
        Ok(at.zip(sha256).map(|(at, sha256)| Self { at, sha256 }))
    }
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
            removed: RemovedAnswer::read(row)?,
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

/// The id of the judgement of a delivery in a round.
pub(crate) fn analysis_id(delivery: &DeliveryId, round: i64) -> String {
    format!("{delivery}:{round}")
}

impl AnalysisRecord {
    /// Rows to [`insert`](Self::insert).
    pub(crate) fn rows() -> Rows<19> {
        Rows::new([
            "analysis_id",
            "lead_id",
            "delivery_id",
            "round",
            "facts",
            "contract",
            "icp_version",
            "provider",
            "model",
            "prompt_version",
            "raw_answer",
            "verdict",
            "fallback",
            "fallback_reason",
            "input_tokens",
            "output_tokens",
            "cost_microusd",
            "latency_ms",
            "created_at",
        ])
    }

    pub(crate) fn row(&self) -> [Cell; 19] {
        [
            self.analysis_id().into(),
            self.lead_id.as_str().into(),
            self.delivery_id.as_str().into(),
            self.round.into(),
            to_json(&self.facts).into(),
            to_json(&self.contract).into(),
            self.icp_version.as_str().into(),
            self.provider.as_str().into(),
            self.model.as_str().into(),
            self.prompt_version.clone().into(),
            without_nul(&self.raw_answer).into(),
            to_json(&self.verdict).into(),
            i64::from(self.fallback).into(),
            self.fallback_reason.clone().into(),
            self.input_tokens.into(),
            self.output_tokens.into(),
            self.cost_microusd.into(),
            self.latency_ms.into(),
            database::to_millis(self.created_at).into(),
        ]
    }

    pub(crate) async fn insert(connection: &mut Connection, rows: Rows<19>) -> Result<()> {
        rows.execute(
            connection,
            "INSERT INTO analysis (analysis_id, lead_id, delivery_id, round, facts, contract, icp_version, provider, \
             model, prompt_version, raw_answer, verdict, fallback, fallback_reason, input_tokens, output_tokens, \
             cost_microusd, latency_ms, created_at) SELECT * FROM given",
        )
        .await?;
        Ok(())
    }

    /// The detail of the audit event.
    pub(crate) fn audited(&self, first: Option<&RejectedAnswer>) -> Value {
        let verdict = &self.verdict;
        let mut detail = json!({
            "round": self.round, "provider": self.provider, "model": self.model,
            "prompt_version": self.prompt_version, "fallback": self.fallback,
            "fallback_reason": self.fallback_reason, "grounding": verdict.status, "fit_score": verdict.fit_score,
            "fit": verdict.fit, "intent": verdict.intent, "decision": verdict.decision,
            "reasons": verdict.reasons.iter().map(|breach| breach.code).collect::<Vec<_>>(),
        });
        if let Some(first) = first {
            detail["rejected_first"] = json!(first);
        }
        detail
    }
}

impl Store {
    /// The judgement in force for a lead; none if there is none yet.
    pub async fn analysis_in_force(&self, lead: &LeadId) -> Result<Option<AnalysisRecord>> {
        let query = sqlx::query(
            "SELECT a.* FROM analysis a JOIN lead l ON l.analysis_id = a.analysis_id WHERE l.lead_id = $1",
        );
        let row = self.row(query.bind(lead.as_str())).await?;
        row.as_ref().map(AnalysisRecord::read).transpose()
    }
}
