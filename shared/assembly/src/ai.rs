use std::sync::Arc;

use analysis::{Analyst, Icp, Rules};
use runtime::{AiProvider, Config};

/// Who judges by `icp`, as configured.
pub(crate) fn analyst(config: &Config, icp: &Icp) -> Arc<dyn Analyst> {
    match config.ai.provider {
        AiProvider::Rules => Arc::new(Rules::new(icp.clone())),
    }
}
