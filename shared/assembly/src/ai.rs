use std::sync::Arc;

use analysis::{
    AI_BREAKER, AiProvider, Analyst, FallbackAnalyst, Gemini, Guards, Icp, Model, ModelAnalyst, Rules,
    Service, Settings,
};
use anyhow::Context as _;
use breaker::{Budget, CircuitBreaker};
use lead::{Clock, Dependency, SystemClock};
use runtime::ConfigError;
use runtime::aws::AwsConfig;
use store::Store;
use tokio::sync::Semaphore;

/// The dependency name in deferrals by the daily budget.
const BUDGET: Dependency = Dependency::new("ai.budget");

/// The configured analyst for `icp` without circuit breaker and budget, for trials: its calls neither respect
/// nor affect the breaker and the budget of the running system. Bedrock needs `aws`.
///
/// # Errors
///
/// When a required file, model or key is missing or invalid. Names the variable.
pub fn analyst(settings: &Settings, icp: &Icp, aws: Option<&AwsConfig>) -> anyhow::Result<Arc<dyn Analyst>> {
    assemble(settings, icp, aws, &|_| Guards::default(), &(Arc::new(SystemClock) as Arc<dyn Clock>))
}

/// The configured analyst behind the circuit breaker and the budget that all processes share.
pub(crate) fn guarded(
    settings: &Settings,
    icp: &Icp,
    aws: Option<&AwsConfig>,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Analyst>> {
    check_budget(settings, icp, clock.as_ref())?;
    let guards = |provider: AiProvider| {
        let dependency = ModelAnalyst::dependency(provider.as_str());
        let breaker = CircuitBreaker::new(dependency, Arc::new(store.clone()), Arc::clone(clock), AI_BREAKER);
        let budget = settings
            .budget_microusd_per_day
            .map(|limit| Budget::new(BUDGET, limit, Arc::new(store.clone()), Arc::clone(clock)));
        Guards {
            breaker: Some(breaker),
            budget,
            places: Some(Arc::new(Semaphore::new(settings.concurrency))),
        }
    };
    assemble(settings, icp, aws, &guards, clock)
}

/// Checks that the daily budget covers the most expensive possible call, at the present price and at every
/// announced future price. With a smaller budget no lead would ever be judged, and all would wait.
///
/// # Errors
///
/// When the budget is too small, or a file or model is missing or invalid. Names the variable.
pub fn check_budget(settings: &Settings, icp: &Icp, clock: &dyn Clock) -> Result<(), ConfigError> {
    let Some(budget) = settings.budget_microusd_per_day else { return Ok(()) };
    for provider in [Some(settings.provider), settings.second].into_iter().flatten() {
        if provider == AiProvider::Rules {
            continue;
        }
        let model = settings.model(provider)?;
        let dearest = ModelAnalyst::max_call_cost(&model, &settings.prompt()?, &icp.contract, clock.now());
        if budget < dearest {
            let problem = format!(
                "one call to {} may cost {:.4} US dollars, more than the daily budget of {:.4}",
                model.id,
                dollars(dearest),
                dollars(budget),
            );
            return Err(ConfigError::new("AI_BUDGET_USD_PER_DAY", problem));
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for a message")]
fn dollars(microusd: u64) -> f64 {
    microusd as f64 / 1e6
}

fn assemble(
    settings: &Settings,
    icp: &Icp,
    aws: Option<&AwsConfig>,
    guards: &dyn Fn(AiProvider) -> Guards,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn Analyst>> {
    let one = |provider| -> anyhow::Result<Arc<dyn Analyst>> {
        if provider == AiProvider::Rules {
            return Ok(Arc::new(Rules::new(icp.clone())));
        }
        let model = settings.model(provider)?;
        let service: Arc<dyn Service> = match provider {
            AiProvider::Rules | AiProvider::Gemini => {
                let gemini = settings.gemini.as_ref().context("GEMINI_API_KEY: must be set to use gemini")?;
                Arc::new(Gemini::new(gemini, model.clone(), Arc::clone(clock))?)
            }
            AiProvider::Bedrock => bedrock(settings, &model, aws)?,
        };
        let (prompt, contract) = (settings.prompt()?, icp.contract.clone());
        let clock = Arc::clone(clock);
        Ok(Arc::new(ModelAnalyst::new(service, model, prompt, contract, guards(provider), clock)))
    };
    let first = one(settings.provider)?;
    Ok(match settings.second {
        Some(second) => Arc::new(FallbackAnalyst::new(first, one(second)?)),
        None => first,
    })
}

#[cfg(feature = "bedrock")]
fn bedrock(settings: &Settings, model: &Model, aws: Option<&AwsConfig>) -> anyhow::Result<Arc<dyn Service>> {
    let aws = aws.context("AWS_REGION: must be set to use bedrock")?;
    Ok(Arc::new(analysis::Bedrock::new(aws, &settings.bedrock, model.clone())))
}

#[cfg(not(feature = "bedrock"))]
fn bedrock(_: &Settings, _: &Model, _: Option<&AwsConfig>) -> anyhow::Result<Arc<dyn Service>> {
    anyhow::bail!("AI_PROVIDER: this program was built without bedrock")
}
