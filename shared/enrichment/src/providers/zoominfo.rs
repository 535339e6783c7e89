mod error;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use batcher::{Batcher, Bounds};
use futures::FutureExt as _;
use http_client::{HeaderValue, Method, Reply, Url, header};
use lead::{Clock, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use trace::Enclosing;

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

/// The maximum number of companies in a call.
const MAX_INPUTS: usize = 25;

/// The result of a lookup.
type Lookup = Result<Option<Firmographics>, Failure>;

/// ZoomInfo's GTM API: `POST /data/v1/companies/enrich`. The deprecated Enterprise API is not supported.
///
/// Lookups that wait at the same time share a call: one call is under way, and the lookups that arrive in the
/// meantime are the next one.
pub struct ZoomInfo {
    account: Arc<Account>,
    lookups: Batcher<String, Query, Lookup>,
}

/// A lookup, with the span of its lead.
struct Query {
    domain: String,
    span: Enclosing,
}

/// The calls of an application.
struct Account {
    client: Client,
    tokens: Tokens,
}

impl ZoomInfo {
    /// A client of an application. Fails if the system has no root certificates.
    pub fn new(access: ZoomInfoAccess, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let client = Client::new(codes!("zoominfo"), access.base_url.clone(), timeout, clock)?;
        let account = Arc::new(Account { client, tokens: Tokens::new(access) });
        let shared = Arc::clone(&account);
        let run = move |queries: Vec<Query>| {
            let account = Arc::clone(&shared);
            let span = queries.first().map_or_else(trace::enclosing, |first| first.span.clone());
            let domains = queries.into_iter().map(|query| query.domain).collect::<Vec<_>>();
            span.run(async move { account.companies(&domains).await }).boxed()
        };
        Ok(Self { account, lookups: Batcher::new(Bounds { calls: MAX_INPUTS, batches: 1 }, run) })
    }
}

impl Account {
    /// Looks up companies in one call. If ZoomInfo refuses it for an unknown reason, which may concern one of
    /// the domains, each is looked up in a call of its own.
    async fn companies(&self, domains: &[String]) -> Vec<Lookup> {
        let answer = match self.answer(domains).await {
            Ok(answer) => answer,
            Err(failure) if failure.dependency().is_none() && domains.len() > 1 => {
                let mut lookups = Vec::with_capacity(domains.len());
                for domain in domains {
                    let answer = self.answer(std::slice::from_ref(domain)).await;
                    lookups.push(answer.and_then(|answer| self.read(&answer["data"][0])));
                }
                return lookups;
            }
            Err(failure) => return domains.iter().map(|_| Err(failure.clone())).collect(),
        };
        let records = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |domain: &String| {
            let is_of = |record: &&Value| record["meta"]["input"]["companyWebsite"] == domain.as_str();
            // The only record of a lookup of one company belongs to it.
            let only = || records.first().filter(|_| domains.len() == 1);
            self.read(records.iter().find(is_of).or_else(only).unwrap_or(&Value::Null))
        };
        domains.iter().map(of).collect()
    }

    /// The answer to a call. A token that was revoked early is replaced once.
    async fn answer(&self, domains: &[String]) -> Result<Value, Failure> {
        let token = self.tokens.get(&self.client).await?;
        let mut reply = self.ask(domains, &token).await?;
        if error::read(&reply) == Some(Refusal::Token) {
            let token = self.tokens.instead_of(&token, &self.client).await?;
            reply = self.ask(domains, &token).await?;
        }
        match error::read(&reply) {
            None => reply.json().ok_or_else(|| self.client.unreadable()),
            Some(refusal) => Err(self.failure(refusal, &reply)),
        }
    }

    async fn ask(&self, domains: &[String], token: &SecretString) -> Result<Reply, Failure> {
        let inputs: Vec<Value> = domains.iter().map(|domain| json!({ "companyWebsite": domain })).collect();
        let body = json!({"data": {"type": "CompanyEnrich", "attributes": {
            "matchCompanyInput": inputs,
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
        let query = Query { domain: domain.to_owned(), span: trace::enclosing() };
        let lookup = self.lookups.call(domain.to_owned(), query).await;
        lookup.unwrap_or_else(|lost| Err(self.account.client.unavailable(&lost.to_string())))
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        self.account.tokens.get(&self.account.client).await?;
        Ok(Some("gives out a token".to_owned()))
    }
}

impl Account {
    /// Reads a record of a successful reply, which still carries its own outcome.
    fn read(&self, record: &Value) -> Lookup {
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
