use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, header};
use serde_json::Value;
use tower::ServiceExt as _;

use super::schema;

/// A client that checks the common properties of every answer.
pub(crate) struct Client {
    router: Router,
    headers: Vec<(String, String)>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Null if the body is not JSON.
    pub(crate) json: Value,
}

impl Client {
    pub(crate) fn new(router: Router) -> Self {
        Self { router, headers: vec![("host".into(), "localhost:3000".into())] }
    }

    /// Sets a header, and replaces one of that name.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(given, _)| given != name);
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(Method::POST, path, body).await
    }

    /// Posts to a foreign route, without checks of the answer.
    pub(crate) async fn ask_bare(&self, path: &str) -> (u16, Value) {
        let response = self.router.clone().oneshot(self.request(Method::POST, path, "")).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: &str) -> Answer {
        let request = self.request(method.clone(), path, body);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 10_000_000).await.unwrap().to_vec()).unwrap();
        let kind = parts.headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store", "{path}");
        assert!(!text.is_empty(), "{path}");
        let mut json = Value::Null;
        if kind == "application/json" {
            json = serde_json::from_str(&text).unwrap();
            schema::assert_documented(&method, path, parts.status, &json);
        } else {
            assert!(kind.starts_with("text/plain"), "{path}: {kind}");
        }
        Answer { status: parts.status.as_u16(), headers: parts.headers, text, json }
    }

    fn request(&self, method: Method, path: &str, body: &str) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(body.to_owned())).unwrap()
    }
}

impl Answer {
    /// The status and the error code of the answer.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.json["error"].as_str().unwrap_or("none"))
    }

    /// The JSON of a successful answer.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json
    }

    /// A text field of each item of a list.
    pub(crate) fn each(self, field: &str) -> Vec<String> {
        let items = self.ok()["items"].as_array().unwrap().clone();
        items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
    }
}
