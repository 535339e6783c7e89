use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_client::{Method, Reply};
use lead::{Clock, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::client::{Access, Client, codes};
use super::company::clearbit_shape;
use crate::provider::not_yet;
use crate::{EnrichmentProvider, Firmographics};

/// Hunter's company enrichment, in the format of Clearbit: `GET /v2/companies/find`.
pub struct Hunter {
    client: Client,
    key: SecretString,
}

impl Hunter {
    /// A client with a key. Fails if the system has no root certificates.
    pub fn new(access: Access, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::new(codes!("hunter"), access.base_url, timeout, clock)?;
        Ok(Self { client, key: access.key })
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Reply, Failure> {
        let request = self.client.request(Method::GET, path).query(query);
        self.client.send(request.header("X-API-KEY", self.key.expose_secret())).await
    }

    /// 429 means a rate limit or exhausted monthly credits; the body distinguishes the two.
    fn failure(&self, reply: &Reply) -> Failure {
        let answer: Value = reply.json().unwrap_or_default();
        let ids = answer["errors"].as_array().into_iter().flatten().filter_map(|error| error["id"].as_str());
        let mut ids = ids.filter(|_| reply.status == 429);
        if ids.any(|id| id.contains("usage")) {
            self.client.credits_used_up()
        } else {
            self.client.failure(reply)
        }
    }
}

#[async_trait]
impl EnrichmentProvider for Hunter {
    fn name(&self) -> &'static str {
        "hunter"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        let reply = self.get(&["v2", "companies", "find"], &[("domain", domain)]).await?;
        match reply.status.as_u16() {
            200 => {
                let answer: Value = reply.json().ok_or_else(|| self.client.unreadable())?;
                // With `clearbit_format` the reply has no envelope.
                let company = answer.get("data").unwrap_or(&answer);
                if company.is_object() {
                    Ok(Some(clearbit_shape(company)))
                } else {
                    Err(self.client.unreadable())
                }
            }
            202 => Err(not_yet("hunter is still looking up the company")),
            // 422 is a domain that Hunter cannot interpret.
            404 | 422 => Ok(None),
            _ => Err(self.failure(&reply)),
        }
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        let reply = self.get(&["v2", "account"], &[]).await?;
        if reply.status.is_success() {
            Ok(Some("the key is accepted".to_owned()))
        } else {
            Err(self.failure(&reply))
        }
    }
}
