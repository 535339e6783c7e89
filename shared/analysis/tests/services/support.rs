//! Analysts that call a fake, and the facts for them.

use std::sync::Arc;
use std::time::Duration;

use analysis::{
    AI_BREAKER, Analyst, Bedrock, BedrockSettings, Gemini, GeminiSettings, Guards, Icp, ModelAnalyst, Models,
    Prompt, Service, fact_sheet,
};
use breaker::testing::{MemoryHealth, MemorySpending};
use breaker::{Budget, CircuitBreaker};
use enrichment::Enrichment;
use grounding::{Answer, Contract, FactSheet, Namespace};
use lead::{CampaignId, Dependency, EmailAddress, FailureClass, Lead, ManualClock};
use runtime::Variables;
use sandbox::{Exchange, Fake};
use serde_json::json;

pub(crate) const BUDGET: Dependency = Dependency::new("ai.budget");

/// State that the analysts of a test share, as processes share a database.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    pub(crate) clock: ManualClock,
    pub(crate) health: Arc<MemoryHealth>,
    pub(crate) spending: Arc<MemorySpending>,
    pub(crate) budget: Option<u64>,
}

impl Shared {
    pub(crate) fn with_budget(microusd: u64) -> Self {
        Self { budget: Some(microusd), ..Self::default() }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn analyst(
        &self,
        service: Arc<dyn Service>,
        model: analysis::Model,
        prompt: Prompt,
    ) -> ModelAnalyst {
        let clock = || Arc::new(self.clock.clone());
        let dependency = ModelAnalyst::dependency(service.provider());
        let guards = Guards {
            breaker: Some(CircuitBreaker::new(dependency, self.health.clone(), clock(), AI_BREAKER)),
            budget: self
                .budget
                .map(|limit| Budget::new(BUDGET, limit, Arc::clone(&self.spending) as _, clock())),
            places: None,
        };
        ModelAnalyst::new(service, model, prompt, Contract::default(), guards, clock())
    }

    /// An analyst that calls a fake Gemini.
    pub(crate) fn gemini(&self, fake: &Fake, model: &str, key: &str) -> ModelAnalyst {
        self.gemini_of(fake, Models::built_in().model("gemini", model).unwrap(), key)
    }

    pub(crate) fn gemini_of(&self, fake: &Fake, model: analysis::Model, key: &str) -> ModelAnalyst {
        let settings = GeminiSettings {
            base_url: fake.url().parse().unwrap(),
            api_key: key.to_owned().into(),
            timeout: Duration::from_secs(60),
        };
        let service = Gemini::new(&settings, model.clone(), Arc::new(self.clock.clone())).unwrap();
        self.analyst(Arc::new(service), model, Prompt::built_in())
    }

    /// An analyst that calls a fake Bedrock.
    pub(crate) fn bedrock(&self, fake: &Fake, model: &str, access_key_id: &str) -> ModelAnalyst {
        self.bedrock_of(fake, Models::built_in().model("bedrock", model).unwrap(), access_key_id)
    }

    pub(crate) fn bedrock_of(
        &self,
        fake: &Fake,
        model: analysis::Model,
        access_key_id: &str,
    ) -> ModelAnalyst {
        let service = Self::bedrock_service(&fake.url(), &model, access_key_id);
        self.analyst(service, model, Prompt::built_in())
    }

    pub(crate) fn bedrock_service(
        url: &str,
        model: &analysis::Model,
        access_key_id: &str,
    ) -> Arc<dyn Service> {
        Self::bedrock_service_within(url, model, access_key_id, 60)
    }

    pub(crate) fn bedrock_service_within(
        url: &str,
        model: &analysis::Model,
        access_key_id: &str,
        seconds: u64,
    ) -> Arc<dyn Service> {
        let variables = Variables::from_fn(|name| {
            let value = match name {
                "AWS_REGION" => "eu-central-1",
                "AWS_ACCESS_KEY_ID" => access_key_id,
                "AWS_SECRET_ACCESS_KEY" => "secret",
                _ => return None,
            };
            Some(value.to_owned())
        });
        let aws = runtime::aws::aws_config(&variables).unwrap();
        let settings =
            BedrockSettings { base_url: Some(url.to_owned()), timeout: Duration::from_secs(seconds) };
        Arc::new(Bedrock::new(&aws, &settings, model.clone()))
    }
}

pub(crate) const GEMINI: &str = "gemini-3.8-flash";
pub(crate) const CLAUDE: &str = "global.anthropic.claude-haiku-5-5";

/// A fake Gemini, and the handle that scripts its answers.
pub(crate) async fn gemini() -> (Fake, sandbox::gemini::Gemini) {
    let gemini = sandbox::gemini::Gemini::default();
    (Fake::serve("gemini", gemini.router()).await.unwrap(), gemini)
}

/// A fake Bedrock, and the handle that scripts its answers.
pub(crate) async fn bedrock() -> (Fake, sandbox::bedrock::Bedrock) {
    let bedrock = sandbox::bedrock::Bedrock::default();
    (Fake::serve("bedrock", bedrock.router()).await.unwrap(), bedrock)
}

/// A model that the built-in list may lack, with further settings in TOML.
pub(crate) fn listed(provider: &str, id: &str, output: &str, more: &str) -> analysis::Model {
    let list = format!(
        "[[models]]\nprovider = \"{provider}\"\nid = \"{id}\"\noutput = \"{output}\"\nmax_output_tokens = 4096\n\
         {more}\nprices = [{{ from = \"2026-01-01\", input = 1, output = 1 }}]"
    );
    Models::parse(&list).unwrap().model(provider, id).unwrap()
}

/// The facts of a lead that is worth a call.
pub(crate) fn facts() -> FactSheet {
    let email = EmailAddress::parse("ann.smith@stripe.example").unwrap();
    let mut lead = Lead::new(email, CampaignId::parse("launch_2024").unwrap());
    lead.marketo.insert("activity".into(), json!("demo_request"));
    lead.marketo.insert("engagement_score".into(), json!(85));
    let nothing: Enrichment = serde_json::from_value(json!({ "status": "not_found" })).unwrap();
    let mut facts = fact_sheet(&lead, &nothing, &Icp::default_config());
    let company = json!({ "industry": "Fintech", "employee_count": 1200, "country": "US" });
    facts.set(Namespace::Enrichment, company.as_object().unwrap().clone());
    facts
}

/// The class and the code of a failed judgement.
pub(crate) async fn refusal(analyst: &dyn Analyst) -> (FailureClass, String) {
    let failure = analyst.analyse(&facts()).await.unwrap_err().failure;
    (failure.class(), failure.code.into_owned())
}

/// An answer in the shape of the contract, with its analysis.
pub(crate) async fn answered(analyst: &dyn Analyst) -> (analysis::Analysis, Answer) {
    let analysis = analyst.analyse(&facts()).await.unwrap();
    let answer = Answer::parse(&analysis.raw_answer).unwrap();
    (analysis, answer)
}

pub(crate) fn last(fake: &Fake) -> Exchange {
    fake.exchanges().pop().unwrap()
}
