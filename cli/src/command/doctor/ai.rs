//! The check of the configured AI providers.

use analysis::{AiProvider, ModelAnalyst};
use assembly::Config;
use runtime::aws::AwsConfig;

use super::report::Report;
use crate::output::Advice;

/// Makes a call of a few tokens to each AI provider, also while its circuit breaker is open. The call shows
/// that the key and the model work, and makes Bedrock compile the schema of an answer, which may take minutes
/// the first time.
pub(super) async fn analyst(report: &mut Report, config: &mut Config, aws: Option<&AwsConfig>) {
    let providers = [("ai", Some(config.ai.provider)), ("ai fallback", config.ai.second)];
    let analyst = assembly::icp(config).map_err(anyhow::Error::new).and_then(|icp| {
        assembly::check_budget(&config.ai, &icp, &lead::SystemClock)?;
        assembly::analyst(&config.ai, &icp, aws)
    });
    let analyst = match analyst {
        Ok(analyst) => analyst,
        Err(error) => {
            report.fail("ai", error);
            (config.ai.provider, config.ai.second) = (AiProvider::Rules, None);
            return;
        }
    };
    for (check, provider) in providers {
        let Some(provider) = provider else { continue };
        if provider == AiProvider::Rules {
            report.ok(check, "rules, offline");
            continue;
        }
        let model = match config.ai.model(provider) {
            Ok(model) => model,
            Err(error) => return report.fail(check, error),
        };
        let found = format!("{}, {}, answers", provider.as_str(), model.id);
        match (analyst.self_test(&ModelAnalyst::dependency(provider.as_str())).await, model.retires) {
            (Err(failure), _) => {
                report.fail(check, Advice::new(failure.to_string(), "see docs/ai.md"));
            }
            (Ok(()), Some(day)) => report.warn(
                check,
                found,
                &format!("the provider retires this model on {day}; set another one"),
            ),
            (Ok(()), None) => report.ok(check, found),
        }
    }
}
