use std::time::Duration;

use bytes::BytesMut;
use lead::{Dependency, Failure};
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Request, RequestBuilder};
use trace::Span;
use url::Url;

use crate::Reply;

/// What a client allows. The defaults suit a JSON API.
#[derive(Clone, Copy, Debug)]
pub struct HttpSettings {
    /// To a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the request to the whole answer.
    pub timeout: Duration,
    /// The largest answer read, in bytes.
    pub max_body: usize,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(5), timeout: Duration::from_secs(30), max_body: 4 << 20 }
    }
}

/// A client of one outside system. Cheap to clone; the clones share their connections.
///
/// Redirects are not followed: an API that moved is a matter of configuration, and credentials would go along.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    dependency: Dependency,
    max_body: usize,
}

impl Http {
    /// A client of `dependency`.
    ///
    /// # Errors
    ///
    /// When the machine's root certificates cannot be read.
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

    /// The same client with another limit on the size of an answer, in bytes.
    #[must_use]
    pub fn with_max_body(&self, max_body: usize) -> Self {
        Self { max_body, ..self.clone() }
    }

    /// The system that is called.
    pub fn dependency(&self) -> &Dependency {
        &self.dependency
    }

    /// A request to build upon, for [`Http::send`].
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends a request and reads the whole answer. Whatever the status is, it is an answer. A call for a lead carries the lead's
    /// `traceparent`, and nothing else of its trace.
    ///
    /// Fails as transient where there is none: `http_timeout`, `http_connect` (nothing was sent), `http_reply_lost` (what was
    /// asked for may have happened), `http_reply_too_large`.
    pub async fn send(&self, request: RequestBuilder) -> Result<Reply, Failure> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| self.failure(&error))?;
        let url = request.url();
        // By OpenTelemetry's conventions for HTTP, without the path and the query: they may name a person.
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
                return Err(self.transient("http_reply_too_large", problem));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body: body.freeze() })
    }

    /// The error's own text is left out: it quotes the URL, and that may hold a person's address.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        let dependency = &self.dependency;
        if error.is_builder() {
            Failure::permanent("http_request", format!("the request to {dependency} cannot be built"))
                .on(dependency.clone())
        } else if error.is_connect() {
            self.transient("http_connect", format!("{dependency} cannot be reached"))
        } else if error.is_timeout() {
            self.transient("http_timeout", format!("{dependency} did not answer in time"))
        } else {
            self.transient("http_reply_lost", format!("the connection to {dependency} broke off"))
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

    /// A server that reads one request, says `answer`, and hangs up.
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

    /// What a server was asked that redirects.
    async fn asked(context: Option<TraceContext>) -> String {
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
    async fn a_call_for_a_lead_carries_its_traceparent() {
        let context = TraceContext::new(1, 2, false);
        let asked_for_lead = asked(context).await;
        assert_eq!(asked_for_lead.matches("traceparent").count(), 1);
        assert!(
            asked_for_lead
                .contains("traceparent: 00-00000000000000000000000000000001-0000000000000002-00\r\n"),
            "{asked_for_lead}"
        );
        assert!(!asked_for_lead.contains("tracestate") && !asked_for_lead.contains("baggage"));
        assert!(!asked(None).await.contains("traceparent"), "a probe is for no lead");
    }

    #[tokio::test]
    async fn whatever_the_status_is_it_is_an_answer() {
        let reply = send_to("HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\n{\"a\":[1]}").await.unwrap();
        assert_eq!((reply.status.as_u16(), reply.json()), (503, Some(serde_json::json!({"a": [1]}))));
        let moved = send_to("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(moved.unwrap().status, 302);
    }

    #[tokio::test]
    async fn no_answer_is_a_transient_failure_that_quotes_nothing() {
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
            assert_eq!((failure.code.as_ref(), failure.class), (code, FailureClass::Transient));
            assert_eq!(failure.dependency.as_ref().unwrap().as_str(), "crm.test");
            assert!(!failure.to_string().contains("ann@"), "{failure}");
        }
    }
}
