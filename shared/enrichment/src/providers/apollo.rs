use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_client::{Method, Reply};
use lead::{Clock, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::client::{Access, Client, codes};
use super::company::{country_code, exactly_or, text, texts, year};
use crate::numbers::number;
use crate::{EnrichmentProvider, Firmographics};

/// Apollo's organization enrichment: `GET /api/v1/organizations/enrich`.
pub struct Apollo {
    client: Client,
    key: SecretString,
}

impl Apollo {
    /// A client with a key. Fails if the system has no root certificates.
    pub fn new(access: Access, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::new(codes!("apollo"), access.base_url, timeout, clock)?;
        Ok(Self { client, key: access.key })
    }
}

#[async_trait]
impl EnrichmentProvider for Apollo {
    fn name(&self) -> &'static str {
        "apollo"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        let request = self.client.request(Method::GET, &["api", "v1", "organizations", "enrich"]);
        let request = request.header("x-api-key", self.key.expose_secret()).query(&[("domain", domain)]);
        let reply = self.client.send(request).await?;
        match reply.status.as_u16() {
            200 => {
                let answer: Value = reply.json().ok_or_else(|| self.client.unreadable())?;
                match answer.get("organization") {
                    Some(organization @ Value::Object(_)) => Ok(Some(read(organization))),
                    Some(Value::Null) => Ok(None),
                    None if answer == json!({}) => Ok(None),
                    _ => Err(self.client.unreadable()),
                }
            }
            // Reported for accounts without credits as well.
            422 if says_credits(&reply) => Err(self.client.credits_used_up()),
            // 422 is a domain that Apollo cannot interpret.
            404 | 422 => Ok(None),
            _ => Err(self.client.failure(&reply)),
        }
    }
}

fn says_credits(reply: &Reply) -> bool {
    let answer: Value = reply.json().unwrap_or_default();
    answer["error"].as_str().is_some_and(|problem| problem.to_lowercase().contains("credit"))
}

fn read(organization: &Value) -> Firmographics {
    let mut technologies = texts(&organization["technology_names"]);
    if technologies.is_empty() {
        let current = organization["current_technologies"].as_array();
        technologies =
            current.into_iter().flatten().filter_map(|technology| text(&technology["name"])).collect();
    }
    Firmographics {
        name: text(&organization["name"]),
        industry: text(&organization["industry"])
            .or_else(|| texts(&organization["industries"]).into_iter().next()),
        employee_count: number(&organization["estimated_num_employees"]),
        revenue_usd: exactly_or(
            number(&organization["annual_revenue"]).filter(|revenue| *revenue > 0),
            &organization["annual_revenue_printed"],
        ),
        city: text(&organization["city"]),
        region: text(&organization["state"]),
        country: country_code(&organization["country"]),
        technologies,
        founded_year: year(&organization["founded_year"]),
        ..Firmographics::default()
    }
}
