use std::path::Path;
use std::sync::Arc;

use analysis::{
    AI_BREAKER, Analyst, FallbackAnalyst, Gemini, GeminiSettings, Guards, Icp, Model, ModelAnalyst, Models,
    Prompt, Rules, Service,
};
use anyhow::Context as _;
use breaker::{Budget, CircuitBreaker};
use lead::{Clock, Dependency, SystemClock};
use runtime::aws::AwsConfig;
use store::Store;

use crate::config::{AiProvider, Config};

/// The dependency name in deferrals by the daily budget.
const BUDGET: Dependency = Dependency::new("ai.budget");

/// The configured analyst for `icp` without circuit breaker and budget, for trials: its calls neither respect
/// nor affect the breaker and the budget of the running system. Bedrock needs `aws`.
///
/// # Errors
///
/// When a required file, model or key is missing or invalid. Names the variable.
pub fn analyst(config: &Config, icp: &Icp, aws: Option<&AwsConfig>) -> anyhow::Result<Arc<dyn Analyst>> {
    assemble(config, icp, aws, &|_| Guards::default(), &(Arc::new(SystemClock) as Arc<dyn Clock>))
}

/// The configured analyst behind the circuit breaker and the budget that all processes share.
pub(crate) fn guarded(
    config: &Config,
    icp: &Icp,
    aws: Option<&AwsConfig>,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Analyst>> {
    check_budget(config, icp, clock.as_ref())?;
    let guards = |provider: AiProvider| {
        let dependency = ModelAnalyst::dependency(provider.as_str());
        let breaker = CircuitBreaker::new(dependency, Arc::new(store.clone()), Arc::clone(clock), AI_BREAKER);
        let budget = config
            .ai
            .budget_microusd_per_day
            .map(|limit| Budget::new(BUDGET, limit, Arc::new(store.clone()), Arc::clone(clock)));
        Guards { breaker: Some(breaker), budget }
    };
    assemble(config, icp, aws, &guards, clock)
}

/// Checks that the daily budget covers the most expensive possible call, at the present price and at every
/// announced future price. With a smaller budget no lead would ever be judged, and all would wait.
///
/// # Errors
///
/// When the budget is too small, or a file or model is missing or invalid. Names the variable.
pub fn check_budget(config: &Config, icp: &Icp, clock: &dyn Clock) -> anyhow::Result<()> {
    let Some(budget) = config.ai.budget_microusd_per_day else { return Ok(()) };
    for provider in [Some(config.ai.provider), config.ai.second].into_iter().flatten() {
        if provider == AiProvider::Rules {
            continue;
        }
        let model = ai_model(config, provider)?;
        let dearest = ModelAnalyst::max_call_cost(&model, &prompt(config)?, &icp.contract, clock.now());
        anyhow::ensure!(
            budget >= dearest,
            "AI_BUDGET_USD_PER_DAY: one call to {} may cost {:.4} US dollars, more than the daily budget of {:.4}",
            model.id,
            dollars(dearest),
            dollars(budget),
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for a message")]
fn dollars(microusd: u64) -> f64 {
    microusd as f64 / 1e6
}

/// The configured model of a provider, from the list of models.
///
/// # Errors
///
/// When the list cannot be read or does not contain the model.
pub fn ai_model(config: &Config, provider: AiProvider) -> anyhow::Result<Model> {
    let (variable, id) = match provider {
        AiProvider::Bedrock => ("BEDROCK_MODEL_ID", &config.ai.bedrock.model),
        AiProvider::Gemini | AiProvider::Rules => ("GEMINI_MODEL", &config.ai.gemini.model),
    };
    let models = match &config.ai.models_file {
        Some(file) => Models::parse(&read("MODELS_FILE", file)?)
            .with_context(|| format!("MODELS_FILE: {}", file.display()))?,
        None => Models::built_in(),
    };
    models.model(provider.as_str(), id).context(variable)
}

fn assemble(
    config: &Config,
    icp: &Icp,
    aws: Option<&AwsConfig>,
    guards: &dyn Fn(AiProvider) -> Guards,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Analyst>> {
    let one = |provider| -> anyhow::Result<Arc<dyn Analyst>> {
        if provider == AiProvider::Rules {
            return Ok(Arc::new(Rules::new(icp.clone())));
        }
        let model = ai_model(config, provider)?;
        let service: Arc<dyn Service> = match provider {
            AiProvider::Rules | AiProvider::Gemini => Arc::new(gemini(config, &model, clock)?),
            AiProvider::Bedrock => bedrock(config, &model, aws)?,
        };
        let (contract, guards) = (icp.contract.clone(), guards(provider));
        Ok(Arc::new(ModelAnalyst::new(service, model, prompt(config)?, contract, guards, Arc::clone(clock))))
    };
    let first = one(config.ai.provider)?;
    Ok(match config.ai.second {
        Some(second) => Arc::new(FallbackAnalyst::new(first, one(second)?)),
        None => first,
    })
}

fn gemini(config: &Config, model: &Model, clock: &Arc<dyn Clock>) -> anyhow::Result<Gemini> {
    let settings = GeminiSettings {
        base_url: config.ai.gemini.base_url.parse().context("GEMINI_BASE_URL")?,
        api_key: config.ai.gemini.api_key.clone().context("GEMINI_API_KEY: must be set to use gemini")?,
        timeout: config.ai.timeout,
    };
    Ok(Gemini::new(&settings, model.clone(), Arc::clone(clock))?)
}

#[cfg(feature = "bedrock")]
fn bedrock(config: &Config, model: &Model, aws: Option<&AwsConfig>) -> anyhow::Result<Arc<dyn Service>> {
    let aws = aws.context("AWS_REGION: must be set to use bedrock")?;
    let settings = analysis::BedrockSettings {
        base_url: config.ai.bedrock.base_url.clone(),
        timeout: config.ai.timeout,
    };
    Ok(Arc::new(analysis::Bedrock::new(aws, &settings, model.clone())))
}

#[cfg(not(feature = "bedrock"))]
fn bedrock(_: &Config, _: &Model, _: Option<&AwsConfig>) -> anyhow::Result<Arc<dyn Service>> {
    anyhow::bail!("AI_PROVIDER: this program was built without bedrock")
}

fn prompt(config: &Config) -> anyhow::Result<Prompt> {
    let Some(file) = &config.ai.prompt_file else { return Ok(Prompt::built_in()) };
    Prompt::parse(&read("PROMPT_FILE", file)?).with_context(|| format!("PROMPT_FILE: {}", file.display()))
}

fn read(variable: &str, file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{variable}: {}", file.display()))
}
