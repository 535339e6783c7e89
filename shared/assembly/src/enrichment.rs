use std::sync::Arc;
use std::time::Duration;

use enrichment::{EnrichmentProvider, Fixtures, Waterfall};
use lead::Clock;
use runtime::Config;

/// How long an enrichment provider may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who knows companies, as configured.
pub(crate) fn waterfall(config: &Config, clock: &Arc<dyn Clock>) -> Waterfall {
    let providers = config.enrichment.providers.iter();
    let providers = providers.map(|_fixtures| Arc::new(Fixtures::built_in()) as Arc<dyn EnrichmentProvider>);
    Waterfall::new(providers.collect(), TIMEOUT, Arc::clone(clock))
}
