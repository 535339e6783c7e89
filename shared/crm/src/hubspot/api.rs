use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use lead::{Clock, Failure, FailureClass};
use outbound::{Http, HttpSettings, Method, Reply, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::errors::Refused;
use super::pace::Pace;
use super::token::Tokens;
use super::{DEPENDENCY, HubSpotSettings, errors};

/// How often a call that got no answer is made again at once. Twice is the same as once: what is written goes by id or by a
/// unique property. One that ran out of time is not made again: there is none left.
const RETRIES: u32 = 2;
/// The wait before the first of them; twice as long before the second.
const RETRY_WAIT: Duration = Duration::from_millis(100);
/// Up to here a limit is waited out with the plan in hand; the queue is paused for longer ones.
const SHORT_WAIT: Duration = Duration::from_secs(2);
/// How often one call waits for a limit.
const SHORT_WAITS: u32 = 3;

/// `HubSpot`'s API: who asks, where, how fast, and what a refusal means.
pub(super) struct Api {
    http: Http,
    base: String,
    version: String,
    tokens: Tokens,
    pace: Pace,
    knows_time_zone: AtomicBool,
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
            pace: Pace::default(),
            knows_time_zone: AtomicBool::new(false),
            base,
            version,
            clock,
        })
    }

    /// A path of the CRM's: `/crm/objects/2026-03/contacts` and `/crm/v3/objects/contacts` are the same.
    pub(super) fn path(&self, family: &str, rest: &[&str]) -> String {
        let version = self.version.as_str();
        // In 2026-03 deals go by the id of their type alone; the other versions take it as well.
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

    /// Asks, and gives back the JSON of a success (null for none).
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

    /// Gets what may not be there.
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

    /// Writes; a refusal says which record stands in the way, where it is told.
    pub(super) async fn write(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let reply = self.send(Method::POST, path, &[], Some(body)).await?;
        self.read(&reply)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks once where the account is, since its limits begin anew at its own midnight: there is no asking once they are
    /// reached. Where it cannot be told, the day is that of UTC.
    pub(super) async fn learn_time_zone(&self) {
        if self.knows_time_zone.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.call(Method::GET, &self.account_path(), &[], None).await {
            Ok(details) => {
                self.pace.set_utc_offset(details["utcOffsetMilliseconds"].as_i64().unwrap_or_default());
            }
            Err(failure) => tracing::debug!(code = %failure.code, "the account's time zone is not known"),
        }
    }

    /// Any answer that is not worth another try at once.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Reply, Failure> {
        let is_search = path.ends_with("/search");
        let may_be_made_again = method == Method::GET || is_search || path.contains("/batch/");
        let (mut retries, mut waits) = (0, 0);
        loop {
            if is_search {
                self.pace.turn_to_search().await;
            }
            let answer = self.send_once(&method, path, query, body).await;
            let is_lost = match &answer {
                Ok(reply) => reply.status.is_server_error() || reply.status == 423,
                Err(failure) => failure.class == FailureClass::Transient && failure.code != "http_timeout",
            };
            if is_lost && may_be_made_again && retries < RETRIES {
                tokio::time::sleep(RETRY_WAIT * 2_u32.pow(retries)).await;
                retries += 1;
                continue;
            }
            let reply = answer?;
            if reply.status == 429
                && waits < SHORT_WAITS
                && let Some(wait) = errors::refused(&reply, self.clock.now()).failure.retry_after
                && wait <= SHORT_WAIT
            {
                tokio::time::sleep(wait).await;
                waits += 1;
                continue;
            }
            return Ok(reply);
        }
    }

    /// Any answer but a refusal that concerns us rather than the question.
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
            self.pace.turn(self.clock.now()).await?;
            let token = self.tokens.token(&self.http).await?;
            let request = self.http.request(method.clone(), url.clone()).bearer_auth(token.expose_secret());
            let request = if let Some(body) = body { request.json(body) } else { request };
            let reply = self.http.send(request).await?;
            self.pace.note(&reply, self.clock.now());
            // Its time was up although it should not have been: clocks differ. Another one, once.
            let category =
                || reply.json::<Value>().is_some_and(|body| body["category"] == "EXPIRED_AUTHENTICATION");
            if reply.status == 401 && !renewed && self.tokens.can_renew() && category() {
                self.tokens.drop_expired(&token).await;
                renewed = true;
                continue;
            }
            return Ok(reply);
        }
    }

    fn read(&self, reply: &Reply) -> Result<Value, Refused> {
        let now = self.clock.now();
        if !reply.status.is_success() {
            let refused = errors::refused(reply, now);
            return Err(Refused { failure: self.pace.close(refused.failure, now), ..refused });
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

fn parse(url: &str) -> Result<Url, Failure> {
    url.parse()
        .map_err(|_| Failure::permanent("crm_request_refused", "no URL can be made of it").on(DEPENDENCY))
}
