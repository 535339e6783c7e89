use ingest::SinkError;
use runtime::aws::{AwsConfig, Call, SignedCalls};
use runtime::{ConfigError, Variables};

/// A bucket of S3 to put objects into: `PutObject` and nothing else.
pub(crate) struct Bucket {
    s3: SignedCalls,
    /// What stands before a key in the path.
    prefix: String,
}

impl Bucket {
    /// The bucket that a variable names. Objects put into it are encrypted as it says itself.
    pub(crate) fn named(
        variable: &'static str,
        variables: &Variables<'_>,
        aws: &AwsConfig,
    ) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| ConfigError::new(variable, problem);
        let name = variables.text(variable).ok_or_else(|| wrong("must be set to take in leads"))?;
        let region = aws.region().ok_or_else(|| wrong("is in no region"))?;
        let (url, prefix) = match aws.endpoint_url() {
            // An emulator knows a bucket by its path, since its host has no other names.
            Some(_) => (None, format!("/{name}/")),
            None => (Some(format!("https://{name}.s3.{region}.amazonaws.com")), "/".to_owned()),
        };
        Ok(Self { s3: SignedCalls::new("s3", url, aws)?, prefix })
    }

    /// Puts an object. `key` holds only characters that a URL can hold as they are.
    pub(crate) async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), SinkError> {
        let call = Call { method: "PUT", path: format!("{}{key}", self.prefix), headers: &[], body };
        self.s3.call(call).await.map(drop).map_err(SinkError::new)
    }
}
