use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_client::{Http, Method, Reply, StatusCode};
use lead::{Cause, Failure, FailureClass};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::DEPENDENCY;
use super::errors::{ADMIN_WAIT, Meaning, Refusal, refusal};
use super::session::{Session, Sessions};
use super::usage::Usage;
use crate::call_count::count_call;
use crate::lanes::Pacer;

/// Messages of a 401 that a new token does not resolve. Requesting one would only repeat the refusal.
const NOT_TOKEN_RELATED: [&str; 2] =
    ["Connected app is not attached to Agent", "This session is not valid for use with the REST API"];

/// The maximum size of a describe response, in bytes. An object with 800 fields and long picklists takes
/// about 10 MiB.
const MAX_DESCRIBE: usize = 64 << 20;

/// Immediate retries of reads, and of writes that were certainly not executed.
const RETRIES: u32 = 2;
/// The wait before the first retry; it doubles for the second.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A call of the REST API, or a part of a composite call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The absolute path on the server, with the query.
    pub(super) path: String,
    /// Additional headers.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    /// The index of the call, in the same composite call, whose record is the `WhoId` of this one.
    pub(super) who: Option<usize>,
    /// The maximum size of the response, in bytes; none for the HTTP client's limit.
    pub(super) max_body: Option<usize>,
}

/// The response to a call, of any status.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// Null if it is not JSON.
    pub(super) body: Value,
}

/// A client of the REST API with sessions, usage limits and retries.
pub(super) struct Api {
    http: Http,
    sessions: Sessions,
    pub(super) usage: Usage,
    /// The base path, such as `/services/data/v67.0`.
    pub(super) base: String,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "httpStatusCode")]
    status: u16,
    #[serde(rename = "referenceId")]
    reference: String,
    #[serde(default)]
    body: Value,
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self { method: Method::GET, path, headers: Vec::new(), body: None, who: None, max_body: None }
    }

    /// Reads the describe of an object, which may exceed the client's size limit: it grows with fields and
    /// picklists.
    pub(super) fn describe(path: String) -> Self {
        Self { max_body: Some(MAX_DESCRIBE), ..Self::get(path) }
    }

    /// Writes a record: changes it, or creates it with [`Method::POST`].
    pub(super) fn save(
        method: Method,
        path: String,
        headers: Vec<(&'static str, String)>,
        fields: Map<String, Value>,
    ) -> Self {
        let body = Some(Value::Object(fields));
        Self { method, path, headers, body, who: None, max_body: None }
    }

    /// Whether the call only reads, so that it may be retried when its response is lost.
    fn is_read(&self) -> bool {
        let parts = self.body.as_ref().and_then(|body| body["compositeRequest"].as_array());
        self.method == Method::GET
            || parts.is_some_and(|parts| parts.iter().all(|part| part["method"] == "GET"))
    }

    /// The name of the operation in metrics.
    fn operation(&self) -> &'static str {
        const NAMES: [(&str, &str); 4] =
            [("/describe", "describe"), ("/limits", "limits"), ("/query", "query"), ("/apexrest", "convert")];
        let is_read = self.is_read();
        if self.path.ends_with("/composite") {
            return if is_read { "composite_read" } else { "composite_write" };
        }
        let named = NAMES.iter().find(|(part, _)| self.path.contains(part)).map(|(_, name)| *name);
        named.unwrap_or(if is_read { "read" } else { "write" })
    }

    fn part(&self, reference: &str) -> Value {
        let headers = self.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        let mut part = json!({ "method": self.method.as_str(), "url": self.path, "referenceId": reference });
        if let Some(body) = &self.body {
            part["body"] = body.clone();
            if let Some(who) = self.who {
                part["body"]["WhoId"] = json!(format!("@{{r{who}.id}}"));
            }
            part["httpHeaders"] = Value::Object(headers.collect());
        }
        part
    }
}

impl Response {
    /// The body of a successful response; otherwise its classification.
    pub(super) fn success(self) -> Result<Value, Refusal> {
        if self.status.is_success() { Ok(self.body) } else { Err(refusal(self.status, &self.body)) }
    }
}

impl Api {
    /// The maximum number of parts in a composite call.
    pub(super) const MAX_PARTS: usize = 25;

    pub(super) fn new(http: Http, sessions: Sessions, usage: Usage, version: &str) -> Self {
        Self { http, sessions, usage, base: format!("/services/data/v{version}") }
    }

    /// The id of the integration's user, if the login response had it.
    pub(super) async fn user(&self) -> Result<Option<String>, Failure> {
        Ok(self.sessions.get(&self.http).await?.user.clone())
    }

    /// Fails with a deferral if the org's daily calls are nearly used up. Refreshes an old reading first.
    pub(super) async fn check_usage(&self) -> Result<(), Failure> {
        if self.usage.is_due() {
            self.read_limits().await?;
        }
        self.usage.check()
    }

    /// Reads the number of calls that the org has left. This is the cheapest call that needs a session.
    pub(super) async fn read_limits(&self) -> Result<(), Failure> {
        let limits = self.call(&Call::get(format!("{}/limits", self.base))).await?;
        if limits.status == StatusCode::NOT_FOUND {
            let message = format!("the org does not serve {}: SALESFORCE_API_VERSION is wrong", self.base);
            return Err(Failure::deferral(DEPENDENCY, "crm_api_version", message, Some(ADMIN_WAIT)));
        }
        // The usage concerns all leads, so a refusal must not fail a single lead for good.
        let limits = match limits.success() {
            Ok(limits) => limits,
            Err(Refusal { failure, .. }) if failure.class() == FailureClass::Permanent => {
                let waits = Failure::deferral(DEPENDENCY, "crm_refuses", failure.message, Some(ADMIN_WAIT));
                return Err(Failure { code: failure.code, ..waits });
            }
            Err(refusal) => return Err(refusal.failure),
        };
        let calls = &limits["DailyApiRequests"];
        if let (Some(most), Some(left)) = (calls["Max"].as_u64(), calls["Remaining"].as_u64()) {
            self.usage.note(most.saturating_sub(left), most);
        }
        Ok(())
    }

    /// Sends a call, with a new session if the current one has expired. Returns all other responses to the
    /// caller.
    ///
    /// Reads, and calls that were certainly not executed, are retried immediately. A write with an unknown
    /// outcome is not retried: the ledger makes the next attempt look for its effect.
    ///
    /// # Errors
    ///
    /// If no lead can be written at the moment, or if the outcome of the call is unknown.
    pub(super) async fn call(&self, call: &Call) -> Result<Response, Failure> {
        self.usage.throttle().await;
        self.call_now(call).await
    }

    /// As [`call`](Self::call), for a call that has waited for its turn.
    async fn call_now(&self, call: &Call) -> Result<Response, Failure> {
        let mut retry = 0;
        loop {
            let refusal = match self.call_once(call).await {
                Ok(response) => return Ok(response),
                Err(refusal) => refusal,
            };
            let is_retryable = match refusal.meaning {
                Meaning::Busy => true,
                // A timeout has spent the time for a retry.
                Meaning::Transient => call.is_read() && refusal.failure.cause != Cause::Timeout,
                _ => false,
            };
            if !is_retryable || retry == RETRIES {
                return Err(refusal.failure);
            }
            tokio::time::sleep(RETRY_WAIT * 2_u32.pow(retry)).await;
            retry += 1;
            self.usage.throttle().await;
        }
    }

    async fn call_once(&self, call: &Call) -> Result<Response, Refusal> {
        let session = self.sessions.get(&self.http).await?;
        let mut response = self.send(&session, call).await?;
        if response.status == StatusCode::UNAUTHORIZED && is_token_related(&response.body) {
            let session = self.sessions.renew(&self.http, Some(&session)).await?;
            response = self.send(&session, call).await?;
        }
        if !response.status.is_success() {
            let refusal = refusal(response.status, &response.body);
            let is_for_all = matches!(refusal.meaning, Meaning::Session | Meaning::Limit | Meaning::Stop);
            if is_for_all || refusal.meaning == Meaning::Busy || response.status.is_server_error() {
                if is_for_all {
                    tracing::error!(dependency = %DEPENDENCY, code = %refusal.failure.code, "Salesforce cannot be used");
                }
                return Err(refusal);
            }
        }
        Ok(response)
    }

    /// Sends calls that have waited for their turn, as parts of composite calls. Returns one response per
    /// call, in order.
    ///
    /// A part may refer to an earlier one by `rN`, N being its index in `calls`.
    pub(super) async fn composite(&self, calls: &[Call]) -> Result<Vec<Response>, Failure> {
        let mut responses = Vec::with_capacity(calls.len());
        for (chunk, calls) in calls.chunks(Self::MAX_PARTS).enumerate() {
            let reference = |index: usize| format!("r{}", chunk * Self::MAX_PARTS + index);
            let parts: Vec<_> =
                calls.iter().enumerate().map(|(index, call)| call.part(&reference(index))).collect();
            let whole = Call {
                method: Method::POST,
                path: format!("{}/composite", self.base),
                headers: Vec::new(),
                who: None,
                max_body: None,
                body: Some(
                    json!({ "allOrNone": false, "collateSubrequests": false, "compositeRequest": parts }),
                ),
            };
            let body = self.call_now(&whole).await?.success().map_err(|refusal| refusal.failure)?;
            let mut parts = Vec::<Part>::deserialize(&body["compositeResponse"]).unwrap_or_default();
            for index in 0..calls.len() {
                let found = parts.iter().position(|part| part.reference == reference(index));
                let part = found.map(|found| parts.swap_remove(found)).ok_or_else(incomplete)?;
                let status = StatusCode::from_u16(part.status).map_err(|_| incomplete())?;
                responses.push(Response { status, body: part.body });
            }
        }
        Ok(responses)
    }

    async fn send(&self, session: &Arc<Session>, call: &Call) -> Result<Response, Failure> {
        let invalid = |_| Failure::permanent("crm_request", "the path of the call is invalid").on(DEPENDENCY);
        let url = session.instance.join(&call.path).map_err(invalid)?;
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .bearer_auth(session.token.expose_secret())
            .header("Sforce-Call-Options", "client=RevenueFlow");
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        count_call("salesforce", call.operation());
        let http = call.max_body.map(|most| self.http.with_max_body(most));
        let reply: Reply = http.as_ref().unwrap_or(&self.http).send(request).await?;
        if let Some(usage) = reply.header("Sforce-Limit-Info") {
            self.usage.note_header(usage);
        }
        Ok(Response { status: reply.status, body: reply.json().unwrap_or_default() })
    }
}

impl Pacer for Api {
    fn turn(self: Arc<Self>) -> BoxFuture<'static, ()> {
        async move { self.usage.throttle().await }.boxed()
    }
}

fn is_token_related(body: &Value) -> bool {
    let first = body.get(0).unwrap_or(body);
    let message = first["message"].as_str().unwrap_or_default();
    !NOT_TOKEN_RELATED.iter().any(|known| message.contains(known))
}

fn incomplete() -> Failure {
    Failure::transient("crm_incomplete_answer", "Salesforce's composite response lacks the result of a part")
        .on(DEPENDENCY)
}
