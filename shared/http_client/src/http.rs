use std::time::Duration;

use bytes::BytesMut;
use lead::{Cause, Dependency, Failure};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, RequestBuilder};
use trace::Span;
use url::Url;

use crate::Reply;

/// The limits of a client. The defaults suit a JSON API.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// The timeout for establishing a connection, including TLS.
    pub connect_timeout: Duration,
    /// The timeout from the start of the request to the end of the response.
    pub timeout: Duration,
    /// The maximum size of a response body, in bytes.
    pub max_body: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(5), timeout: Duration::from_secs(30), max_body: 4 << 20 }
    }
}

/// An HTTP client of one outside system. Clones are cheap and share their connections.
///
/// Redirects are not followed: they would send the credentials along, and the new address of a moved API
/// belongs in the configuration.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    dependency: Dependency,
    max_body: usize,
}

impl Http {
    /// Creates a client of `dependency`.
    ///
    /// # Errors
    ///
    /// If the root certificates of the machine cannot be read.
    pub fn new(dependency: Dependency, settings: HttpSettings) -> Result<Self, Failure> {
        let client = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout)
            .redirect(Policy::none())
            .user_agent(concat!("revenueflow/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| {
                Failure::permanent(
                    "http_client",
                    "the HTTP client cannot be set up: are there root certificates?",
                )
                .on(dependency.clone())
            })?;
        Ok(Self { client, dependency, max_body: settings.max_body })
    }

    /// The same client with another limit on the size of a response body, in bytes.
    #[must_use]
    pub fn with_max_body(&self, max_body: usize) -> Self {
        Self { max_body, ..self.clone() }
    }

    /// The system that this client calls.
    pub fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    /// A request builder for [`Http::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and reads the whole response. An error status is not a failure. A call made while a
    /// lead is processed carries the `traceparent` header of its trace, and no other trace header.
    ///
    /// # Errors
    ///
    /// Transient failures if there is no complete response: `http_timeout`, `http_connect` (nothing was
    /// sent), `http_reply_lost` (the request may have been executed) and `http_reply_too_large`. A permanent
    /// failure, `http_request`, if the request cannot be built.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| self.failure(&error))?;
        let url = request.url();
        // The attributes follow OpenTelemetry's HTTP conventions. Path and query are omitted, as they may
        // identify a person.
        let span = Span::client(request.method().as_str().to_owned())
            .with("http.request.method", request.method().as_str().to_owned())
            .with("server.address", url.host_str().unwrap_or_default().to_owned())
            .with("server.port", url.port_or_known_default().unwrap_or_default())
            .with("peer.service", self.dependency.as_str().to_owned());
        let exchange = async {
            let reply = self.exchange(&client, request).await?;
            trace::note("http.response.status_code", reply.status.as_u16());
            if reply.status.is_client_error() || reply.status.is_server_error() {
                trace::fail(reply.status.as_str().to_owned());
            }
            Ok(reply)
        };
        span.try_run(exchange).await
    }

    async fn exchange(&self, client: &Client, mut request: Request) -> Result<Reply, Failure> {
        let context = trace::current().map(|context| HeaderValue::try_from(context.to_string()));
        if let Some(Ok(context)) = context {
            request.headers_mut().insert("traceparent", context);
        }
        let mut answer = client.execute(request).await.map_err(|error| self.failure(&error))?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + chunk.len() > self.max_body {
                let problem = format!("{} sent more than {} bytes", self.dependency, self.max_body);
                return Err(self.transient("http_reply_too_large", problem).because(Cause::ReplyLost));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body: body.freeze() })
    }

    /// Omits the text of the error, which quotes the URL and with it possibly an e-mail address.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        let dependency = &self.dependency;
        if error.is_builder() {
            Failure::permanent("http_request", format!("the request to {dependency} cannot be built"))
                .on(dependency.clone())
        } else if error.is_connect() {
            self.transient("http_connect", format!("{dependency} cannot be reached"))
        } else if error.is_timeout() {
            self.transient("http_timeout", format!("{dependency} did not answer in time"))
                .because(Cause::Timeout)
        } else {
            self.transient("http_reply_lost", format!("the connection to {dependency} broke off"))
                .because(Cause::ReplyLost)
        }
    }

    fn transient(&self, code: &'static str, problem: String) -> Failure {
        Failure::transient(code, problem).on(self.dependency.clone())
    }
}

#[cfg(test)]
mod tests {
    use lead::{FailureClass, TraceContext};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Sends a request to a server that reads it, writes `answer` and closes the connection.
    async fn send_to(answer: &'static str) -> Result<Reply, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/leads?email=ann@example.com", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(connection.read(&mut request).await.unwrap() > 0);
            connection.write_all(answer.as_bytes()).await.unwrap();
        });
        let reply = send(&url).await;
        server.await.unwrap();
        reply
    }

    async fn send(url: &str) -> Result<Reply, Failure> {
        let settings = HttpSettings { max_body: 10, ..HttpSettings::default() };
        let http = Http::new(Dependency::new("crm.test"), settings).unwrap();
        http.send(http.request(Method::GET, url.parse().unwrap())).await
    }

    /// The request received by a server that answers with a redirect.
    async fn request_received(context: Option<TraceContext>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/leads", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = connection.read(&mut request).await.unwrap();
            let answer =
                "HTTP/1.1 307 Elsewhere\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
            connection.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let call = async { send(&url).await.unwrap().status };
        let status = match context {
            Some(context) => Span::consumer("lead", Some(context)).run(call).await,
            None => call.await,
        };
        assert_eq!(status, 307, "no redirect is followed");
        server.await.unwrap()
    }

    #[tokio::test]
    async fn call_for_a_lead_carries_its_traceparent() {
        let context = TraceContext::new(1, 2, false);
        let request = request_received(context).await;
        assert_eq!(request.matches("traceparent").count(), 1);
        assert!(
            request.contains("traceparent: 00-00000000000000000000000000000001-0000000000000002-00\r\n"),
            "{request}"
        );
        assert!(!request.contains("tracestate") && !request.contains("baggage"));
        assert!(!request_received(None).await.contains("traceparent"), "a probe belongs to no lead");
    }

    #[tokio::test]
    async fn response_of_any_status_is_a_reply() {
        let reply = send_to("HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\n{\"a\":[1]}").await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.json()), (503, Some(serde_json::json!({"a": [1]}))));
        let moved = send_to("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(moved.unwrap().status, 302);
    }

    #[tokio::test]
    async fn missing_reply_is_a_transient_failure_without_the_url() {
        let closed = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}/leads?email=ann@example.com", listener.local_addr().unwrap())
        };
        for (code, answer) in [
            ("http_reply_lost", send_to("").await),
            ("http_reply_lost", send_to("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await),
            (
                "http_reply_too_large",
                send_to("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n0123456789A").await,
            ),
            ("http_connect", send(&closed).await),
        ] {
            let failure = answer.unwrap_err();
            assert_eq!((failure.code.as_ref(), failure.class()), (code, FailureClass::Transient));
            assert_eq!(failure.dependency().unwrap().as_str(), "crm.test");
            assert!(!failure.to_string().contains("ann@"), "{failure}");
        }
    }
}
