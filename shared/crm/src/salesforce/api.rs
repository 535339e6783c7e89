use std::sync::Arc;
use std::time::Duration;

use lead::{Failure, FailureClass};
use outbound::{Http, Method, Reply, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::DEPENDENCY;
use super::errors::{ADMIN_WAIT, Meaning, Refusal, refusal};
use super::session::{Session, Sessions};
use super::usage::Usage;

/// Bodies of a 401 that no new token helps with; asking for one again and again would be an endless loop.
const NOT_THE_TOKEN: [&str; 2] =
    ["Connected app is not attached to Agent", "This session is not valid for use with the REST API"];

/// The largest describe read, in bytes. One of an object with 800 fields and long picklists has some 10 MiB.
const MAX_DESCRIBE: usize = 64 << 20;

/// How often what was not done, or only asked, is tried again at once.
const RETRIES: u32 = 2;
/// The wait before the first time; twice as long before the second.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// A call of the REST API, or a part of a composite one.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// From the root of the server, with the query.
    pub(super) path: String,
    /// Headers that records are saved with.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    /// The largest answer read, in bytes; none for the client's own limit.
    pub(super) max_answer: Option<usize>,
}

/// What a call was answered, whatever the status.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Null where it is no JSON.
    pub(super) body: Value,
}

/// The REST API with its session.
pub(super) struct Api {
    http: Http,
    sessions: Sessions,
    pub(super) usage: Usage,
    /// Such as `/services/data/v67.0`.
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
        Self { method: Method::GET, path, headers: Vec::new(), body: None, max_answer: None }
    }

    /// Reads an object's describe, which grows with its fields and their picklists.
    pub(super) fn describe(path: String) -> Self {
        Self { max_answer: Some(MAX_DESCRIBE), ..Self::get(path) }
    }

    /// Writes a record.
    pub(super) fn save(
        path: String,
        headers: Vec<(&'static str, String)>,
        fields: Map<String, Value>,
    ) -> Self {
        let body = Some(Value::Object(fields));
        Self { method: Method::PATCH, path, headers, body, max_answer: None }
    }

    /// Whether it changes nothing, so that it may be made again when no answer came.
    fn is_read(&self) -> bool {
        let parts = self.body.as_ref().and_then(|body| body["compositeRequest"].as_array());
        self.method == Method::GET
            || parts.is_some_and(|parts| parts.iter().all(|part| part["method"] == "GET"))
    }

    fn part(&self, reference: &str) -> Value {
        let headers = self.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        let mut part = json!({ "method": self.method.as_str(), "url": self.path, "referenceId": reference });
        if let Some(body) = &self.body {
            part["body"] = body.clone();
            part["httpHeaders"] = Value::Object(headers.collect());
        }
        part
    }
}

impl Answer {
    /// The body of a success; what the failure means otherwise.
    pub(super) fn success(self) -> Result<Value, Refusal> {
        if self.status.is_success() { Ok(self.body) } else { Err(refusal(self.status, &self.body)) }
    }
}

impl Api {
    /// The most parts of a composite call.
    pub(super) const MAX_PARTS: usize = 25;

    pub(super) fn new(http: Http, sessions: Sessions, usage: Usage, version: &str) -> Self {
        Self { http, sessions, usage, base: format!("/services/data/v{version}") }
    }

    /// The id of our own user, where it is known.
    pub(super) async fn user(&self) -> Result<Option<String>, Failure> {
        Ok(self.sessions.get(&self.http).await?.user.clone())
    }

    /// Refuses to go on where the org's calls are nearly used up; asks again from time to time.
    pub(super) async fn check_usage(&self) -> Result<(), Failure> {
        if self.usage.is_due() {
            self.read_limits().await?;
        }
        self.usage.check()
    }

    /// Reads how many calls the org has left. It is the cheapest call that needs a session.
    pub(super) async fn read_limits(&self) -> Result<(), Failure> {
        let limits = self.call(&Call::get(format!("{}/limits", self.base))).await?;
        if limits.status == StatusCode::NOT_FOUND {
            let message = format!("the org does not serve {}: SALESFORCE_API_VERSION is wrong", self.base);
            return Err(Failure::deferral(DEPENDENCY, "crm_api_version", message, Some(ADMIN_WAIT)));
        }
        // How much is used is a question of all leads: no refusal of it is one lead's.
        let limits = match limits.success() {
            Ok(limits) => limits,
            Err(Refusal { failure, .. }) if failure.class == FailureClass::Permanent => {
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

    /// Calls, with a new session once where the old one has ended. Fails where no lead could be served now, or where
    /// nobody knows what became of it; any other answer is the caller's to read.
    ///
    /// What was surely not done, or only asks, is tried again at once. A write of which nothing is known is not: the ledger
    /// finds out what became of it.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let mut retry = 0;
        loop {
            self.usage.turn().await;
            let refusal = match self.call_once(call).await {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            let may_be_made_again = match refusal.meaning {
                Meaning::Busy => true,
                // One that ran out of time leaves none for another.
                Meaning::Transient => call.is_read() && refusal.failure.code != "http_timeout",
                _ => false,
            };
            if !may_be_made_again || retry == RETRIES {
                return Err(refusal.failure);
            }
            tokio::time::sleep(RETRY_WAIT * 2_u32.pow(retry)).await;
            retry += 1;
        }
    }

    async fn call_once(&self, call: &Call) -> Result<Answer, Refusal> {
        let session = self.sessions.get(&self.http).await?;
        let mut answer = self.send(&session, call).await?;
        if answer.status == StatusCode::UNAUTHORIZED && !is_not_the_token(&answer.body) {
            let session = self.sessions.renewed(&self.http, Some(&session)).await?;
            answer = self.send(&session, call).await?;
        }
        if !answer.status.is_success() {
            let refusal = refusal(answer.status, &answer.body);
            let is_for_all = matches!(refusal.meaning, Meaning::Session | Meaning::Limit | Meaning::Stop);
            if is_for_all || refusal.meaning == Meaning::Busy || answer.status.is_server_error() {
                if is_for_all {
                    tracing::error!(dependency = %DEPENDENCY, code = %refusal.failure.code, "Salesforce cannot be used");
                }
                return Err(refusal);
            }
        }
        Ok(answer)
    }

    /// Several calls in one, each with an answer of its own; parts may refer to earlier ones by `rN`, N being their place.
    pub(super) async fn composite(&self, calls: &[Call]) -> Result<Vec<Answer>, Failure> {
        let mut answers = Vec::with_capacity(calls.len());
        for (chunk, calls) in calls.chunks(Self::MAX_PARTS).enumerate() {
            let reference = |place: usize| format!("r{}", chunk * Self::MAX_PARTS + place);
            let parts: Vec<_> =
                calls.iter().enumerate().map(|(place, call)| call.part(&reference(place))).collect();
            let whole = Call {
                method: Method::POST,
                path: format!("{}/composite", self.base),
                headers: Vec::new(),
                max_answer: None,
                body: Some(
                    json!({ "allOrNone": false, "collateSubrequests": false, "compositeRequest": parts }),
                ),
            };
            let body = self.call(&whole).await?.success().map_err(|refusal| refusal.failure)?;
            let mut parts = Vec::<Part>::deserialize(&body["compositeResponse"]).unwrap_or_default();
            for place in 0..calls.len() {
                let found = parts.iter().position(|part| part.reference == reference(place));
                let part = found.map(|found| parts.swap_remove(found)).ok_or_else(incomplete)?;
                let status = StatusCode::from_u16(part.status).map_err(|_| incomplete())?;
                answers.push(Answer { status, body: part.body });
            }
        }
        Ok(answers)
    }

    async fn send(&self, session: &Arc<Session>, call: &Call) -> Result<Answer, Failure> {
        let unsound = |_| Failure::permanent("crm_request", "the path of the call is none").on(DEPENDENCY);
        let url = session.instance.join(&call.path).map_err(unsound)?;
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
        let http = call.max_answer.map(|most| self.http.with_max_body(most));
        let reply: Reply = http.as_ref().unwrap_or(&self.http).send(request).await?;
        if let Some(usage) = reply.header("Sforce-Limit-Info") {
            self.usage.note_header(usage);
        }
        Ok(Answer { status: reply.status, body: reply.json().unwrap_or_default() })
    }
}

fn is_not_the_token(body: &Value) -> bool {
    let first = body.get(0).unwrap_or(body);
    let message = first["message"].as_str().unwrap_or_default();
    NOT_THE_TOKEN.iter().any(|known| message.contains(known))
}

fn incomplete() -> Failure {
    Failure::transient("crm_incomplete_answer", "Salesforce did not say what became of every part")
        .on(DEPENDENCY)
}
