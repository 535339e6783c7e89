//! Google's Gemini API: `generateContent` over REST (<https://ai.google.dev/api/generate-content>).

mod answer;
mod error;

use std::sync::Arc;

use async_trait::async_trait;
use http_client::{HeaderValue, Http, HttpSettings, Method, Url};
use lead::{Clock, Dependency, Failure};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::dialect;
use crate::models::{Model, OutputMode};
use crate::prompt::Question;
use crate::service::{Reply, Service};
use crate::settings::GeminiSettings;

const DEPENDENCY: Dependency = Dependency::new("ai.gemini");

/// The function that a model must call in [`OutputMode::Tool`].
const FUNCTION: &str = "judge_lead";

/// Enough for one word. Reasoning may use all of them; that also counts as a reply.
const PROBE_TOKENS: u32 = 16;

/// Client of the Gemini API for one model.
pub struct Gemini {
    http: Http,
    endpoint: Url,
    key: HeaderValue,
    model: Model,
    clock: Arc<dyn Clock>,
}

impl Gemini {
    /// Fails if the key or the base URL is not usable.
    pub fn new(settings: &GeminiSettings, model: Model, clock: Arc<dyn Clock>) -> Result<Self, Failure> {
        let unusable = |setting: &str| {
            Failure::permanent("ai_configuration", format!("{setting} cannot be used")).on(DEPENDENCY)
        };
        let mut endpoint = settings.base_url.clone();
        endpoint.path_segments_mut().map_err(|()| unusable("GEMINI_BASE_URL"))?.pop_if_empty().extend([
            "v1beta",
            "models",
            &format!("{}:generateContent", model.id),
        ]);
        let mut key = HeaderValue::from_str(settings.api_key.expose_secret())
            .map_err(|_| unusable("GEMINI_API_KEY"))?;
        key.set_sensitive(true);
        let http = HttpSettings { timeout: settings.timeout, ..HttpSettings::default() };
        Ok(Self { http: Http::new(DEPENDENCY, http)?, endpoint, key, model, clock })
    }

    async fn call(&self, body: &Value) -> Result<Reply, Failure> {
        let request = self.http.request(Method::POST, self.endpoint.clone());
        let request = request.header("x-goog-api-key", self.key.clone()).json(body);
        let reply = self.http.send(request).await?;
        if reply.status.is_success() {
            Ok(answer::read(&reply))
        } else {
            Err(error::failure(&reply, self.clock.now()))
        }
    }

    fn request(&self, question: &Question) -> Value {
        let mut instructions = question.instructions.clone();
        let mut generation = json!({ "maxOutputTokens": self.model.max_output_tokens });
        if let Some(level) = &self.model.thinking {
            generation["thinkingConfig"] = json!({ "thinkingLevel": level });
        }
        let mut tools = None;
        match self.model.output {
            OutputMode::JsonSchema => {
                generation["responseMimeType"] = json!("application/json");
                generation["responseJsonSchema"] = dialect::gemini();
            }
            OutputMode::Tool => {
                let description = "Hands in the judgement of the lead.";
                tools = Some(json!([{ "functionDeclarations": [
                    { "name": FUNCTION, "description": description, "parametersJsonSchema": dialect::gemini() }
                ]}]));
            }
            OutputMode::Prompt => instructions.push_str(&dialect::in_words()),
        }
        let mut request = json!({
            "systemInstruction": { "parts": [{ "text": instructions }] },
            "contents": [{ "role": "user", "parts": [{ "text": question.facts }] }],
            "generationConfig": generation,
        });
        if let Some(tools) = tools {
            request["tools"] = tools;
            request["toolConfig"] =
                json!({ "functionCallingConfig": { "mode": "ANY", "allowedFunctionNames": [FUNCTION] } });
        }
        request
    }
}

#[async_trait]
impl Service for Gemini {
    fn provider(&self) -> &'static str {
        "gemini"
    }

    async fn ask(&self, question: &Question) -> Result<Reply, Failure> {
        self.call(&self.request(question)).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        let mut request = json!({
            "contents": [{ "role": "user", "parts": [{ "text": "Say OK." }] }],
            "generationConfig": { "maxOutputTokens": PROBE_TOKENS },
        });
        if let Some(level) = &self.model.thinking {
            request["generationConfig"]["thinkingConfig"] = json!({ "thinkingLevel": level });
        }
        self.call(&request).await.map(drop)
    }
}
