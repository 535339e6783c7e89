use ingest::SinkError;
use runtime::aws::{AwsConfig, Call, SignedCalls};
use runtime::{ConfigError, Variables};

/// An S3 bucket for writing objects, with `PutObject` only.
pub(crate) struct Bucket {
    s3: SignedCalls,
    /// The path before an object's key.
    prefix: String,
}

impl Bucket {
    /// The bucket that a variable names. Objects get the bucket's default encryption.
    pub(crate) fn named(
        variable: &'static str,
        variables: &Variables<'_>,
        aws: &AwsConfig,
    ) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| ConfigError::new(variable, problem);
        let name = variables.text(variable).ok_or_else(|| wrong("must be set to accept leads"))?;
        let region = aws.region().ok_or_else(|| wrong("is in no region"))?;
        let (url, prefix) = match aws.endpoint_url() {
            // An emulator addresses a bucket by its path, because its host has no other names.
            Some(_) => (None, format!("/{name}/")),
            None => (Some(format!("https://{name}.s3.{region}.amazonaws.com")), "/".to_owned()),
        };
        Ok(Self { s3: SignedCalls::new("s3", url, aws)?, prefix })
    }

    /// Writes an object. `key` must contain only characters that a URL does not escape.
    pub(crate) async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), SinkError> {
        let call = Call { method: "PUT", path: format!("{}{key}", self.prefix), headers: &[], body };
        self.s3.call(call).await.map(drop).map_err(SinkError::new)
    }
}
