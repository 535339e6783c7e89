use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use breaker::{BreakerSettings, Budget, CircuitBreaker, Hold, NoPermit, Open, OpenCause, Permit};
use grounding::{Answer, AnswerError, Contract, FactSheet};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lead::{Cause, Clock, Dependency, Failure, FailureClass};
use tokio::sync::Semaphore;
use trace::Span;

use crate::codes;
use crate::models::Model;
use crate::prompt::{Prompt, Question};
use crate::service::{Reply, Service, Tokens};
use crate::{Analysis, AnalysisError, Analyst, Objection, Usage};

/// Opens after 5 consecutive failures, for 5 seconds only. The attempts of a lead span 30 seconds, so a
/// service that recovers within that time can still judge the lead.
pub const AI_BREAKER: BreakerSettings = BreakerSettings { threshold: 5, open_for: Duration::from_secs(5) };

/// Pause after a deferral that does not say how long to wait.
const DEFAULT_DEFERRAL: Duration = Duration::from_secs(30);
/// Pause after a failure that an operator must fix: refused credentials or a retired model.
const MISCONFIGURED_PAUSE: Duration = Duration::from_mins(5);

/// Timeout of a probe, independent of the timeout of a judgement: the caller has one minute for all of its
/// probes, and a service that takes longer is not healthy.
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// Upper bound for the schema and the envelope of a request, in bytes; above the real size.
const ENVELOPE_BYTES: usize = 8 * 1024;

/// Judges leads with an AI service.
///
/// Each call waits for a place, goes through the circuit breaker, then reserves its worst-case cost in the
/// budget, then calls the service once. The outcome and the real cost are reported to both afterwards.
pub struct ModelAnalyst {
    service: Arc<dyn Service>,
    model: Model,
    prompt: Prompt,
    contract: Contract,
    guards: Guards,
    dependency: Dependency,
    clock: Arc<dyn Clock>,
}

/// The guards of a call. Without a guard no call is refused.
#[derive(Default)]
pub struct Guards {
    /// Circuit breaker of the service. Its dependency should be `ai.` and the provider's name.
    pub breaker: Option<CircuitBreaker>,
    /// Daily budget, in millionths of a US dollar.
    pub budget: Option<Budget>,
    /// The calls that this process may make at the same time.
    pub places: Option<Arc<Semaphore>>,
}

impl ModelAnalyst {
    /// An analyst that calls `service`, configured for `model`, with `prompt` and the thresholds of
    /// `contract`.
    pub fn new(
        service: Arc<dyn Service>,
        model: Model,
        prompt: Prompt,
        contract: Contract,
        guards: Guards,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let dependency = Self::dependency(service.provider());
        Self { service, model, prompt, contract, guards, dependency, clock }
    }

    /// The dependency under which failures of a provider are reported.
    pub fn dependency(provider: &str) -> Dependency {
        Dependency::named(format!("ai.{provider}"))
    }

    /// The highest cost of one call at the prices of `from` or any later day, in millionths of a US dollar.
    /// With a smaller daily budget, leads can fail with `ai_budget_too_small`.
    pub fn max_call_cost(model: &Model, prompt: &Prompt, contract: &Contract, from: Timestamp) -> u64 {
        model.worst_case_from(prompt.longest_question(contract) + ENVELOPE_BYTES, day_of(from))
    }

    /// Sends one question and records its cost.
    async fn ask(&self, question: &Question) -> Result<Analysis, AnalysisError> {
        // Before the other guards, which hold something for the call. Nothing closes the semaphore.
        let _place = match &self.guards.places {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let permit = self.permit().await?;
        let worst = self.worst_case(question);
        let reservation = match self.reserve(worst).await {
            Ok(reservation) => reservation,
            Err(failure) => {
                self.release(permit).await;
                return Err(failure.into());
            }
        };
        let started = Instant::now();
        let result = self.call(question).await;
        let took = started.elapsed();
        let cost_microusd = self.spent(&result, worst);
        self.settle(reservation, cost_microusd).await;
        self.record_outcome(permit, result.as_ref().map(|_| ())).await;

        let tokens = result.as_ref().ok().and_then(|reply| reply.tokens).unwrap_or_default();
        let mut analysis = Analysis {
            provider: self.provider().to_owned(),
            model: self.model.id.clone(),
            prompt_version: Some(self.prompt.version()),
            raw_answer: String::new(),
            usage: Usage { input_tokens: tokens.read(), output_tokens: tokens.output, cost_microusd },
            latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        let (outcome, failure) = match result {
            Ok(reply) => {
                analysis.model = reply.model.unwrap_or(analysis.model);
                match reply.outcome.into_text(&self.dependency) {
                    Ok(text) => {
                        let read = Answer::parse(&text);
                        analysis.raw_answer = text;
                        match read {
                            Ok(_) => ("answered", None),
                            Err(error) => ("no_answer", Some(self.unreadable(&error))),
                        }
                    }
                    Err(failure) => ("no_answer", Some(failure)),
                }
            }
            Err(failure) => ("failed", Some(failure)),
        };
        self.count(outcome, &tokens, cost_microusd, took);
        match failure {
            None => Ok(analysis),
            Some(failure) => Err(AnalysisError { failure, spent: Some(Box::new(analysis)) }),
        }
    }

    /// The call itself, in a span that follows OpenTelemetry's conventions for generative AI. The span holds
    /// names and numbers only, never the question or the answer.
    async fn call(&self, question: &Question) -> Result<Reply, Failure> {
        let span = Span::client(format!("chat {}", self.model.id))
            .with("gen_ai.operation.name", "chat")
            .with("gen_ai.provider.name", self.service.provider())
            .with("gen_ai.request.model", self.model.id.clone());
        let call = async {
            let reply = self.service.ask(question).await?;
            if let Some(tokens) = &reply.tokens {
                trace::note("gen_ai.usage.input_tokens", tokens.read());
                trace::note("gen_ai.usage.output_tokens", tokens.output);
            }
            if let Some(model) = &reply.model {
                trace::note("gen_ai.response.model", model.clone());
            }
            Ok(reply)
        };
        span.try_run(call).await
    }

    async fn permit(&self) -> Result<Option<Permit>, Failure> {
        let Some(breaker) = &self.guards.breaker else { return Ok(None) };
        match breaker.acquire().await {
            Ok(permit) => Ok(Some(permit)),
            Err(NoPermit::Open { open, failure }) => Err(self.open_failure(open, failure)),
            Err(NoPermit::Unknown(failure)) => Err(failure),
        }
    }

    /// The failure of a lead while the breaker is open. It has the class of the failure that opened the
    /// breaker.
    fn open_failure(&self, open: Open, refusal: Failure) -> Failure {
        match open.cause {
            OpenCause::Wait => refusal.coded(open.reason),
            OpenCause::Operator => Failure::permanent(codes::BREAKER_OPEN, refusal.message)
                .coded(open.reason)
                .on(self.dependency.clone()),
            OpenCause::Failures => {
                Failure::transient(codes::BREAKER_OPEN, refusal.message).on(self.dependency.clone())
            }
        }
    }

    /// The highest cost of a question, in millionths of a US dollar.
    fn worst_case(&self, question: &Question) -> u64 {
        let bytes = question.instructions.len() + question.facts.len() + ENVELOPE_BYTES;
        self.model.worst_case(bytes, self.today())
    }

    /// Reserves the worst-case cost of a call. A call that may cost more than a whole day's budget fails
    /// permanently, for this lead only: waiting cannot help, and a deferral would block all other leads.
    async fn reserve(&self, worst: u64) -> Result<Option<Hold>, Failure> {
        let Some(budget) = &self.guards.budget else { return Ok(None) };
        if worst > budget.limit() {
            let problem = "one call may cost more than the day's budget";
            return Err(Failure::permanent(codes::BUDGET_TOO_SMALL, problem));
        }
        budget.hold(worst).await.map(Some)
    }

    /// The cost of a call, in millionths of a US dollar; the worst case if the cost is unknown.
    fn spent(&self, result: &Result<Reply, Failure>, worst: u64) -> u64 {
        match result {
            Ok(Reply { tokens: Some(tokens), .. }) => self.model.cost(tokens, self.today()),
            Ok(Reply { tokens: None, .. }) => worst,
            Err(failure) if matches!(failure.cause, Cause::Timeout | Cause::ReplyLost) => worst,
            Err(_) => 0,
        }
    }

    /// Replaces the reserved amount by the real cost.
    async fn settle(&self, reservation: Option<Hold>, spent: u64) {
        let (Some(budget), Some(reservation)) = (&self.guards.budget, reservation) else { return };
        if let Err(failure) = budget.settle(reservation, spent).await {
            tracing::warn!(code = %failure.code, "AI cost not recorded, the budget keeps the reserved worst-case cost");
        }
    }

    /// Transient: the next answer may be readable.
    fn unreadable(&self, error: &AnswerError) -> Failure {
        Failure::transient(codes::ANSWER_UNREADABLE, error.to_string()).on(self.dependency.clone())
    }

    /// Releases the permit of a call that is not made.
    async fn release(&self, permit: Option<Permit>) {
        let (Some(breaker), Some(permit)) = (&self.guards.breaker, permit) else { return };
        if let Err(failure) = breaker.release(permit).await {
            tracing::warn!(code = %failure.code, "circuit breaker not updated");
        }
    }

    /// Reports the outcome to the breaker. A blocked, truncated or refused request concerns one lead and does
    /// not count against the service.
    async fn record_outcome(&self, permit: Option<Permit>, result: Result<(), &Failure>) {
        let (Some(breaker), Some(permit)) = (&self.guards.breaker, permit) else { return };
        let until = |wait| self.clock.now().saturating_add(wait).unwrap_or(self.clock.now());
        let recorded = match result {
            Ok(()) => breaker.answered(permit).await,
            Err(failure) if failure.class() == FailureClass::Deferral => {
                breaker.open_until(failure, until(failure.retry_after().unwrap_or(DEFAULT_DEFERRAL))).await
            }
            Err(failure) if is_misconfiguration(failure) => {
                breaker.open_until(failure, until(MISCONFIGURED_PAUSE)).await
            }
            Err(failure) if failure.class() == FailureClass::Permanent => breaker.answered(permit).await,
            Err(failure) => breaker.failed(failure).await,
        };
        if let Err(failure) = recorded {
            tracing::warn!(code = %failure.code, "circuit breaker not updated");
        }
    }

    /// The current day in UTC, which decides on prices and budgets.
    fn today(&self) -> Date {
        day_of(self.clock.now())
    }

    fn count(&self, outcome: &'static str, tokens: &Tokens, cost: u64, took: Duration) {
        let provider = self.service.provider();
        metrics::counter!("revenueflow_ai_calls_total", "provider" => provider, "outcome" => outcome)
            .increment(1);
        metrics::counter!("revenueflow_ai_tokens_total", "provider" => provider, "direction" => "input")
            .increment(tokens.read());
        metrics::counter!("revenueflow_ai_tokens_total", "provider" => provider, "direction" => "output")
            .increment(tokens.output);
        metrics::counter!("revenueflow_ai_cost_microusd_total", "provider" => provider).increment(cost);
        metrics::histogram!("revenueflow_ai_seconds", "provider" => provider).record(took.as_secs_f64());
    }
}

fn day_of(moment: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(moment).date()
}

fn is_misconfiguration(failure: &Failure) -> bool {
    matches!(failure.cause, Cause::CredentialsRefused | Cause::Misconfigured)
}

#[async_trait]
impl Analyst for ModelAnalyst {
    fn provider(&self) -> &'static str {
        self.service.provider()
    }

    fn model(&self) -> &str {
        &self.model.id
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, AnalysisError> {
        self.ask(&self.prompt.question(facts, &self.contract)).await
    }

    async fn correct(
        &self,
        facts: &FactSheet,
        _rejected: &Analysis,
        objections: &[Objection],
    ) -> Result<Option<Analysis>, AnalysisError> {
        self.ask(&self.prompt.question_again(facts, &self.contract, objections)).await.map(Some)
    }

    fn dependencies(&self) -> Vec<Dependency> {
        vec![self.dependency.clone()]
    }

    async fn self_test(&self, dependency: &Dependency) -> Result<(), Failure> {
        if *dependency == self.dependency { self.service.self_test().await } else { Ok(()) }
    }

    async fn probe(&self, dependency: &Dependency) -> Result<(), Failure> {
        if *dependency != self.dependency {
            return Ok(());
        }
        match self.permit().await? {
            Some(Permit::Closed(_)) => Ok(()),
            permit => {
                let answer = match tokio::time::timeout(PROBE_TIMEOUT, self.service.probe()).await {
                    Ok(answer) => answer,
                    Err(_) => Err(Failure::transient("http_timeout", "no answer to a probe in time")
                        .because(Cause::Timeout)
                        .on(self.dependency.clone())),
                };
                self.record_outcome(permit, answer.as_ref().copied()).await;
                answer
            }
        }
    }
}
