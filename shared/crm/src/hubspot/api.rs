use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lead::{Clock, Failure, FailureClass};
use outbound::{Http, HttpSettings, Method, Reply, Url};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::errors::{Meaning, Refused};
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

    /// Reads the account's distance from UTC, since the limit of the day ends at its own midnight: now and then, since it
    /// changes with daylight saving and there may be no asking once the limit is reached. Until it is known, the day is
    /// that of UTC.
    pub(super) async fn learn_utc_offset(&self) {
        if self.pace.is_offset_due(self.clock.now(), false) {
            let answer = self.call(Method::GET, &self.account_path(), &[], None).await;
            self.note_utc_offset(answer);
        }
    }

    /// The same where the limit was just met: asked once, and without it what is known counts.
    async fn learn_utc_offset_at_limit(&self) {
        if self.pace.is_offset_due(self.clock.now(), true) {
            let reply = self.send_once(&Method::GET, &self.account_path(), &[], None).await;
            let answer = reply.map(|reply| reply.json().filter(|_| reply.status.is_success()));
            self.note_utc_offset(answer.map(Option::unwrap_or_default));
        }
    }

    fn note_utc_offset(&self, answer: Result<Value, Failure>) {
        match answer.map(|details| details["utcOffsetMilliseconds"].as_i64()) {
            Ok(Some(millis)) => self.pace.set_utc_offset(millis),
            Ok(None) => tracing::debug!("HubSpot account details have no UTC offset"),
            Err(failure) => tracing::debug!(code = %failure.code, "HubSpot account details not read"),
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
            if reply.status == 429 {
                let refused = errors::refused(&reply, self.clock.now());
                if refused.meaning == Meaning::DailyQuota {
                    self.learn_utc_offset_at_limit().await;
                } else if waits < SHORT_WAITS
                    && let Some(wait) = refused.failure.retry_after
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
            return Err(self.pace.close(errors::refused(reply, now), now));
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
