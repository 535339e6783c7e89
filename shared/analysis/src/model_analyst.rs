use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use breaker::{Breaker, BreakerSettings, Budget, Hold, Passage};
use grounding::{Answer, AnswerError, Contract, FactSheet};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use lead::{Clock, Dependency, Failure, FailureClass};
use trace::Span;

use crate::codes;
use crate::models::Model;
use crate::prompt::{Prompt, Question};
use crate::service::{Reply, Service, Tokens};
use crate::{Analysis, Analyst, NoAnalysis, Objection, Usage};

/// Opens after 5 failures in a row, for 5 seconds only: a lead's attempts span 30 seconds, and a service that is back after a
/// few of them should still judge it.
pub const AI_BREAKER: BreakerSettings = BreakerSettings { threshold: 5, open_for: Duration::from_secs(5) };

/// How long a service is left alone that asks for it without saying how long.
const DEFERRAL: Duration = Duration::from_secs(30);
/// How long a service is left alone that needs a person: a new key, another model.
const MISCONFIGURED: Duration = Duration::from_mins(5);

/// How long a probe may take, whatever a judgement may: who probes has a minute for all that it does, and a service that does not
/// say a word within this is not well.
const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// What the schema and the envelope of a request add to its text, in bytes; more than it really is.
const ENVELOPE: usize = 8 * 1024;

/// Failures of a call that may have been charged for: the request was sent, and the answer was not seen.
const MAY_BE_CHARGED: [&str; 3] = ["http_timeout", "http_reply_lost", "http_reply_too_large"];

/// Asks an AI service for a judgement.
///
/// In this order: the breaker, which knows whether the service is away; the budget, of which the most that the answer can
/// cost is held; the service, once; then both are told how it went.
pub struct ModelAnalyst {
    service: Arc<dyn Service>,
    model: Model,
    prompt: Prompt,
    contract: Contract,
    guards: Guards,
    dependency: Dependency,
    clock: Arc<dyn Clock>,
}

/// What keeps calls from being made. Without, each one is made.
#[derive(Default)]
pub struct Guards {
    /// For a service that is away. Its dependency should be `ai.` and the provider's name.
    pub breaker: Option<Breaker>,
    /// For money.
    pub budget: Option<Budget>,
}

impl ModelAnalyst {
    /// An analyst that asks `service`, made for `model`, by `prompt`, and tells the model the thresholds of `contract`.
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

    /// The name under which failures of a provider are reported.
    pub fn dependency(provider: &str) -> Dependency {
        Dependency::named(format!("ai.{provider}"))
    }

    /// The most that one call for a model can cost on a day or after it, in millionths of a US dollar: a budget below it lets no
    /// lead be judged.
    pub fn dearest_call(model: &Model, prompt: &Prompt, contract: &Contract, from: Timestamp) -> u64 {
        model.worst_case_from(prompt.longest_question(contract) + ENVELOPE, day_of(from))
    }

    /// Asks one question, and notes what it cost.
    async fn ask(&self, question: &Question) -> Result<Analysis, NoAnalysis> {
        let passage = self.pass().await?;
        let worst = self.worst_case(question);
        let hold = match self.hold(worst).await {
            Ok(hold) => hold,
            Err(failure) => {
                self.give_back(passage).await;
                return Err(failure.into());
            }
        };
        let started = Instant::now();
        let asked = self.call(question).await;
        let took = started.elapsed();
        let cost_microusd = self.spent(&asked, worst);
        self.settle(hold, cost_microusd).await;
        self.tell_breaker(passage, asked.as_ref().map(|_| ())).await;

        let tokens = asked.as_ref().ok().and_then(|reply| reply.tokens).unwrap_or_default();
        let mut analysis = Analysis {
            provider: self.provider().to_owned(),
            model: self.model.id.clone(),
            prompt_version: Some(self.prompt.version()),
            raw_answer: String::new(),
            usage: Usage { input_tokens: tokens.read(), output_tokens: tokens.output, cost_microusd },
            latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        let (outcome, failure) = match asked {
            Ok(reply) => {
                analysis.model = reply.model.unwrap_or(analysis.model);
                match reply.outcome.into_text(&self.dependency) {
                    Ok(text) => {
                        let read = Answer::parse(&text, &self.contract);
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
            Some(failure) => Err(NoAnalysis { failure, spent: Some(Box::new(analysis)) }),
        }
    }

    /// The call itself, as a span by OpenTelemetry's conventions for generative AI: names and numbers, never what was asked or
    /// answered.
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

    async fn pass(&self) -> Result<Option<Passage>, Failure> {
        let Some(breaker) = &self.guards.breaker else { return Ok(None) };
        match breaker.pass().await {
            Ok(passage) => Ok(Some(passage)),
            Err(refusal) if refusal.code == "breaker_open" => Err(self.away(breaker, refusal).await?),
            Err(failure) => Err(failure),
        }
    }

    /// What the open breaker means for a lead: the same as what opened it.
    async fn away(&self, breaker: &Breaker, refusal: Failure) -> Result<Failure, Failure> {
        let reason = breaker.open().await?.map(|open| open.reason).unwrap_or_default();
        let known = |code: &'static str| (reason == code).then_some(code);
        let wait = [codes::RATE_LIMITED, codes::QUOTA_EXHAUSTED].into_iter().find_map(known);
        let person = [codes::CREDENTIALS_REFUSED, codes::MODEL_RETIRED].into_iter().find_map(known);
        let message = refusal.message;
        Ok(match (wait, person) {
            (Some(code), _) => Failure::deferral(self.dependency.clone(), code, message, refusal.retry_after),
            (None, Some(code)) => Failure::permanent(code, message).on(self.dependency.clone()),
            (None, None) => Failure::transient(codes::AWAY, message).on(self.dependency.clone()),
        })
    }

    /// The most that a question can cost.
    fn worst_case(&self, question: &Question) -> u64 {
        let bytes = question.instructions.len() + question.facts.len() + ENVELOPE;
        self.model.worst_case(bytes, self.today())
    }

    /// Holds what the call may cost. One that may cost more than a day's budget is refused for this lead alone: waiting does not
    /// help it, and would hold up all the others.
    async fn hold(&self, worst: u64) -> Result<Option<Hold>, Failure> {
        let Some(budget) = &self.guards.budget else { return Ok(None) };
        if worst > budget.limit() {
            let problem = "one call may cost more than the day's budget";
            return Err(Failure::permanent(codes::BUDGET_TOO_SMALL, problem));
        }
        budget.hold(worst).await.map(Some)
    }

    /// What a call has cost, in millionths of a US dollar; where that is not known, the most that it could.
    fn spent(&self, asked: &Result<Reply, Failure>, worst: u64) -> u64 {
        match asked {
            Ok(Reply { tokens: Some(tokens), .. }) => self.model.cost(tokens, self.today()),
            Ok(Reply { tokens: None, .. }) => worst,
            Err(failure) if MAY_BE_CHARGED.contains(&failure.code.as_ref()) => worst,
            Err(_) => 0,
        }
    }

    /// Puts what the call did cost in the place of what was held.
    async fn settle(&self, hold: Option<Hold>, spent: u64) {
        let (Some(budget), Some(hold)) = (&self.guards.budget, hold) else { return };
        if let Err(failure) = budget.settle(hold, spent).await {
            tracing::warn!(code = %failure.code, "what a call did cost could not be noted: it counts as the most it could");
        }
    }

    /// Something was said that is no answer: the next may be one.
    fn unreadable(&self, error: &AnswerError) -> Failure {
        Failure::transient(codes::ANSWER_UNREADABLE, error.to_string()).on(self.dependency.clone())
    }

    /// A call that was let through is not made after all.
    async fn give_back(&self, passage: Option<Passage>) {
        let (Some(breaker), Some(passage)) = (&self.guards.breaker, passage) else { return };
        if let Err(failure) = breaker.untried(passage).await {
            tracing::warn!(code = %failure.code, "the breaker could not be told");
        }
    }

    /// Tells the breaker how the service did. What a filter, a length or a refusal did to one lead says nothing against the service.
    async fn tell_breaker(&self, passage: Option<Passage>, asked: Result<(), &Failure>) {
        let (Some(breaker), Some(passage)) = (&self.guards.breaker, passage) else { return };
        let until = |wait| self.clock.now().saturating_add(wait).unwrap_or(self.clock.now());
        let told = match asked {
            Ok(()) => breaker.answered(passage).await,
            Err(failure) if failure.class == FailureClass::Deferral => {
                breaker.open_until(failure, until(failure.retry_after.unwrap_or(DEFERRAL))).await
            }
            Err(failure) if needs_a_person(failure) => {
                breaker.open_until(failure, until(MISCONFIGURED)).await
            }
            Err(failure) if failure.class == FailureClass::Permanent => breaker.answered(passage).await,
            Err(failure) => breaker.failed(failure).await,
        };
        if let Err(failure) = told {
            tracing::warn!(code = %failure.code, "the breaker could not be told");
        }
    }

    /// The day in UTC, by which prices and budget go.
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

fn needs_a_person(failure: &Failure) -> bool {
    [codes::CREDENTIALS_REFUSED, codes::MODEL_RETIRED].contains(&failure.code.as_ref())
}

#[async_trait]
impl Analyst for ModelAnalyst {
    fn provider(&self) -> &'static str {
        self.service.provider()
    }

    fn model(&self) -> &str {
        &self.model.id
    }

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, NoAnalysis> {
        self.ask(&self.prompt.question(facts, &self.contract)).await
    }

    async fn correct(
        &self,
        facts: &FactSheet,
        _rejected: &Analysis,
        objections: &[Objection],
    ) -> Result<Option<Analysis>, NoAnalysis> {
        self.ask(&self.prompt.question_again(facts, &self.contract, objections)).await.map(Some)
    }

    fn dependencies(&self) -> Vec<Dependency> {
        vec![self.dependency.clone()]
    }

    async fn try_out(&self, dependency: &Dependency) -> Result<(), Failure> {
        if *dependency == self.dependency { self.service.try_out().await } else { Ok(()) }
    }

    async fn probe(&self, dependency: &Dependency) -> Result<(), Failure> {
        if *dependency != self.dependency {
            return Ok(());
        }
        match self.pass().await? {
            Some(Passage::Closed(_)) => Ok(()),
            passage => {
                let answer = match tokio::time::timeout(PROBE_TIMEOUT, self.service.probe()).await {
                    Ok(answer) => answer,
                    Err(_) => Err(Failure::transient("http_timeout", "no answer to a probe in time")
                        .on(self.dependency.clone())),
                };
                self.tell_breaker(passage, answer.as_ref().copied()).await;
                answer
            }
        }
    }
}
