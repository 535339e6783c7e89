use std::sync::Arc;

use enrichment::{Settings, SharedState, Waterfall};
use lead::{Clock, Failure};
use store::Store;

/// The configured enrichment providers.
pub(crate) fn waterfall(
    settings: &Settings,
    store: &Store,
    clock: &Arc<dyn Clock>,
) -> Result<Waterfall, Failure> {
    let memory = SharedState {
        cache: Arc::new(store.clone()),
        health: Arc::new(store.clone()),
        spending: Arc::new(store.clone()),
    };
    let (clients, credits) = (settings.clients(clock)?, settings.credits());
    Ok(Waterfall::with_shared_state(clients, settings.timeout, clock, &memory, settings.terms, &credits)
        .with_timeouts(&settings.timeouts))
}
