use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_client::Method;
use lead::{Clock, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::client::{Access, Client, codes};
use super::company::{country_code, exactly_or, text, year};
use crate::numbers::{band, number};
use crate::{EnrichmentProvider, Firmographics};

/// People Data Labs' company enrichment: `GET /v5/company/enrich`.
pub struct PeopleDataLabs {
    client: Client,
    key: SecretString,
    min_likelihood: u8,
}

impl PeopleDataLabs {
    /// A client with a key that accepts matches of at least this likelihood (1 to 10). Fails if the system
    /// has no root certificates.
    pub fn new(
        access: Access,
        min_likelihood: u8,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let client = Client::new(codes!("pdl"), access.base_url, timeout, clock)?;
        Ok(Self { client, key: access.key, min_likelihood })
    }
}

#[async_trait]
impl EnrichmentProvider for PeopleDataLabs {
    fn name(&self) -> &'static str {
        "pdl"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        let likelihood = self.min_likelihood.to_string();
        let request = self.client.request(Method::GET, &["v5", "company", "enrich"]);
        let request = request.header("X-Api-Key", self.key.expose_secret()).query(&[
            ("website", domain),
            ("min_likelihood", &likelihood),
            ("titlecase", "true"),
        ]);
        let reply = self.client.send(request).await?;
        match reply.status.as_u16() {
            200 => {
                let company: Value = reply.json().ok_or_else(|| self.client.unreadable())?;
                if !company.is_object() {
                    return Err(self.client.unreadable());
                }
                // Verified although it is part of the request: a wrong company is worse than none.
                let is_likely =
                    number(&company["likelihood"]).is_none_or(|l| l >= self.min_likelihood.into());
                Ok(is_likely.then(|| read(&company)))
            }
            // Free of charge.
            404 => Ok(None),
            _ => Err(self.client.failure(&reply)),
        }
    }
}

fn read(company: &Value) -> Firmographics {
    let location = &company["location"];
    Firmographics {
        name: text(&company["display_name"]).or_else(|| text(&company["name"])),
        industry: text(&company["industry_v2"]).or_else(|| text(&company["industry"])),
        employee_count: number(&company["employee_count"]),
        employee_range: band(&company["size"]),
        revenue_usd: exactly_or(None, &company["inferred_revenue"]),
        city: text(&location["locality"]),
        region: text(&location["region"]),
        country: country_code(&location["country"]),
        founded_year: year(&company["founded"]),
        ..Firmographics::default()
    }
}
