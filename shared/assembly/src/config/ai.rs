use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use runtime::{ConfigError, Variables};

/// The analyst and its settings.
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `AI_PROVIDER`.
    pub provider: AiProvider,
    /// `AI_FALLBACK_PROVIDER`: the provider that is called if the first one gives no answer.
    pub second: Option<AiProvider>,
    /// `GEMINI_*`.
    pub gemini: GeminiConfig,
    /// `BEDROCK_*`.
    pub bedrock: BedrockConfig,
    /// `AI_TIMEOUT_SECONDS`.
    pub timeout: Duration,
    /// `AI_BUDGET_USD_PER_DAY`, in millionths of a US dollar. `None` is no limit.
    pub budget_microusd_per_day: Option<u64>,
    /// `PROMPT_FILE`, in place of the built-in prompt.
    pub prompt_file: Option<PathBuf>,
    /// `MODELS_FILE`, in place of the built-in list of models.
    pub models_file: Option<PathBuf>,
}

/// The kind of analyst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AiProvider {
    /// Deterministic rules, offline.
    Rules,
    /// Google's Gemini API.
    Gemini,
    /// Amazon Bedrock.
    Bedrock,
}

/// Google's Gemini API.
#[derive(Clone, Debug)]
pub struct GeminiConfig {
    /// `GEMINI_API_KEY`.
    pub api_key: Option<SecretString>,
    /// `GEMINI_MODEL`.
    pub model: String,
    /// `GEMINI_BASE_URL`.
    pub base_url: String,
}

/// Amazon Bedrock. Region and credentials are those of all AWS clients, `AWS_*`.
#[derive(Clone, Debug)]
pub struct BedrockConfig {
    /// `BEDROCK_MODEL_ID`.
    pub model: String,
    /// `BEDROCK_BASE_URL`, in place of the region's endpoint.
    pub base_url: Option<String>,
}

impl AiProvider {
    /// The short stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
        }
    }
}

impl AiConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let providers =
            [AiProvider::Rules, AiProvider::Gemini, AiProvider::Bedrock].map(|one| (one.as_str(), one));
        let seconds = [AiProvider::Gemini, AiProvider::Bedrock].map(|one| (one.as_str(), Some(one)));
        let config = Self {
            provider: variables.choice("AI_PROVIDER", &providers, AiProvider::Rules)?,
            second: variables.choice("AI_FALLBACK_PROVIDER", &seconds, None)?,
            gemini: GeminiConfig {
                api_key: variables.secret("GEMINI_API_KEY"),
                model: variables.text("GEMINI_MODEL").unwrap_or_else(|| "gemini-3.8-flash".to_owned()),
                base_url: variables
                    .text("GEMINI_BASE_URL")
                    .unwrap_or_else(|| "https://generativelanguage.googleapis.com".to_owned()),
            },
            bedrock: BedrockConfig {
                model: variables
                    .text("BEDROCK_MODEL_ID")
                    .unwrap_or_else(|| "global.anthropic.claude-haiku-5-5".to_owned()),
                base_url: variables.text("BEDROCK_BASE_URL"),
            },
            timeout: Duration::from_secs(variables.number("AI_TIMEOUT_SECONDS", 60, 1..=600)?),
            budget_microusd_per_day: budget(variables)?,
            prompt_file: variables.text("PROMPT_FILE").map(PathBuf::from),
            models_file: variables.text("MODELS_FILE").map(PathBuf::from),
        };
        config.check()?;
        Ok(config)
    }

    /// Whether a provider is in use, as the first or the second.
    pub fn asks(&self, provider: AiProvider) -> bool {
        self.provider == provider || self.second == Some(provider)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let needed = "must be set to use gemini";
        if self.second.is_some() && self.provider == AiProvider::Rules {
            let problem = "must not be set with AI_PROVIDER=rules, which always answers";
            Err(ConfigError::new("AI_FALLBACK_PROVIDER", problem))
        } else if self.second == Some(self.provider) {
            Err(ConfigError::new("AI_FALLBACK_PROVIDER", "must differ from AI_PROVIDER"))
        } else if self.asks(AiProvider::Gemini) && self.gemini.api_key.is_none() {
            Err(ConfigError::new("GEMINI_API_KEY", needed))
        } else {
            Ok(())
        }
    }
}

/// Converts dollars, with an optional fraction, to millionths. 0 is no limit.
fn budget(variables: &Variables<'_>) -> Result<Option<u64>, ConfigError> {
    let dollars: f64 = variables.number("AI_BUDGET_USD_PER_DAY", 0.0, 0.0..=1_000_000.0)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to a million million"
    )]
    let microusd = (dollars * 1e6).round() as u64;
    Ok((microusd > 0).then_some(microusd))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<AiConfig, ConfigError> {
        AiConfig::read(&Variables::from_fn(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn error_names_the_variable() {
        let gemini = ("AI_PROVIDER", "gemini");
        for (pairs, line) in [
            (&[gemini][..], "GEMINI_API_KEY: must be set to use gemini"),
            (
                &[("AI_PROVIDER", "bedrock"), ("AI_FALLBACK_PROVIDER", "bedrock")],
                "AI_FALLBACK_PROVIDER: must differ from AI_PROVIDER",
            ),
            (
                &[("AI_FALLBACK_PROVIDER", "bedrock")],
                "AI_FALLBACK_PROVIDER: must not be set with AI_PROVIDER=rules, which always answers",
            ),
            (
                &[("AI_FALLBACK_PROVIDER", "rules")],
                "AI_FALLBACK_PROVIDER: must be one of gemini, bedrock, not \"rules\"",
            ),
            (
                &[("AI_BUDGET_USD_PER_DAY", "much")],
                "AI_BUDGET_USD_PER_DAY: must be a number from 0 to 1000000, not \"much\"",
            ),
        ] {
            assert_eq!(read(pairs).unwrap_err().to_string(), line);
        }
    }

    #[test]
    fn budget_may_have_cents() {
        assert_eq!(read(&[]).unwrap().budget_microusd_per_day, None);
        let budget = |text| read(&[("AI_BUDGET_USD_PER_DAY", text)]).unwrap().budget_microusd_per_day;
        assert_eq!(budget("2.5"), Some(2_500_000));
        assert_eq!(budget("0"), None);
    }

    #[test]
    fn debug_output_shows_no_key() {
        let config = read(&[("AI_PROVIDER", "gemini"), ("GEMINI_API_KEY", "hush")]).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
    }
}
