use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::{Fault, Misbehaviour};

/// The maximum size of a request, in bytes.
const MAX_REQUEST: usize = 8 << 20;
/// The maximum number of recorded exchanges.
const MAX_LOG: usize = 10_000;

/// A fake on a port of its own, until it is dropped.
///
/// Besides the system's own paths it serves `/_sandbox/faults` (`GET`, `POST` a [`Fault`], `DELETE` all) and
/// `GET /_sandbox/requests`. Faults do not apply to these.
pub struct Fake {
    /// The system, such as `salesforce`.
    pub name: &'static str,
    address: SocketAddr,
    control: Control,
    server: JoinHandle<()>,
}

/// A request and its outcome.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body of the request.
    pub body: Bytes,
    /// The answered status; None if the connection was broken instead.
    pub status: Option<StatusCode>,
    /// The fault applied to the request.
    pub fault: Option<Misbehaviour>,
}

impl Exchange {
    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Attached to a request that [`Misbehaviour::Row`] applies to.
#[derive(Clone, Debug)]
pub(crate) struct FailingRow {
    pub(crate) code: String,
    pub(crate) skip: u32,
}

impl FailingRow {
    /// Counts a record to be written, and returns the error code if it is to be refused.
    pub(crate) fn next(row: &mut Option<Self>) -> Option<String> {
        match row {
            Some(Self { skip: 0, .. }) => row.take().map(|row| row.code),
            Some(row) => {
                row.skip -= 1;
                None
            }
            None => None,
        }
    }
}

#[derive(Clone, Default)]
struct Control {
    faults: Arc<Mutex<Vec<Fault>>>,
    log: Arc<Mutex<Vec<Exchange>>>,
    followers: Arc<Mutex<Vec<UnboundedSender<Exchange>>>>,
}

impl Fake {
    /// Serves a fake on a free port of this machine.
    pub async fn serve(name: &'static str, router: Router) -> io::Result<Self> {
        Self::serve_on(name, router, SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Serves a fake on an address.
    pub async fn serve_on(name: &'static str, router: Router, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let control = Control::default();
        let router = router.fallback(|| async {
            (StatusCode::NOT_FOUND, Json(json!({ "sandbox": "this fake has no such path" })))
        });
        let served = control.clone();
        let server = tokio::spawn(async move {
            let controls = served.router();
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, router.clone(), controls.clone(), served.clone()));
            }
        });
        Ok(Self { name, address, control, server })
    }

    /// The base URL, `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a fault. If several faults apply to a request, the first one is used.
    pub fn add_fault(&self, fault: Fault) {
        lock(&self.control.faults).push(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        lock(&self.control.faults).clear();
    }

    /// Receives every later exchange once it is answered.
    pub fn follow(&self) -> UnboundedReceiver<Exchange> {
        let (sender, exchanges) = mpsc::unbounded_channel();
        lock(&self.control.followers).push(sender);
        exchanges
    }

    /// The exchanges so far, the oldest first.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.control.log).clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Control {
    fn router(&self) -> Router {
        let add = |State(control): State<Self>, Json(fault): Json<Fault>| async move {
            lock(&control.faults).push(fault);
            StatusCode::NO_CONTENT
        };
        let list = |State(control): State<Self>| async move { Json(lock(&control.faults).clone()) };
        let clear = |State(control): State<Self>| async move {
            lock(&control.faults).clear();
            StatusCode::NO_CONTENT
        };
        let requests = |State(control): State<Self>| async move {
            let log = lock(&control.log).clone();
            let line = |e: &Exchange| json!({ "method": e.method, "path": e.path, "body": e.json(), "status": e.status.map(|s| s.as_u16()) });
            Json(log.iter().map(line).collect::<Vec<_>>())
        };
        Router::new()
            .route("/_sandbox/faults", get(list).post(add).delete(clear))
            .route("/_sandbox/requests", get(requests))
            .with_state(self.clone())
    }

    fn fault(&self, method: &str, path: &str, body: &[u8]) -> Option<Misbehaviour> {
        let mut faults = lock(&self.faults);
        faults.iter_mut().find_map(|fault| fault.apply(method, path, body))
    }

    fn record(&self, exchange: Exchange) {
        lock(&self.followers).retain(|follower| follower.send(exchange.clone()).is_ok());
        let mut log = lock(&self.log);
        if log.len() < MAX_LOG {
            log.push(exchange);
        }
    }
}

/// A fault broke the connection of the request.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is broken by a fault")
    }
}

impl std::error::Error for Broken {}

async fn answer(connection: TcpStream, router: Router, controls: Router, control: Control) {
    let service = service_fn(|request: Request<Incoming>| {
        let (router, controls, control) = (router.clone(), controls.clone(), control.clone());
        async move {
            // A `/_sandbox/` path other than the common two belongs to the fake itself.
            match request.uri().path() {
                "/_sandbox/faults" | "/_sandbox/requests" => {
                    return call(controls, request.map(Body::new)).await;
                }
                path if path.starts_with("/_sandbox/") => {
                    return call(router, request.map(Body::new)).await;
                }
                _ => {}
            }
            let (mut parts, body) = request.into_parts();
            let body = http_body_util::Limited::new(body, MAX_REQUEST).collect().await.map_err(|_| Broken)?;
            let body = body.to_bytes();
            let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
            let mut exchange = Exchange {
                method: method.clone(),
                path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
                headers: parts.headers.clone(),
                body: body.clone(),
                status: None,
                fault: control.fault(&method, &path, &body),
            };
            let result = match exchange.fault.clone() {
                Some(Misbehaviour::Refuse) => Err(Broken),
                Some(Misbehaviour::Answer { status, headers, body }) => {
                    Ok(scripted_answer(status, &headers, &body))
                }
                Some(Misbehaviour::LoseReply) => {
                    call(router, Request::from_parts(parts, Body::from(body))).await?;
                    Err(Broken)
                }
                fault => {
                    match fault {
                        Some(Misbehaviour::DelayMs(delay)) => {
                            tokio::time::sleep(Duration::from_millis(delay)).await;
                        }
                        Some(Misbehaviour::Row { code, skip }) => {
                            parts.extensions.insert(FailingRow { code, skip });
                        }
                        _ => {}
                    }
                    call(router, Request::from_parts(parts, Body::from(body))).await
                }
            };
            exchange.status = result.as_ref().ok().map(Response::status);
            control.record(exchange);
            result
        }
    });
    // A disconnecting client is not an error of the fake.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

async fn call(router: Router, request: Request<Body>) -> Result<Response, Broken> {
    router.oneshot(request).await.map_err(|never| match never {})
}

fn scripted_answer(status: u16, headers: &[(String, String)], body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match body {
        Value::Null => status.into_response(),
        Value::String(text) => (status, text.clone()).into_response(),
        json => (status, Json(json)).into_response(),
    };
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::routing::post;

    use super::*;

    /// A fake that counts its requests.
    async fn counter() -> (Fake, Arc<Mutex<u32>>) {
        let count = Arc::new(Mutex::new(0));
        let kept = Arc::clone(&count);
        let add = move || async move {
            *lock(&kept) += 1;
            Json(json!({ "done": true }))
        };
        let fake = Fake::serve("counter", Router::new().route("/add", post(add))).await.unwrap();
        (fake, count)
    }

    async fn add(fake: &Fake) -> Option<u16> {
        let answer = reqwest::Client::new().post(format!("{}/add", fake.url())).body("1").send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    #[tokio::test]
    async fn a_lost_reply_does_the_work_and_a_refusal_does_not() {
        let (fake, count) = counter().await;
        fake.add_fault(Fault::on("/add", Misbehaviour::LoseReply).times(1));
        assert_eq!((add(&fake).await, *lock(&count)), (None, 1));
        fake.add_fault(Fault::on("/add", Misbehaviour::Refuse).times(1));
        assert_eq!((add(&fake).await, *lock(&count)), (None, 1));
        assert_eq!((add(&fake).await, *lock(&count)), (Some(200), 2));
        let statuses: Vec<_> = fake.exchanges().iter().map(|e| e.status.map(|s| s.as_u16())).collect();
        assert_eq!(statuses, [None, None, Some(200)]);
    }

    #[tokio::test]
    async fn faults_are_set_over_http() {
        let (fake, count) = counter().await;
        let control = format!("{}/_sandbox/faults", fake.url());
        let client = reqwest::Client::new();
        let fault = json!({ "do": { "status": 429, "headers": [["retry-after", "7"]], "body": { "message": "slow" } } });
        assert_eq!(client.post(&control).json(&fault).send().await.unwrap().status(), 204);
        let answer = client.post(format!("{}/add", fake.url())).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "message": "slow" }));
        client.delete(&control).send().await.unwrap();
        assert_eq!((add(&fake).await, *lock(&count)), (Some(200), 1));
        let requests = client.get(format!("{}/_sandbox/requests", fake.url())).send().await.unwrap();
        assert_eq!(requests.json::<Vec<Value>>().await.unwrap().len(), 2);
    }
}
