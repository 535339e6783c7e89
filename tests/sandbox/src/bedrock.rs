//! The `Converse` operation of Amazon Bedrock
//! (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>).

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::judge;
use crate::script::Script;
use crate::{Fault, Misbehaviour};

/// The access key accepted by default.
pub const ACCESS_KEY_ID: &str = "AKIDSANDBOX";

/// The ways to constrain a model's answer to a schema.
#[derive(PartialEq)]
enum Shape {
    StructuredOutput,
    ForcedTool,
    Words,
}

/// A model and its capabilities.
struct Model {
    id: &'static str,
    /// Callable through an inference profile only.
    needs_profile: bool,
    shape: Shape,
    caches: bool,
}

const MODELS: [Model; 8] = [
    known("anthropic.claude-haiku-5-5", true, Shape::StructuredOutput, true),
    known("anthropic.claude-sonnet-5-5", true, Shape::StructuredOutput, true),
    known("anthropic.claude-opus-5-5", true, Shape::Words, true),
    known("anthropic.claude-haiku-4-5-20251001-v1:0", true, Shape::ForcedTool, true),
    known("amazon.nova-2-lite-v1:0", true, Shape::ForcedTool, false),
    known("amazon.nova-lite-v1:0", false, Shape::ForcedTool, false),
    known("amazon.nova-micro-v1:0", false, Shape::ForcedTool, false),
    known("openai.gpt-oss-120b-1:0", false, Shape::Words, false),
];

const fn known(id: &'static str, needs_profile: bool, shape: Shape, caches: bool) -> Model {
    Model { id, needs_profile, shape, caches }
}

/// Prefixes of inference profile ids.
const PROFILES: [&str; 7] = ["us.", "eu.", "apac.", "us-gov.", "jp.", "au.", "global."];

const RETIRED: [&str; 2] = ["anthropic.claude-v2:1", "anthropic.claude-3-sonnet-20240229-v1:0"];

const FIELDS: [&str; 10] = [
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "outputConfig",
    "guardrailConfig",
    "requestMetadata",
    "additionalModelRequestFields",
    "performanceConfig",
    "serviceTier",
];

/// Keywords that a schema for structured output must not contain.
const REFUSED: [&str; 9] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
];

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
    /// A truthful answer after a reasoning block.
    Reasoning,
    /// Half of an answer, with this stop reason.
    Ends(String),
}

/// The state of the fake.
#[derive(Clone)]
pub struct Bedrock {
    access_key_id: Arc<str>,
    script: Script<Says>,
}

impl Default for Bedrock {
    fn default() -> Self {
        Self { access_key_id: ACCESS_KEY_ID.into(), script: Script::default() }
    }
}

impl Bedrock {
    /// Answers of the next requests, one each; later requests get truthful answers. `/_says` does the same
    /// over HTTP.
    pub fn will(&self, says: impl IntoIterator<Item = Says>) {
        self.script.add(says);
    }

    /// The fake's routes.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/model/{model}/converse", post(converse))
            .with_state(self.clone())
            .merge(self.script.router())
    }

    /// Checks the form of the signature and its access key; verifying the signature itself would need the
    /// secret.
    fn refuse_caller(&self, headers: &HeaderMap) -> Option<Response> {
        let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(text) = text else {
            return Some(exception(
                403,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            ));
        };
        let part = |name: &str| text.split([' ', ',']).find_map(|part| part.trim().strip_prefix(name));
        let scope: Vec<_> = part("Credential=").unwrap_or_default().split('/').collect();
        let is_signed = part("Signature=").is_some_and(|signature| {
            signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit())
        });
        match scope[..] {
            _ if !text.starts_with("AWS4-HMAC-SHA256 ") || !is_signed => Some(exception(
                403,
                "IncompleteSignatureException",
                "Authorization header requires 'Signature' parameter.",
            )),
            [id, _, _, "bedrock", "aws4_request"] if id == &*self.access_key_id => None,
            [_, _, _, "bedrock", "aws4_request"] => Some(exception(
                403,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )),
            _ => Some(exception(
                403,
                "InvalidSignatureException",
                "Credential should be scoped to correct service: 'bedrock'.",
            )),
        }
    }
}

/// The fault of a service exception.
pub fn fails(status: u16, exception: &str, message: &str) -> Fault {
    Fault::on(
        "/converse",
        Misbehaviour::Answer {
            status,
            headers: vec![("x-amzn-errortype".to_owned(), exception.to_owned())],
            body: json!({ "message": message }),
        },
    )
}

async fn converse(
    State(fake): State<Bedrock>,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = fake.refuse_caller(&headers) {
        return refusal;
    }
    let known = match find(&model) {
        Ok(known) => known,
        Err(refusal) => return *refusal,
    };
    let Ok(Value::Object(request)) = serde_json::from_slice(&body) else {
        return invalid("The request body is not valid JSON.");
    };
    if let Err(problem) = check(&request, known) {
        return invalid(&problem);
    }
    let says = fake.script.next();
    Json(answer(known, &request, &says.unwrap_or(Says::Truth))).into_response()
}

fn find(model: &str) -> Result<&'static Model, Box<Response>> {
    let profile = PROFILES.iter().find_map(|prefix| model.strip_prefix(prefix));
    let base = profile.unwrap_or(model);
    if RETIRED.contains(&base) {
        let problem =
            "This model version has reached the end of its life. Please refer to the AWS documentation.";
        return Err(Box::new(exception(404, "ResourceNotFoundException", problem)));
    }
    match MODELS.iter().find(|known| known.id == base) {
        None => Err(Box::new(invalid("The provided model identifier is invalid."))),
        Some(known) if known.needs_profile && profile.is_none() => Err(Box::new(invalid(&format!(
            "Invocation of model ID {model} with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or \
             ARN of an inference profile that contains this model."
        )))),
        Some(known) => Ok(known),
    }
}

fn check(request: &Map<String, Value>, model: &Model) -> Result<(), String> {
    if let Some(name) = request.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("extraneous key [{name}] is not permitted"));
    }
    let messages = request.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let first = messages.and_then(|messages| messages.first()).ok_or("messages must not be empty")?;
    if first["role"] != "user" {
        return Err("A conversation must start with a user message.".to_owned());
    }
    if first["content"].as_array().is_none_or(Vec::is_empty) {
        return Err("The content field in the Message object is empty.".to_owned());
    }
    let most = request.get("inferenceConfig").and_then(|config| config.get("maxTokens"));
    if most.is_some_and(|most| most.as_i64().is_none_or(|most| most < 1)) {
        return Err("Value at 'inferenceConfig.maxTokens' failed to satisfy constraint: must be at least 1"
            .to_owned());
    }
    if let Some(choice) = request.get("toolConfig").and_then(|config| config.get("toolChoice"))
        && choice.get("tool").is_some()
        && model.shape != Shape::ForcedTool
    {
        return Err("This model doesn't support the toolConfig.toolChoice.tool field.".to_owned());
    }
    let cached = request.get("system").and_then(Value::as_array).into_iter().flatten();
    if cached.into_iter().any(|block| block.get("cachePoint").is_some()) && !model.caches {
        return Err("This model doesn't support prompt caching.".to_owned());
    }
    let Some(format) = request.get("outputConfig").and_then(|config| config.get("textFormat")) else {
        return Ok(());
    };
    if model.shape != Shape::StructuredOutput {
        return Err("This model doesn't support structured output.".to_owned());
    }
    let schema = format["structure"]["jsonSchema"]["schema"].as_str();
    let schema = schema.ok_or("outputConfig.textFormat.structure.jsonSchema.schema must be a string")?;
    let schema: Value = serde_json::from_str(schema).map_err(|_| "The JSON schema is not valid JSON.")?;
    check_schema(&schema)
}

fn check_schema(schema: &Value) -> Result<(), String> {
    match schema {
        Value::Object(keywords) => {
            if let Some(refused) = keywords.keys().find(|name| REFUSED.contains(&name.as_str())) {
                return Err(format!("The JSON schema keyword {refused} is not supported."));
            }
            if keywords.get("type").is_some_and(|kind| kind == "object")
                && keywords.get("additionalProperties") != Some(&Value::Bool(false))
            {
                return Err(
                    "For 'object' type, 'additionalProperties' must be explicitly set to false.".to_owned()
                );
            }
            keywords.values().try_for_each(check_schema)
        }
        Value::Array(schemas) => schemas.iter().try_for_each(check_schema),
        _ => Ok(()),
    }
}

fn answer(model: &Model, request: &Map<String, Value>, says: &Says) -> Value {
    let prompt: String = request["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|message| message["content"].as_array())
        .flatten()
        .filter_map(|block| block["text"].as_str())
        .collect();
    let whole = match judge::fact_sheet(&prompt) {
        Some(facts) if *says == Says::Invention => judge::invent(&facts),
        Some(facts) => judge::judge(&facts),
        None => json!("OK"),
    };
    let spoken = whole.as_str().map_or_else(|| whole.to_string(), str::to_owned);
    let tool = request.get("toolConfig").map(|config| config["toolChoice"]["tool"]["name"].clone());
    let text = |text: &str| json!({ "text": text });
    let (mut content, mut reason) = match (says, tool) {
        (Says::Text(answer), _) => (vec![text(answer)], "end_turn"),
        (Says::Ends(reason), _) => (vec![text(&spoken[..spoken.len() / 2])], reason.as_str()),
        (Says::Truth | Says::Invention | Says::Reasoning, Some(name)) => {
            let tool = json!({ "toolUse": { "toolUseId": "tooluse_sandbox", "name": name, "input": whole } });
            (vec![text("I hand it in."), tool], "tool_use")
        }
        (Says::Reasoning, None) => {
            let reasoning =
                json!({ "reasoningContent": { "reasoningText": { "text": "Which facts speak for it?" } } });
            (vec![reasoning, text(&spoken)], "end_turn")
        }
        (Says::Truth | Says::Invention, None) => (vec![text(&spoken)], "end_turn"),
    };
    let most = request.get("inferenceConfig").and_then(|config| config["maxTokens"].as_u64());
    if ["end_turn", "tool_use"].contains(&reason) && most.is_some_and(|most| judge::tokens(&spoken) > most) {
        (content, reason) = (vec![text(&spoken[..spoken.len() / 2])], "max_tokens");
    }
    let fixed = judge::tokens(&request.get("system").map(Value::to_string).unwrap_or_default());
    let (input, output) = (judge::tokens(&prompt), judge::tokens(&spoken));
    let (input, written) = if model.caches { (input, fixed) } else { (input + fixed, 0) };
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": reason,
        "usage": {
            "inputTokens": input, "outputTokens": output, "totalTokens": input + written + output,
            "cacheReadInputTokens": 0, "cacheWriteInputTokens": written,
        },
        "metrics": { "latencyMs": 1 },
    })
}

fn invalid(problem: &str) -> Response {
    exception(400, "ValidationException", problem)
}

fn exception(status: u16, name: &str, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("x-amzn-errortype", name.to_owned())], Json(json!({ "message": message }))).into_response()
}
