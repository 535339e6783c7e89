use crate::{ConfigError, Variables};

/// Who judges, and with what.
#[derive(Clone, Debug)]
pub struct AiConfig {
    /// `AI_PROVIDER`.
    pub provider: AiProvider,
}

/// Who judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AiProvider {
    /// The deterministic baseline, offline.
    Rules,
}

impl AiConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let providers = [("rules", AiProvider::Rules)];
        Ok(Self { provider: variables.choice("AI_PROVIDER", &providers, AiProvider::Rules)? })
    }
}
