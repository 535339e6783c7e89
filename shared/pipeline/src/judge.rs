use analysis::{Analysis, NoAnalysis, Usage, fact_sheet};
use enrichment::Enrichment;
use grounding::{Answer, FactSheet, Verdict, check};
use lead::{Failure, FailureClass, Stage};
use queue::MAX_ATTEMPTS;
use store::{AnalysisRecord, Work};

use crate::Pipeline;

/// Asks the analyst, checks the answer, and stores both.
///
/// When nobody can answer (on the last attempt, or because asking again cannot help) the neutral verdict stands in:
/// the lead goes on, flagged to be judged again.
pub(crate) async fn judge(
    pipeline: &Pipeline,
    work: &Work,
    enrichment: &Enrichment,
) -> Result<AnalysisRecord, Failure> {
    let attempt = work.attempts.at(Stage::Analysis).saturating_add(1);
    let facts = fact_sheet(&work.lead, enrichment, &pipeline.icp);
    let contract = &pipeline.icp.contract;
    let (analysis, verdict, fallback_reason) = match ask(pipeline, &facts).await {
        Ok((analysis, answer)) => (analysis, check(&facts, &answer, contract), None),
        Err(NoAnalysis { failure, spent }) if gives_up(&failure, attempt) => {
            tracing::warn!(code = %failure.code, "no analysis: the neutral verdict stands in");
            let asked = spent.map_or_else(|| nobody_asked(pipeline), |spent| *spent);
            (asked, Verdict::fallback(contract), Some(failure.code.into_owned()))
        }
        Err(NoAnalysis { failure, .. }) => return Err(failure),
    };
    let fallback = fallback_reason.is_some();
    metrics::counter!("revenueflow_analyses_total", "provider" => analysis.provider.clone(),
        "grounding" => if fallback { "FALLBACK" } else { verdict.status.as_str() })
    .increment(1);
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
        verdict,
        fallback,
        fallback_reason,
        input_tokens: signed(analysis.usage.input_tokens),
        output_tokens: signed(analysis.usage.output_tokens),
        cost_microusd: signed(analysis.usage.cost_microusd),
        latency_ms: signed(analysis.latency_ms),
        created_at: pipeline.clock.now(),
        facts,
    };
    Ok(pipeline.store.save_analysis(record).await?)
}

/// An answer that can be read; one that cannot counts as an attempt, since the next may be better.
pub(crate) async fn ask(pipeline: &Pipeline, facts: &FactSheet) -> Result<(Analysis, Answer), NoAnalysis> {
    let analysis = pipeline.analyst.analyse(facts).await?;
    match Answer::parse(&analysis.raw_answer) {
        Ok(answer) => Ok((analysis, answer)),
        Err(error) => {
            let failure = Failure::transient("ai_answer_unreadable", error.to_string());
            Err(NoAnalysis { failure, spent: Some(Box::new(analysis)) })
        }
    }
}

/// Whether a stage that the lead can go on without is not tried again. `attempt` counts at this stage, from 1; failures of
/// our own database are no attempts at it.
pub(crate) fn gives_up(failure: &Failure, attempt: u32) -> bool {
    match failure.class {
        FailureClass::Permanent => true,
        FailureClass::Transient => failure.stage != Stage::Storage && attempt >= MAX_ATTEMPTS,
        FailureClass::Deferral => false,
    }
}

fn nobody_asked(pipeline: &Pipeline) -> Analysis {
    Analysis {
        provider: pipeline.analyst.provider().to_owned(),
        model: pipeline.analyst.model().to_owned(),
        prompt_version: None,
        raw_answer: String::new(),
        usage: Usage::default(),
        latency_ms: 0,
    }
}

/// For columns that are signed; a count beyond them is no count.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
