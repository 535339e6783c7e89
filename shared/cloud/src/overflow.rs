use anyhow::Context as _;
use aws_sdk_s3::Client;
use runtime::aws::AwsConfig;

/// The bucket for leads that could not be queued, and for rejected bodies.
pub struct Overflow {
    client: Client,
    bucket: String,
}

/// One object of the bucket. Its content is personal data.
pub struct OverflowObject {
    /// The object's name.
    pub key: String,
    /// The object's content.
    pub content: Vec<u8>,
}

impl Overflow {
    /// The bucket with the given name.
    pub fn new(aws: &AwsConfig, bucket: String) -> Self {
        // An emulator addresses a bucket by its path, because its host has no other names.
        let config =
            aws_sdk_s3::config::Builder::from(aws).force_path_style(aws.endpoint_url().is_some()).build();
        Self { client: Client::from_conf(config), bucket }
    }

    /// The names of up to `max` objects after the given name, in their order.
    pub async fn list(&self, after: Option<&str>, max: i32) -> anyhow::Result<Vec<String>> {
        let list = self.client.list_objects_v2().bucket(&self.bucket).max_keys(max);
        let listed = list.set_start_after(after.map(str::to_owned)).send().await;
        let contents = listed.context("OVERFLOW_BUCKET: cannot be listed")?.contents.unwrap_or_default();
        Ok(contents.into_iter().filter_map(|object| object.key).collect())
    }

    /// Reads one object.
    pub async fn get(&self, key: &str) -> anyhow::Result<OverflowObject> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        let content = object.context("an object of OVERFLOW_BUCKET cannot be read")?.body.collect().await?;
        Ok(OverflowObject { key: key.to_owned(), content: content.to_vec() })
    }

    /// Deletes one object. Idempotent.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        deleted.map(drop).context("an object of OVERFLOW_BUCKET cannot be deleted")
    }
}
