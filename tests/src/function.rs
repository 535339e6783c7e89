use std::collections::HashMap;
use std::fs::File;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// The time that a function is granted for each call; long enough on any machine.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);

/// The binary of a Lambda function with a private Runtime API, called as Lambda calls it
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>). Killed when dropped.
pub struct Function {
    child: Child,
    calls: mpsc::UnboundedSender<Call>,
    /// A file instead of a pipe: all lines written before an answer are readable when the answer is received.
    logs: NamedTempFile,
    runtime: Runtime,
}

struct Call {
    event: String,
    reply: oneshot::Sender<Result<Value, Value>>,
}

struct RuntimeApi {
    calls: tokio::sync::Mutex<mpsc::UnboundedReceiver<Call>>,
    /// By request id.
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<Value, Value>>>>,
}

impl Function {
    /// The X-Ray trace of every call, as Lambda writes it
    /// (<https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html>, tracing header).
    pub const TRACE: &str =
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:0";

    /// Starts a binary whose environment holds Lambda's variables, the `AWS_*` variables of the test and
    /// `variables`.
    pub fn start(binary: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        let (calls, to_make) = mpsc::unbounded_channel();
        let api = Arc::new(RuntimeApi { calls: tokio::sync::Mutex::new(to_make), waiting: Mutex::default() });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(responded))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .with_state(api);
        runtime.spawn(axum::serve(listener, router).into_future());

        let name = std::path::Path::new(binary).file_name().context("a binary has a name")?;
        let emulator = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let logs = NamedTempFile::new()?;
        let writer = File::options().append(true).open(logs.path())?;
        let child = Command::new(binary)
            .env_clear()
            .envs(emulator)
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "test")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .env("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "true")
            .env("RUST_LOG", "debug")
            .envs(variables.iter().copied())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("cannot start {binary}"))?;
        Ok(Self { child, calls, logs, runtime })
    }

    /// Calls the function with an event and returns its answer.
    ///
    /// # Errors
    ///
    /// When the function reports a failure, exits, or does not answer within two minutes.
    pub fn invoke(&self, event: &Value) -> anyhow::Result<Value> {
        let (reply, answer) = oneshot::channel();
        self.calls
            .send(Call { event: event.to_string(), reply })
            .ok()
            .context("the Runtime API has stopped")?;
        match self.runtime.block_on(async { tokio::time::timeout(CALL_TIMEOUT, answer).await }) {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => bail!("the function failed: {error}"),
            _ => bail!("the function did not answer:\n{}", self.logs().join("\n")),
        }
    }

    /// Calls the function with an event of API Gateway. Returns the status and the JSON body of its answer.
    ///
    /// # Errors
    ///
    /// As [`invoke`](Self::invoke), or when the answer has another form.
    pub fn answer(&self, event: &Value) -> anyhow::Result<(u64, Value)> {
        let answer = self.invoke(event)?;
        let body = answer["body"].as_str().with_context(|| format!("no body in {answer}"))?;
        let status = answer["statusCode"].as_u64().context("an answer has a status")?;
        Ok((status, serde_json::from_str(body)?))
    }

    /// All lines written so far.
    pub fn logs(&self) -> Vec<String> {
        let written = std::fs::read(self.logs.path()).unwrap_or_default(); // the file exists until this is dropped
        String::from_utf8_lossy(&written).lines().map(str::to_owned).collect()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have exited already
        let _ = self.child.wait();
    }
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> axum::response::Response {
    let Some(call) = api.calls.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("call-{}", now.as_nanos());
    lock(&api.waiting).insert(id.clone(), call.reply);
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-trace-id", Function::TRACE.into()),
        ("lambda-runtime-deadline-ms", (now + CALL_TIMEOUT).as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:test".into()),
        ("content-type", "application/json".into()),
    ];
    (headers, call.event).into_response()
}

async fn responded(api: State<Arc<RuntimeApi>>, id: Path<String>, body: String) -> StatusCode {
    reply(&api, &id, Ok(json(&body)))
}

async fn failed(api: State<Arc<RuntimeApi>>, id: Path<String>, body: String) -> StatusCode {
    reply(&api, &id, Err(json(&body)))
}

fn reply(api: &RuntimeApi, id: &str, answer: Result<Value, Value>) -> StatusCode {
    let Some(waiting) = lock(&api.waiting).remove(id) else { return StatusCode::NOT_FOUND };
    let _ = waiting.send(answer); // the caller may have timed out
    StatusCode::ACCEPTED
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| body.into())
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
