//! The `generateContent` call and the model list of Google's Gemini API
//! (<https://ai.google.dev/api/generate-content>, <https://ai.google.dev/api/models>).

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::judge;
use crate::script::Script;
use crate::{Fault, Misbehaviour};

/// The key accepted by default.
pub const KEY: &str = "sandbox-gemini-key";

/// The available models, and whether they support thinking.
const MODELS: [(&str, bool); 9] = [
    ("gemini-4-argon", true),
    ("gemini-3.8-flash", true),
    ("gemini-3.7-flash", true),
    ("gemini-3.6-flash", true),
    ("gemini-3.5-flash", true),
    ("gemini-3.5-flash-lite", true),
    ("gemini-3.1-flash-lite", true),
    ("gemini-3.1-pro-preview", true),
    ("gemma-4-27b-it", false),
];

/// Permitted fields of a request.
const FIELDS: [&str; 9] = [
    "contents",
    "systemInstruction",
    "generationConfig",
    "tools",
    "toolConfig",
    "safetySettings",
    "cachedContent",
    "serviceTier",
    "store",
];
/// Permitted fields of `generationConfig`, restricted to those relevant here.
const GENERATION: [&str; 12] = [
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "maxOutputTokens",
    "candidateCount",
    "stopSequences",
    "seed",
    "temperature",
    "topP",
    "topK",
    "thinkingConfig",
    "responseModalities",
];

/// The number of tokens that a model uses for thinking.
const THOUGHTS: u64 = 24;

/// The model's answer to a valid request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// A truthful answer.
    Truth,
    /// An answer with a claim that no source supports.
    Invention,
    /// This text.
    Text(String),
    /// A truthful answer in two parts, after a visible thought.
    Thoughts,
    /// No answer: the prompt was blocked for this reason.
    Blocked(String),
    /// Half of an answer, with this finish reason.
    Ends(String),
    /// Only thoughts, up to the token limit.
    ThinksTooLong,
}

/// The state of the fake.
#[derive(Clone)]
pub struct Gemini {
    key: Arc<str>,
    script: Script<Says>,
}

impl Default for Gemini {
    fn default() -> Self {
        Self::with_key(KEY)
    }
}

impl Gemini {
    /// A fake that accepts only this key.
    pub fn with_key(key: &str) -> Self {
        Self { key: key.into(), script: Script::default() }
    }

    /// Answers of the next requests, one each; later requests get truthful answers. `/_says` does the same
    /// over HTTP.
    pub fn will(&self, says: impl IntoIterator<Item = Says>) {
        self.script.add(says);
    }

    /// The fake's routes, with the API's version prefix.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v1beta/models", get(list))
            .route("/v1beta/models/{call}", post(generate).get(model))
            .with_state(self.clone())
            .merge(self.script.router())
    }

    fn refuse_key(&self, headers: &HeaderMap) -> Option<Response> {
        match headers.get("x-goog-api-key").map(http::HeaderValue::as_bytes) {
            None => Some(error(
                403,
                "PERMISSION_DENIED",
                "Method doesn't allow unregistered callers.",
                &json!([]),
            )),
            Some(key) if key != self.key.as_bytes() => Some(error(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                &json!([{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com",
                }]),
            )),
            Some(_) => None,
        }
    }
}

/// The fault of an exhausted quota, per day or per minute. `retry_delay` is the delay that the error
/// suggests, such as `5s`.
pub fn out_of_quota(retry_delay: Option<&str>, per_day: bool) -> Fault {
    let span = if per_day { "PerDay" } else { "PerMinute" };
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": format!("GenerateRequests{span}PerProjectPerModel"),
            "quotaValue": "1000",
        }],
    })];
    if let Some(delay) = retry_delay {
        details.push(json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay }));
    }
    let body = json!({ "error": {
        "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota.", "details": details,
    }});
    Fault::on(":generateContent", Misbehaviour::answer(429, body))
}

/// The fault of an overloaded service.
pub fn overloaded() -> Fault {
    let body = json!({ "error": {
        "code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded. Please try again later.",
    }});
    Fault::on(":generateContent", Misbehaviour::answer(503, body))
}

async fn list(State(fake): State<Gemini>, headers: HeaderMap) -> Response {
    if let Some(refusal) = fake.refuse_key(&headers) {
        return refusal;
    }
    let models: Vec<_> = MODELS.iter().map(|(id, thinks)| card(id, *thinks)).collect();
    Json(json!({ "models": models })).into_response()
}

async fn model(State(fake): State<Gemini>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refusal) = fake.refuse_key(&headers) {
        return refusal;
    }
    match MODELS.iter().find(|(known, _)| *known == id) {
        Some((id, thinks)) => Json(card(id, *thinks)).into_response(),
        None => not_found(&id),
    }
}

fn card(id: &str, thinks: bool) -> Value {
    json!({
        "name": format!("models/{id}"), "displayName": id, "version": "001", "thinking": thinks,
        "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    })
}

async fn generate(
    State(fake): State<Gemini>,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = fake.refuse_key(&headers) {
        return refusal;
    }
    let Some(id) = call.strip_suffix(":generateContent") else { return not_found(&call) };
    let Some((_, thinks)) = MODELS.iter().find(|(known, _)| *known == id) else { return not_found(id) };
    let Ok(Value::Object(request)) = serde_json::from_slice(&body) else {
        return invalid("Invalid JSON payload received.");
    };
    if let Err(problem) = check(&request, *thinks) {
        return invalid(&problem);
    }
    let says = fake.script.next();
    Json(answer(id, *thinks, &request, &says.unwrap_or(Says::Truth))).into_response()
}

/// The checks that the service makes before the model sees a request.
fn check(request: &Map<String, Value>, thinks: bool) -> Result<(), String> {
    known(request, &FIELDS, "")?;
    let contents = request.get("contents").and_then(Value::as_array).filter(|contents| !contents.is_empty());
    let contents = contents.ok_or("contents is not specified")?;
    for content in contents {
        let role = content.get("role").and_then(Value::as_str).unwrap_or("user");
        if !["user", "model"].contains(&role) {
            return Err("Please use a valid role: user, model.".to_owned());
        }
        if content["parts"].as_array().is_none_or(Vec::is_empty) {
            return Err("contents.parts must not be empty.".to_owned());
        }
    }
    let empty = Map::new();
    let generation = request.get("generationConfig").and_then(Value::as_object).unwrap_or(&empty);
    known(generation, &GENERATION, "generation_config.")?;
    let is_json = generation.get("responseMimeType").and_then(Value::as_str) == Some("application/json");
    match (generation.get("responseSchema"), generation.get("responseJsonSchema")) {
        (Some(_), Some(_)) => {
            return Err("Only one of response_schema and response_json_schema may be set.".to_owned());
        }
        (None, None) => {}
        _ if !is_json => {
            return Err("A response schema needs response_mime_type application/json.".to_owned());
        }
        (_, Some(schema)) if !schema.is_object() => return Err("Invalid response_json_schema.".to_owned()),
        _ => {}
    }
    if generation.get("maxOutputTokens").is_some_and(|most| most.as_u64().is_none_or(|most| most == 0)) {
        return Err("max_output_tokens must be positive.".to_owned());
    }
    match generation.get("thinkingConfig").and_then(Value::as_object) {
        Some(_) if !thinks => Err("Thinking is not supported for this model.".to_owned()),
        Some(thinking)
            if thinking.contains_key("thinkingLevel") && thinking.contains_key("thinkingBudget") =>
        {
            Err("Only one of thinking_level and thinking_budget may be set.".to_owned())
        }
        _ => Ok(()),
    }
}

fn known(object: &Map<String, Value>, names: &[&str], prefix: &str) -> Result<(), String> {
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!(
            "Invalid JSON payload received. Unknown name \"{name}\" at '{prefix}': Cannot find field."
        )),
        None => Ok(()),
    }
}

fn answer(id: &str, thinks: bool, request: &Map<String, Value>, says: &Says) -> Value {
    let prompt = text_of(&request["contents"]);
    let prompt_tokens = judge::tokens(&Value::Object(request.clone()).to_string());
    let thoughts = if thinks { THOUGHTS } else { 0 };
    let whole = match judge::fact_sheet(&prompt) {
        Some(facts) if *says == Says::Invention => judge::invent(&facts).to_string(),
        Some(facts) => judge::judge(&facts).to_string(),
        None => "OK".to_owned(),
    };
    let most = request["generationConfig"]["maxOutputTokens"].as_u64().unwrap_or(u64::MAX);
    let text = |text: &str| json!({ "text": text });
    let (mut parts, mut reason) = match says {
        Says::Blocked(reason) => {
            return json!({
                "promptFeedback": { "blockReason": reason },
                "usageMetadata": { "promptTokenCount": prompt_tokens, "totalTokenCount": prompt_tokens },
                "modelVersion": id,
                "responseId": "sandbox",
            });
        }
        Says::Truth | Says::Invention => (vec![text(&whole)], "STOP"),
        Says::Text(answer) => (vec![text(answer)], "STOP"),
        Says::Thoughts => {
            let (one, other) = whole.split_at(1);
            let thought = json!({ "text": "Which facts speak for it?", "thought": true });
            (vec![thought, text(one), text(other)], "STOP")
        }
        Says::Ends(reason) => (vec![text(&whole[..whole.len() / 2])], reason.as_str()),
        Says::ThinksTooLong => (Vec::new(), "MAX_TOKENS"),
    };
    if reason == "STOP" && thoughts + judge::tokens(&whole) > most {
        (parts, reason) = (Vec::new(), "MAX_TOKENS");
    }
    let is_called =
        request.get("toolConfig").is_some_and(|config| config["functionCallingConfig"]["mode"] == "ANY");
    if is_called && reason == "STOP" {
        let name = request["tools"][0]["functionDeclarations"][0]["name"].clone();
        let args: Value = serde_json::from_str(&whole).unwrap_or_default();
        parts = vec![json!({ "functionCall": { "name": name, "args": args } })];
    }
    let candidate_tokens: u64 = parts.iter().map(|part| judge::tokens(&part.to_string())).sum();
    json!({
        "candidates": [{ "content": { "role": "model", "parts": parts }, "finishReason": reason, "index": 0 }],
        "usageMetadata": {
            "promptTokenCount": prompt_tokens,
            "candidatesTokenCount": candidate_tokens,
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": prompt_tokens + candidate_tokens + thoughts,
        },
        "modelVersion": id,
        "responseId": "sandbox",
    })
}

fn text_of(contents: &Value) -> String {
    let parts = contents.as_array().into_iter().flatten().filter_map(|content| content["parts"].as_array());
    parts.flatten().filter_map(|part| part["text"].as_str()).collect()
}

fn invalid(problem: &str) -> Response {
    error(400, "INVALID_ARGUMENT", problem, &json!([]))
}

fn not_found(id: &str) -> Response {
    let problem = format!(
        "models/{id} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the \
         list of available models and their supported methods."
    );
    error(404, "NOT_FOUND", &problem, &json!([]))
}

fn error(code: u16, status: &str, message: &str, details: &Value) -> Response {
    let body = json!({ "error": { "code": code, "message": message, "status": status, "details": details } });
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, Json(body)).into_response()
}
