use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use enrichment::{
    Access, Apollo, Clearbit, EnrichmentProvider, Fixtures, Hunter, PeopleDataLabs, SharedState, Terms,
    Waterfall, ZoomInfo, ZoomInfoAccess,
};
use lead::Clock;
use store::Store;

use crate::config::{Config, EnrichmentSource, KeyedConfig};

/// The configured enrichment providers.
///
/// # Errors
///
/// When an address is not a URL. Names the variable.
pub(crate) fn waterfall(config: &Config, store: &Store, clock: &Arc<dyn Clock>) -> anyhow::Result<Waterfall> {
    let config = &config.enrichment;
    let mut providers = Vec::with_capacity(config.providers.len());
    let mut credits = HashMap::new();
    for source in &config.providers {
        let timeout = config.timeouts.get(source.as_str()).copied().unwrap_or(config.timeout);
        let provider = provider(source, timeout, clock)?;
        if let Some(limit) = source.daily_credits() {
            credits.insert(provider.name(), limit);
        }
        providers.push(provider);
    }
    let memory = SharedState {
        cache: Arc::new(store.clone()),
        health: Arc::new(store.clone()),
        spending: Arc::new(store.clone()),
    };
    let terms = Terms { known_for: config.known_for, unknown_for: config.unknown_for, ..Terms::default() };
    Ok(Waterfall::with_shared_state(providers, config.timeout, clock, &memory, terms, &credits)
        .with_timeouts(&config.timeouts))
}

fn provider(
    source: &EnrichmentSource,
    timeout: std::time::Duration,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn EnrichmentProvider>> {
    let clock = Arc::clone(clock);
    Ok(match source {
        EnrichmentSource::Fixtures => Arc::new(Fixtures::built_in()),
        EnrichmentSource::ZoomInfo(zoominfo) => {
            let access = ZoomInfoAccess {
                base_url: zoominfo.base_url.parse().context("ZOOMINFO_BASE_URL")?,
                token_url: zoominfo.token_url.parse().context("ZOOMINFO_TOKEN_URL")?,
                client_id: zoominfo.client_id.clone(),
                client_secret: zoominfo.client_secret.clone(),
            };
            Arc::new(ZoomInfo::new(access, timeout, clock)?)
        }
        EnrichmentSource::Apollo(keyed) => {
            Arc::new(Apollo::new(access(keyed, "APOLLO_BASE_URL")?, timeout, clock)?)
        }
        EnrichmentSource::PeopleDataLabs { keyed, min_likelihood } => {
            let access = access(keyed, "PDL_BASE_URL")?;
            Arc::new(PeopleDataLabs::new(access, *min_likelihood, timeout, clock)?)
        }
        EnrichmentSource::Hunter(keyed) => {
            Arc::new(Hunter::new(access(keyed, "HUNTER_BASE_URL")?, timeout, clock)?)
        }
        EnrichmentSource::Clearbit(keyed) => {
            Arc::new(Clearbit::new(access(keyed, "CLEARBIT_BASE_URL")?, timeout, clock)?)
        }
    })
}

fn access(keyed: &KeyedConfig, variable: &'static str) -> anyhow::Result<Access> {
    Ok(Access { base_url: keyed.base_url.parse().context(variable)?, key: keyed.key.clone() })
}
