use std::sync::Arc;

use analysis::{Analysis, AnalysisError, Analyst, Objection, Usage};
use enrichment::Enrichment;
use grounding::{Answer, Contract, FactSheet, GroundingStatus, Verdict, check};
use lead::{Failure, FailureClass, Stage};
use queue::MAX_ATTEMPTS;
use store::{AnalysisRecord, RejectedAnswer, Work};

use crate::Pipeline;
use crate::permission::Permission;

/// Calls the analyst and checks the answer. Stores both at once if the analyst is an outside system.
///
/// If there is no answer, on the last attempt or because a retry cannot help, the lead proceeds with the
/// neutral fallback verdict and is marked for a rescore.
pub(crate) async fn judge(
    pipeline: &Pipeline,
    permission: &Permission,
    work: &mut Work,
    enrichment: &Enrichment,
) -> Result<Arc<AnalysisRecord>, Failure> {
    let attempt = work.attempts.at(Stage::Analysis).saturating_add(1);
    let facts = pipeline.facts_of(&work.lead, &work.sender, enrichment);
    let contract = &pipeline.icp.contract;
    let rules_only = pipeline.rules_only(work);
    let analyst = rules_only.map_or_else(|| pipeline.analyst_of(&work.lead_id), |_| pipeline.rules());
    // An answer that took long or was paid for must not be lost, nor what was found out before it.
    let is_outside = !analyst.dependencies().is_empty();
    if is_outside {
        pipeline.steps.save(work).await?;
    }
    let asked = ask(pipeline, analyst.as_ref(), permission, &facts).await;
    let (Checked { analysis, verdict, rejected_first }, fallback_reason) = match asked {
        Ok(checked) => (checked, None),
        Err(AnalysisError { failure, spent }) if should_fall_back(&failure, attempt) => {
            tracing::warn!(code = %failure.code, "analysis failed: using the neutral fallback verdict");
            let analysis = spent.map_or_else(|| empty_analysis(analyst.as_ref()), |spent| *spent);
            let checked = Checked { analysis, verdict: Verdict::fallback(contract), rejected_first: None };
            (checked, Some(failure.code.into_owned()))
        }
        Err(AnalysisError { failure, .. }) => return Err(failure),
    };
    let fallback = fallback_reason.is_some();
    if !work.lead_id.is_synthetic() {
        metrics::counter!("revenueflow_analyses_total", "provider" => analysis.provider.clone(),
            "grounding" => if fallback { "FALLBACK" } else { verdict.status.as_str() })
        .increment(1);
    }
    let record = AnalysisRecord {
        lead_id: work.lead_id.clone(),
        delivery_id: work.delivery_id.clone(),
        round: work.round,
        contract: contract.clone(),
        icp_version: pipeline.icp.version().to_owned(),
        provider: analysis.provider,
        model: analysis.model,
        prompt_version: analysis.prompt_version,
        raw_answer: analysis.raw_answer,
        removed: None,
        verdict,
        fallback,
        fallback_reason: fallback_reason.or(rules_only.map(|reason| reason.as_str().to_owned())),
        input_tokens: signed(analysis.usage.input_tokens),
        output_tokens: signed(analysis.usage.output_tokens),
        cost_microusd: signed(analysis.usage.cost_microusd),
        latency_ms: signed(analysis.latency_ms),
        created_at: pipeline.clock.now(),
        facts,
    };
    if work.turn.is_some() && record.cost_microusd > 0 {
        let (source, cost, at) = (&work.sender.name, record.cost_microusd, record.created_at);
        pipeline.store.add_source_cost(source, cost, at).await?;
    }
    let record = work.judged(record, rejected_first);
    if is_outside {
        pipeline.steps.save(work).await?;
    }
    Ok(record)
}

/// An answer and its verdict under the contract.
pub(crate) struct Checked {
    pub(crate) analysis: Analysis,
    pub(crate) verdict: Verdict,
    /// The first answer, if it was rejected and this one is the correction.
    pub(crate) rejected_first: Option<RejectedAnswer>,
}

/// Calls the analyst for a readable answer. An unreadable answer is a transient failure, since the next one
/// may be readable.
pub(crate) async fn ask(
    pipeline: &Pipeline,
    analyst: &dyn Analyst,
    permission: &Permission,
    facts: &FactSheet,
) -> Result<Checked, AnalysisError> {
    let contract = &pipeline.icp.contract;
    let analysis = analyst.analyse(facts).await?;
    match Answer::parse(&analysis.raw_answer) {
        Ok(answer) => {
            let verdict = check(facts, &answer, contract);
            Ok(correct(analyst, permission, contract, facts, analysis, verdict).await)
        }
        Err(error) => {
            let failure = Failure::transient("ai_answer_unreadable", error.to_string());
            Err(AnalysisError { failure, spent: Some(Box::new(analysis)) })
        }
    }
}

/// Calls the analyst a second time if the contract rejected its answer. A readable second answer is checked
/// in the same way and replaces the first, even if it is rejected too. Otherwise the first answer stands. The
/// cost is that of both answers.
pub(crate) async fn correct(
    analyst: &dyn Analyst,
    _permission: &Permission,
    contract: &Contract,
    facts: &FactSheet,
    analysis: Analysis,
    verdict: Verdict,
) -> Checked {
    let uncorrected = |analysis| Checked { analysis, verdict: verdict.clone(), rejected_first: None };
    if verdict.status != GroundingStatus::Rejected {
        return uncorrected(analysis);
    }
    let second = match analyst.correct(facts, &analysis, &Objection::of(&verdict, facts)).await {
        Ok(None) => return uncorrected(analysis),
        Ok(Some(second)) => second,
        Err(AnalysisError { failure, spent }) => {
            tracing::info!(code = %failure.code, "correction failed: keeping the rejected answer");
            count_repeat("no_answer");
            return uncorrected(analysis.after(spent.as_deref()));
        }
    };
    let Ok(answer) = Answer::parse(&second.raw_answer) else {
        count_repeat("no_answer");
        return uncorrected(analysis.after(Some(&second)));
    };
    let rejected_first = Some(RejectedAnswer {
        reasons: verdict
            .reasons
            .iter()
            .filter(|breach| breach.claim.is_some())
            .map(|breach| breach.code)
            .collect(),
        input_tokens: signed(analysis.usage.input_tokens),
        output_tokens: signed(analysis.usage.output_tokens),
        cost_microusd: signed(analysis.usage.cost_microusd),
    });
    let verdict = check(facts, &answer, contract);
    count_repeat(verdict.status.as_str());
    Checked { analysis: second.after(Some(&analysis)), verdict, rejected_first }
}

fn count_repeat(grounding: &'static str) {
    metrics::counter!("revenueflow_ai_repeats_total", "grounding" => grounding).increment(1);
}

/// Whether an optional stage is skipped after this failure instead of retried. `attempt` counts the attempts
/// at this stage, from 1. Failures of our own database do not count as attempts.
pub(crate) fn should_fall_back(failure: &Failure, attempt: u32) -> bool {
    match failure.class() {
        FailureClass::Permanent => true,
        FailureClass::Transient => failure.stage != Stage::Storage && attempt >= MAX_ATTEMPTS,
        FailureClass::Deferral => false,
    }
}

fn empty_analysis(analyst: &dyn Analyst) -> Analysis {
    Analysis {
        provider: analyst.provider().to_owned(),
        model: analyst.model().to_owned(),
        prompt_version: None,
        raw_answer: String::new(),
        usage: Usage::default(),
        latency_ms: 0,
    }
}

/// Converts a count for a signed column, saturating at `i64::MAX`.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
