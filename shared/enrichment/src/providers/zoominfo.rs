mod error;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lead::{Clock, Failure};
use outbound::{HeaderValue, Method, Reply, Url, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use self::error::Refusal;
use self::token::Tokens;
use super::client::{Client, codes};
use super::company::{country_code, exactly_or, text, year};
use crate::numbers::{band, number};
use crate::{EnrichmentProvider, Firmographics};

/// JSON:API's media type, which ZoomInfo asks for in both directions.
const JSON_API: HeaderValue = HeaderValue::from_static("application/vnd.api+json");

/// What is asked for. A field that the account's plan lacks is an error, not an omission: nothing is asked for that is not
/// used.
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

/// Where ZoomInfo is, and an application's credentials.
#[derive(Clone, Debug)]
pub struct ZoomInfoAccess {
    /// The GTM API, without the path of any one call.
    pub base_url: Url,
    /// Where tokens are given out.
    pub token_url: Url,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
}

/// ZoomInfo's GTM API: `POST /data/v1/companies/enrich`. The older Enterprise API is on its way out and not spoken.
pub struct ZoomInfo {
    client: Client,
    tokens: Tokens,
}

impl ZoomInfo {
    /// A client of an application. Fails where the machine has no root certificates.
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
            .json(&body); // keeps a content type that is there
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
                self.client.not_allowed("the account's plan does not include a field that is asked for")
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
            // It may have been taken back before its time; one that was just given out is not mended by another.
            let token = self.tokens.instead_of(&token, &self.client).await?;
            reply = self.ask(domain, &token).await?;
        }
        match error::read(&reply) {
            None => self.read(&reply),
            Some(refusal) => Err(self.failure(refusal, &reply)),
        }
    }

    async fn check(&self) -> Result<Option<&'static str>, Failure> {
        self.tokens.get(&self.client).await?;
        Ok(Some("gives out a token"))
    }
}

impl ZoomInfo {
    /// One record's outcome is told inside a success.
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
