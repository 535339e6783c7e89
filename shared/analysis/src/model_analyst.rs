use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use breaker::{Breaker, BreakerSettings, Budget, Hold, Passage};
use grounding::{Contract, FactSheet};
use jiff::tz::TimeZone;
use lead::{Clock, Dependency, Failure, FailureClass};

use crate::codes;
use crate::models::Model;
use crate::prompt::{Prompt, Question};
use crate::service::{Reply, Service, Tokens};
use crate::{Analysis, Analyst, Usage};

/// Opens after 5 failures in a row, for 5 seconds only: a lead's attempts span 30 seconds, and a service that is back after a
/// few of them should still judge it.
pub const AI_BREAKER: BreakerSettings = BreakerSettings { threshold: 5, open_for: Duration::from_secs(5) };

/// How long a service is left alone that asks for it without saying how long.
const DEFERRAL: Duration = Duration::from_secs(30);
/// How long a service is left alone that needs a person: a new key, another model.
const MISCONFIGURED: Duration = Duration::from_mins(5);

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

    async fn hold(&self, question: &Question) -> Result<Option<(Hold, u64)>, Failure> {
        let Some(budget) = &self.guards.budget else { return Ok(None) };
        let bytes = question.instructions.len() + question.facts.len() + ENVELOPE;
        let worst = self.model.worst_case(bytes, self.today());
        Ok(Some((budget.hold(worst).await?, worst)))
    }

    /// Puts what the call did cost in the place of what was held; where that is not known, all of it.
    async fn settle(&self, hold: Option<(Hold, u64)>, asked: &Result<Reply, Failure>) {
        let (Some(budget), Some((hold, worst))) = (&self.guards.budget, hold) else { return };
        let spent = match asked {
            Ok(reply) => self.cost(&reply.tokens),
            Err(failure) if MAY_BE_CHARGED.contains(&failure.code.as_ref()) => worst,
            Err(_) => 0,
        };
        if let Err(failure) = budget.settle(hold, spent).await {
            tracing::warn!(code = %failure.code, "what a call did cost could not be noted: it counts as the most it could");
        }
    }

    /// Tells the breaker how the service did. What a filter or a length did to one lead says nothing against the service.
    async fn tell_breaker(&self, passage: Option<Passage>, asked: Result<(), &Failure>) {
        let (Some(breaker), Some(passage)) = (&self.guards.breaker, passage) else { return };
        let until = |wait| self.clock.now().saturating_add(wait).unwrap_or(self.clock.now());
        let told = match asked {
            Ok(()) if passage == Passage::Closed(0) => Ok(()),
            Ok(()) => breaker.succeeded().await,
            Err(failure) if failure.class == FailureClass::Deferral => {
                breaker.open_until(failure, until(failure.retry_after.unwrap_or(DEFERRAL))).await
            }
            Err(failure) if needs_a_person(failure) => {
                breaker.open_until(failure, until(MISCONFIGURED)).await
            }
            Err(failure) => breaker.failed(failure).await,
        };
        if let Err(failure) = told {
            tracing::warn!(code = %failure.code, "the breaker could not be told");
        }
    }

    fn cost(&self, tokens: &Tokens) -> u64 {
        self.model.cost(tokens, self.today())
    }

    /// The day in UTC, by which prices and budget go.
    fn today(&self) -> jiff::civil::Date {
        TimeZone::UTC.to_datetime(self.clock.now()).date()
    }

    fn count(&self, outcome: &'static str, tokens: &Tokens, took: Duration) {
        let provider = self.service.provider();
        metrics::counter!("revenueflow_ai_calls_total", "provider" => provider, "outcome" => outcome)
            .increment(1);
        metrics::counter!("revenueflow_ai_tokens_total", "provider" => provider, "direction" => "input")
            .increment(tokens.read());
        metrics::counter!("revenueflow_ai_tokens_total", "provider" => provider, "direction" => "output")
            .increment(tokens.output);
        metrics::counter!("revenueflow_ai_cost_microusd_total", "provider" => provider)
            .increment(self.cost(tokens));
        metrics::histogram!("revenueflow_ai_seconds", "provider" => provider).record(took.as_secs_f64());
    }
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

    async fn analyse(&self, facts: &FactSheet) -> Result<Analysis, Failure> {
        let passage = self.pass().await?;
        let question = self.prompt.question(facts, &self.contract);
        let hold = self.hold(&question).await?;
        let started = Instant::now();
        let asked = self.service.ask(&question).await;
        let took = started.elapsed();
        self.settle(hold, &asked).await;
        self.tell_breaker(passage, asked.as_ref().map(|_| ())).await;
        let reply = match asked {
            Ok(reply) => reply,
            Err(failure) => {
                self.count("failed", &Tokens::default(), took);
                return Err(failure);
            }
        };
        let text = reply.outcome.into_text(&self.dependency);
        self.count(if text.is_ok() { "answered" } else { "no_answer" }, &reply.tokens, took);
        Ok(Analysis {
            provider: self.provider().to_owned(),
            model: reply.model.unwrap_or_else(|| self.model.id.clone()),
            prompt_version: Some(self.prompt.version()),
            raw_answer: text?,
            usage: Usage {
                input_tokens: reply.tokens.read(),
                output_tokens: reply.tokens.output,
                cost_microusd: self.cost(&reply.tokens),
            },
            latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn dependencies(&self) -> Vec<Dependency> {
        vec![self.dependency.clone()]
    }

    async fn probe(&self, dependency: &Dependency) -> Result<(), Failure> {
        if *dependency != self.dependency {
            return Ok(());
        }
        match self.pass().await? {
            Some(Passage::Closed(_)) => Ok(()),
            passage => {
                let answer = self.service.probe().await;
                self.tell_breaker(passage, answer.as_ref().copied()).await;
                answer
            }
        }
    }
}
