use anyhow::Context as _;
use aws_sdk_lambda::Client;
use runtime::aws::AwsConfig;

/// The event source mapping between the queue and its function, which switches consumption on and off.
pub struct Mapping {
    client: Client,
    id: String,
}

impl Mapping {
    /// The mapping with the given id.
    pub fn new(aws: &AwsConfig, id: String) -> Self {
        Self { client: Client::new(aws), id }
    }

    /// Enables or disables the mapping. Returns whether that was a change. A mapping in transition is not
    /// touched; the next round handles it.
    pub async fn enable(&self, enabled: bool) -> anyhow::Result<bool> {
        let mapping = self.client.get_event_source_mapping().uuid(&self.id).send().await;
        let state =
            mapping.context("EVENT_SOURCE_MAPPING_ID: the mapping cannot be read")?.state.unwrap_or_default();
        let is_settled = matches!(state.as_str(), "Enabled" | "Disabled");
        if !is_settled || (state == "Enabled") == enabled {
            return Ok(false);
        }
        let update = self.client.update_event_source_mapping().uuid(&self.id).enabled(enabled).send().await;
        update.context("the event source mapping could not be changed")?;
        Ok(true)
    }
}
