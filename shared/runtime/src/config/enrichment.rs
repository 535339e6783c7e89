use crate::{ConfigError, Variables};

/// Who is asked about companies, and how.
#[derive(Clone, Debug)]
pub struct EnrichmentConfig {
    /// `ENRICHMENT_PROVIDERS`, in the order they are asked.
    pub providers: Vec<String>,
}

impl EnrichmentConfig {
    pub(super) fn read(variables: &Variables<'_>) -> Result<Self, ConfigError> {
        let mut providers = variables.list("ENRICHMENT_PROVIDERS");
        if providers.is_empty() {
            providers.push("fixtures".to_owned());
        }
        if let Some(unknown) = providers.iter().find(|name| *name != "fixtures") {
            return Err(ConfigError::new("ENRICHMENT_PROVIDERS", format!("knows fixtures, not {unknown:?}")));
        }
        Ok(Self { providers })
    }
}
