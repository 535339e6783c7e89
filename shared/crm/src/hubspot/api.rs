use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_client::{Http, HttpSettings, Method, Reply, Url};
use jiff::Timestamp;
use lead::{Cause, Clock, Failure, FailureClass};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::errors::{Refusal, RefusalKind};
use super::rate_limit::RateLimit;
use super::token::Tokens;
use super::{DEPENDENCY, HubSpotSettings, errors};
use crate::call_count::count_call;
use crate::lanes::Pacer;

/// Immediate retries of a call after a connection error, a 5xx or a 423. Retrying is safe because writes go
/// by id or by a unique property. A call that timed out is not retried: its time budget is spent.
const RETRIES: u32 = 2;
/// The wait before the first retry; it doubles for the second.
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// The longest rate limit that a call waits out itself. A longer one defers the lead and pauses the queue.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// The number of rate limits that one call waits out.
const SHORT_WAITS: u32 = 3;

/// A client of `HubSpot`'s API with authentication, rate limiting, retries and error classification.
pub(super) struct Api {
    http: Http,
    base: String,
    version: String,
    tokens: Tokens,
    rate_limit: RateLimit,
    clock: Arc<dyn Clock>,
}

impl Api {
    pub(super) fn new(settings: HubSpotSettings, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let HubSpotSettings { base_url, version, credentials } = settings;
        let base = base_url.as_str().trim_end_matches('/').to_owned();
        let url = parse(&format!("{base}/oauth/{version}/token"))?;
        Ok(Self {
            http: Http::new(DEPENDENCY, HttpSettings::default())?,
            tokens: Tokens::new(credentials, url, Arc::clone(&clock)),
            rate_limit: RateLimit::default(),
            base,
            version,
            clock,
        })
    }

    /// A path of the CRM API in the configured version: `/crm/objects/2026-03/contacts` or
    /// `/crm/v3/objects/contacts`.
    pub(super) fn path(&self, family: &str, rest: &[&str]) -> String {
        let version = self.version.as_str();
        // Version 2026-03 accepts only the object type id for deals; the other versions accept it as well.
        let rest = rest.iter().map(|part| if *part == "deals" { "0-3" } else { part });
        let rest = rest.collect::<Vec<_>>().join("/");
        match (version.starts_with('v'), family) {
            (true, "associations") => format!("/crm/v4/associations/{rest}"),
            (true, family) => format!("/crm/{version}/{family}/{rest}"),
            (false, family) => format!("/crm/{family}/{version}/{rest}"),
        }
    }

    pub(super) fn account_path(&self) -> String {
        format!("/account-info/{}/details", self.version)
    }

    /// Sends a request and returns the JSON body of a success, null if it is empty.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let reply = self.send(method, path, query, body).await?;
        Ok(self.read(&reply)?)
    }

    /// Sends a GET request; returns none for status 404.
    pub(super) async fn get_if_there(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, Failure> {
        let reply = self.send(Method::GET, path, query, None).await?;
        if reply.status == 404 { Ok(None) } else { Ok(self.read(&reply).map(Some)?) }
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Sends a write. The error keeps the details of `HubSpot`'s refusal, such as the id of a conflicting
    /// record.
    pub(super) async fn write(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        let reply = self.send(Method::POST, path, &[], Some(body)).await?;
        self.read(&reply)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Reads the account's UTC offset if it is due, since the daily quota resets at the account's midnight.
    ///
    /// The offset is read before the quota is used up, as the account may refuse the call afterwards, and it
    /// is refreshed because daylight saving changes it. Until it is known, the quota is taken to reset at
    /// midnight UTC.
    pub(super) async fn refresh_utc_offset(&self) {
        if self.rate_limit.is_offset_due(self.clock.now(), false) {
            let response = self.call(Method::GET, &self.account_path(), &[], None).await;
            self.note_utc_offset(response);
        }
    }

    /// Reads the UTC offset after the daily quota was reached. One attempt; on failure the known offset
    /// stays.
    async fn refresh_utc_offset_at_limit(&self) {
        if self.rate_limit.is_offset_due(self.clock.now(), true) {
            let reply = self.send_once(&Method::GET, &self.account_path(), &[], None).await;
            let response = reply.map(|reply| reply.json().filter(|_| reply.status.is_success()));
            self.note_utc_offset(response.map(Option::unwrap_or_default));
        }
    }

    fn note_utc_offset(&self, response: Result<Value, Failure>) {
        match response.map(|details| details["utcOffsetMilliseconds"].as_i64()) {
            Ok(Some(millis)) => self.rate_limit.set_utc_offset(millis),
            Ok(None) => tracing::debug!("HubSpot account details have no UTC offset"),
            Err(failure) => tracing::debug!(code = %failure.code, "HubSpot account details not read"),
        }
    }

    /// Sends a request, with immediate retries and short waits for rate limits. Returns a reply of any
    /// status.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let is_search = path.ends_with("/search");
        let is_retryable = method == Method::GET || is_search || path.contains("/batch/");
        let (mut retries, mut waits) = (0, 0);
        loop {
            if is_search {
                self.rate_limit.wait_to_search().await;
            }
            let response = self.send_once(&method, path, query, body).await;
            let is_lost = match &response {
                Ok(reply) => reply.status.is_server_error() || reply.status == 423,
                Err(failure) => failure.class() == FailureClass::Transient && failure.cause != Cause::Timeout,
            };
            if is_lost && is_retryable && retries < RETRIES {
                tokio::time::sleep(RETRY_WAIT * 2_u32.pow(retries)).await;
                retries += 1;
                continue;
            }
            let reply = response?;
            if reply.status == 429 {
                let refused = errors::refusal_of(&reply, self.clock.now());
                if refused.kind == RefusalKind::DailyQuota {
                    self.refresh_utc_offset_at_limit().await;
                } else if waits < SHORT_WAITS
                    && let Some(wait) = refused.failure.retry_after()
                    && wait <= SHORT_WAIT
                {
                    tokio::time::sleep(wait).await;
                    waits += 1;
                    continue;
                }
            }
            return Ok(reply);
        }
    }

    /// Sends a request once the rate limit allows it. An expired OAuth token is replaced once.
    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let mut url = parse(&format!("{}{path}", self.base))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut renewed = false;
        loop {
            self.rate_limit.wait_or_use_reserved(self.clock.now()).await?;
            count_call("hubspot", operation(path));
            let token = self.tokens.token(&self.http).await?;
            let request = self.http.request(method.clone(), url.clone()).bearer_auth(token.expose_secret());
            let request = if let Some(body) = body { request.json(body) } else { request };
            let reply = self.http.send(request).await?;
            self.rate_limit.observe(&reply, self.clock.now());
            // Clocks differ, so a token may expire earlier than computed.
            let is_expired =
                || reply.json::<Value>().is_some_and(|body| body["category"] == "EXPIRED_AUTHENTICATION");
            if reply.status == 401 && !renewed && self.tokens.can_renew() && is_expired() {
                self.tokens.drop_expired(&token).await;
                renewed = true;
                continue;
            }
            return Ok(reply);
        }
    }

    fn read(&self, reply: &Reply) -> Result<Value, Refusal> {
        let now = self.clock.now();
        if !reply.status.is_success() {
            return Err(self.rate_limit.apply(errors::refusal_of(reply, now), now));
        }
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        reply.json().ok_or_else(|| {
            Failure::transient("crm_unavailable", "HubSpot answered something that is not JSON")
                .on(DEPENDENCY)
                .into()
        })
    }
}

impl Pacer for Api {
    fn turn(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move { self.rate_limit.reserve(self.clock.now()).await }.boxed()
    }
}

/// The name of an operation in metrics.
fn operation(path: &str) -> &'static str {
    const NAMES: [(&str, &str); 12] = [
        ("/batch/associate/default", "associate"),
        ("/associations/", "read_associations"),
        ("/batch/read", "read"),
        ("/batch/create", "create"),
        ("/batch/upsert", "upsert"),
        ("/batch/update", "update"),
        ("/search", "search"),
        ("/properties", "properties"),
        ("/owners", "owners"),
        ("/pipelines", "pipelines"),
        ("/account-info", "account"),
        ("/objects", "list"),
    ];
    NAMES.iter().find(|(part, _)| path.contains(part)).map_or("other", |(_, name)| name)
}

fn parse(url: &str) -> Result<Url, Failure> {
    url.parse()
        .map_err(|_| Failure::permanent("crm_request_refused", "the request URL is invalid").on(DEPENDENCY))
}
