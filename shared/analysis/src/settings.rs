use std::time::Duration;

use http_client::Url;
use secrecy::SecretString;
use variables::{ConfigError, ConfigFile, Variables};

use crate::{Model, Models, Prompt};

/// The analyst and its settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `AI_PROVIDER`.
    pub provider: AiProvider,
    /// `AI_FALLBACK_PROVIDER`: the provider that is called if the first one gives no answer.
    pub second: Option<AiProvider>,
    /// `GEMINI_*`. `None` without `GEMINI_API_KEY`.
    pub gemini: Option<GeminiSettings>,
    /// `GEMINI_MODEL`.
    pub gemini_model: String,
    /// `BEDROCK_*`.
    pub bedrock: BedrockSettings,
    /// `BEDROCK_MODEL_ID`.
    pub bedrock_model: String,
    /// `AI_BUDGET_USD_PER_DAY`, in millionths of a US dollar. `None` is no limit.
    pub budget_microusd_per_day: Option<u64>,
    /// `AI_CONCURRENCY`: the number of calls of one process to one service at the same time.
    pub concurrency: usize,
    /// `PROMPT_FILE`, in place of the built-in prompt.
    pub prompt_file: Option<ConfigFile>,
    /// `MODELS_FILE`, in place of the built-in list of models.
    pub models_file: Option<ConfigFile>,
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

/// Connection settings of the Gemini API.
#[derive(Clone, Debug)]
pub struct GeminiSettings {
    /// `GEMINI_BASE_URL`.
    pub base_url: Url,
    /// `GEMINI_API_KEY`, of a paid project. Google may train on data sent in the free tier.
    pub api_key: SecretString,
    /// `AI_TIMEOUT_SECONDS`: timeout from the request to the complete answer.
    pub timeout: Duration,
}

/// Connection settings of Bedrock. Region and credentials are those of all AWS clients, `AWS_*`.
#[derive(Clone, Debug)]
pub struct BedrockSettings {
    /// `BEDROCK_BASE_URL`: replaces the address of the region.
    pub base_url: Option<String>,
    /// `AI_TIMEOUT_SECONDS`: timeout from the request to the complete answer.
    pub timeout: Duration,
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

impl Settings {
    /// Reads and validates the settings.
    pub fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let providers =
            [AiProvider::Rules, AiProvider::Gemini, AiProvider::Bedrock].map(|one| (one.as_str(), one));
        let seconds = [AiProvider::Gemini, AiProvider::Bedrock].map(|one| (one.as_str(), Some(one)));
        let text = |name, default: &str| variables.text(name).unwrap_or_else(|| default.to_owned());
        let provider = variables.choice("AI_PROVIDER", &providers, AiProvider::Rules)?;
        let second = variables.choice("AI_FALLBACK_PROVIDER", &seconds, None)?;
        let timeout = Duration::from_secs(variables.number("AI_TIMEOUT_SECONDS", 60, 1..=600)?);
        let base_url = variables.parsed("GEMINI_BASE_URL", "https://generativelanguage.googleapis.com")?;
        let api_key = variables.secret("GEMINI_API_KEY");
        let settings = Self {
            provider,
            second,
            gemini: api_key.map(|api_key| GeminiSettings { base_url, api_key, timeout }),
            gemini_model: text("GEMINI_MODEL", "gemini-3.8-flash"),
            bedrock: BedrockSettings { base_url: variables.text("BEDROCK_BASE_URL"), timeout },
            bedrock_model: text("BEDROCK_MODEL_ID", "global.anthropic.claude-haiku-5-5"),
            budget_microusd_per_day: budget(variables)?,
            concurrency: variables.number("AI_CONCURRENCY", 64, 1..=1_000)?,
            prompt_file: variables.file("PROMPT_FILE"),
            models_file: variables.file("MODELS_FILE"),
        };
        settings.check()?;
        Ok(settings)
    }

    /// The configured model of a provider, from the list of models.
    ///
    /// # Errors
    ///
    /// When the list cannot be read or does not contain the model.
    pub fn model(&self, provider: AiProvider) -> Result<Model, ConfigError> {
        let (variable, id) = match provider {
            AiProvider::Bedrock => ("BEDROCK_MODEL_ID", &self.bedrock_model),
            AiProvider::Gemini | AiProvider::Rules => ("GEMINI_MODEL", &self.gemini_model),
        };
        let models = match &self.models_file {
            Some(file) => file.parse(Models::parse)?,
            None => Models::built_in(),
        };
        let model = models.model(provider.as_str(), id);
        model.map_err(|error| ConfigError::new(variable, error.to_string()))
    }

    /// The configured prompt.
    ///
    /// # Errors
    ///
    /// When its file cannot be read or is not a prompt.
    pub fn prompt(&self) -> Result<Prompt, ConfigError> {
        self.prompt_file.as_ref().map_or_else(|| Ok(Prompt::built_in()), |file| file.parse(Prompt::parse))
    }

    /// Whether a provider is in use, as the first or the second.
    pub fn asks(&self, provider: AiProvider) -> bool {
        self.provider == provider || self.second == Some(provider)
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.second.is_some() && self.provider == AiProvider::Rules {
            let problem = "must not be set with AI_PROVIDER=rules, which always answers";
            Err(ConfigError::new("AI_FALLBACK_PROVIDER", problem))
        } else if self.second == Some(self.provider) {
            Err(ConfigError::new("AI_FALLBACK_PROVIDER", "must differ from AI_PROVIDER"))
        } else if self.asks(AiProvider::Gemini) && self.gemini.is_none() {
            Err(ConfigError::new("GEMINI_API_KEY", "must be set to use gemini"))
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

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        Settings::read(&Variables::from_pairs(pairs))
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
