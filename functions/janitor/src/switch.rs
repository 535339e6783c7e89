use cloud::{Mapping, Parts};
use queue::Ledger as _;

/// Disables or enables consumption according to the pauses. Until the mapping is disabled, batches are
/// returned.
pub(crate) async fn switch(parts: &Parts, mapping: Option<&Mapping>) -> anyhow::Result<bool> {
    let is_paused = !parts.ledger.pauses().await?.is_empty();
    metrics::gauge!("revenueflow_queue_paused").set(f64::from(u8::from(is_paused)));
    let open = parts.store.open_breakers().await?;
    metrics::gauge!("revenueflow_breakers_open").set(f64::from(u32::try_from(open.len())?));
    if let Some(mapping) = mapping
        && mapping.enable(!is_paused).await?
    {
        tracing::warn!(is_paused, "queue consumption switched");
    }
    Ok(is_paused)
}
