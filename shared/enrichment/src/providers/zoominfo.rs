mod error;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_client::{HeaderValue, Method, Reply, Url, header};
use lead::{Clock, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use self::error::Refusal;
use self::token::Tokens;
use super::client::{Client, codes};
use super::company::{country_code, exactly_or, text, year};
use crate::numbers::{band, number};
use crate::{EnrichmentProvider, Firmographics};

/// The media type of JSON:API, which ZoomInfo requires in both directions.
const JSON_API: HeaderValue = HeaderValue::from_static("application/vnd.api+json");

/// The requested fields. A field outside the account's plan is an error and not an omission, so only used
/// fields are requested.
const OUTPUT_FIELDS: [&str; 11] = [
    "name",
    "website",
    "primaryIndustry",
    "employeeCount",
    "employeeRange",
    "revenue",
    "revenueRange",
    "city",
    "state",
    "country",
    "foundedYear",
];

/// Addresses of ZoomInfo and the credentials of an application.
#[derive(Clone, Debug)]
pub struct ZoomInfoAccess {
    /// The GTM API, without the path of a call.
    pub base_url: Url,
    /// The token endpoint.
    pub token_url: Url,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
}

/// ZoomInfo's GTM API: `POST /data/v1/companies/enrich`. The deprecated Enterprise API is not supported.
pub struct ZoomInfo {
    client: Client,
    tokens: Tokens,
}

impl ZoomInfo {
    /// A client of an application. Fails if the system has no root certificates.
    pub fn new(access: ZoomInfoAccess, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::new(codes!("zoominfo"), access.base_url.clone(), timeout, clock)?;
        Ok(Self { client, tokens: Tokens::new(access) })
    }

    async fn ask(&self, domain: &str, token: &SecretString) -> Result<Reply, Failure> {
        let body = json!({"data": {"type": "CompanyEnrich", "attributes": {
            "matchCompanyInput": [{"companyWebsite": domain}],
            "outputFields": OUTPUT_FIELDS,
        }}});
        let request = self.client.request(Method::POST, &["data", "v1", "companies", "enrich"]);
        let request = request
            .bearer_auth(token.expose_secret())
            .header(header::CONTENT_TYPE, JSON_API)
            .header(header::ACCEPT, JSON_API)
            .json(&body); // does not replace the content type
        self.client.send(request).await
    }

    fn failure(&self, refusal: Refusal, reply: &Reply) -> Failure {
        match refusal {
            Refusal::Token => self.client.credentials_refused(),
            Refusal::Scope => self.client.not_allowed("the application lacks the scope api:data:company"),
            Refusal::Entitlement => {
                self.client.not_allowed("the account's plan does not include company enrichment")
            }
            Refusal::Field => {
                self.client.not_allowed("the account's plan does not include a requested field")
            }
            Refusal::Rate => self.client.rate_limited(reply),
            Refusal::Credits => self.client.credits_used_up(),
            Refusal::Unavailable => self.client.unavailable("ZoomInfo could not answer"),
            Refusal::Other => self.client.failure(reply),
        }
    }
}

#[async_trait]
impl EnrichmentProvider for ZoomInfo {
    fn name(&self) -> &'static str {
        "zoominfo"
    }

    async fn company(&self, domain: &str) -> Result<Option<Firmographics>, Failure> {
        let token = self.tokens.get(&self.client).await?;
        let mut reply = self.ask(domain, &token).await?;
        if error::read(&reply) == Some(Refusal::Token) {
            // The token may have been revoked early. A second token is requested at most once.
            let token = self.tokens.instead_of(&token, &self.client).await?;
            reply = self.ask(domain, &token).await?;
        }
        match error::read(&reply) {
            None => self.read(&reply),
            Some(refusal) => Err(self.failure(refusal, &reply)),
        }
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        self.tokens.get(&self.client).await?;
        Ok(Some("gives out a token".to_owned()))
    }
}

impl ZoomInfo {
    /// Reads a successful reply, which still carries the outcome of the record.
    fn read(&self, reply: &Reply) -> Result<Option<Firmographics>, Failure> {
        let answer: Value = reply.json().ok_or_else(|| self.client.unreadable())?;
        let record = answer["data"].get(0).unwrap_or(&answer["data"]);
        match record["meta"]["matchStatus"].as_str() {
            Some("FULL_MATCH") => Ok(Some(company(&record["attributes"]))),
            Some("NO_MATCH" | "INVALID_INPUT") => Ok(None),
            Some("LIMIT_EXCEEDED") => Err(self.client.credits_used_up()),
            _ => Err(self.client.unreadable()),
        }
    }
}

fn company(attributes: &Value) -> Firmographics {
    let revenue = number(&attributes["revenue"]).filter(|thousands| *thousands > 0);
    Firmographics {
        name: text(&attributes["name"]),
        // A list in some plans, a text in others.
        industry: text(&attributes["primaryIndustry"]).or_else(|| text(&attributes["primaryIndustry"][0])),
        employee_count: number(&attributes["employeeCount"]),
        employee_range: band(&attributes["employeeRange"]),
        // In thousands of US dollars.
        revenue_usd: exactly_or(
            revenue.and_then(|thousands| thousands.checked_mul(1_000)),
            &attributes["revenueRange"],
        ),
        city: text(&attributes["city"]),
        region: text(&attributes["state"]),
        country: country_code(&attributes["country"]),
        founded_year: year(&attributes["foundedYear"]),
        ..Firmographics::default()
    }
}
