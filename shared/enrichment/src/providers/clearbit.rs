use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_client::Method;
use lead::{Clock, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::client::{Access, Client, codes};
use super::company::clearbit_shape;
use crate::provider::not_yet;
use crate::{EnrichmentProvider, Firmographics};

/// The version of the API's response format. Without it the default of the account applies.
const VERSION: &str = "2019-12-19";

/// Clearbit's company lookup, for accounts that still have a key: `GET /v2/companies/find`.
pub struct Clearbit {
    client: Client,
    key: SecretString,
}

impl Clearbit {
    /// A client with a key. Fails if the system has no root certificates.
    pub fn new(access: Access, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::new(codes!("clearbit"), access.base_url, timeout, clock)?;
        Ok(Self { client, key: access.key })
    }
}

#[async_trait]
impl EnrichmentProvider for Clearbit {
    fn name(&self) -> &'static str {
        "clearbit"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        let request = self.client.request(Method::GET, &["v2", "companies", "find"]);
        let request = request
            .basic_auth(self.key.expose_secret(), Some(""))
            .header("API-Version", VERSION)
            .query(&[("domain", domain)]);
        let reply = self.client.send(request).await?;
        match reply.status.as_u16() {
            200 => {
                let company: Value = reply.json().ok_or_else(|| self.client.unreadable())?;
                if company.is_object() {
                    Ok(Some(clearbit_shape(&company)))
                } else {
                    Err(self.client.unreadable())
                }
            }
            // Queued: the lookup continues, and the body says nothing about the company.
            202 => Err(not_yet("clearbit is still looking up the company")),
            // 422 is a domain that Clearbit cannot interpret.
            404 | 422 => Ok(None),
            _ => Err(self.client.failure(&reply)),
        }
    }
}
