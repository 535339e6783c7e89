//! One trace per lead, as an OpenTelemetry collector receives it.

use std::collections::HashMap;
use std::net::TcpListener;

use axum::Router;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use sandbox::Fake;
use sandbox::gemini::{self, Gemini};
use serde_json::{Value, json};

use crate::salesforce::Crm;
use crate::support::{Fixture, Served, accepted, settled};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SENDER: &str = "b7ad6b7169203331";

/// A collector.
type Collector = Served<()>;

impl Collector {
    fn new() -> Self {
        Self::of("collector", (), Router::new().route("/v1/traces", post(async || {})))
    }

    fn bytes(&self) -> Vec<u8> {
        self.fake.exchanges().iter().flat_map(|exchange| exchange.body.to_vec()).collect()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let exchanges = self.fake.exchanges().into_iter();
        exchanges.map(|exchange| ExportTraceServiceRequest::decode(exchange.body).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

fn attribute(attributes: &[KeyValue], name: &str) -> Value {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::IntValue(number)) => json!(number),
        _ => Value::Null,
    }
}

/// The only span with this name.
fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let found = named.next().unwrap_or_else(|| panic!("no span {name}: {spans:#?}"));
    assert!(named.next().is_none(), "more than one {name}");
    found
}

struct Traced {
    fixture: Fixture,
    crm: Crm,
    ai: Served<()>,
    collector: Collector,
}

impl Traced {
    fn new() -> Self {
        let ai = Served::of("gemini", (), Gemini::default().router());
        Self { fixture: Fixture::sqlite(), crm: Crm::start(), ai, collector: Collector::new() }
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        let mut variables = self.crm.variables().to_vec();
        variables.extend([
            ("AI_PROVIDER", "gemini"),
            ("GEMINI_API_KEY", gemini::KEY),
            ("GEMINI_BASE_URL", &self.ai.url),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.collector.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=whisper-whisper"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ]);
        variables
    }

    /// Posts a lead with an unsampled trace of its sender, waits until it is written, and returns its id.
    fn one_lead(&self) -> String {
        let server = self.fixture.serve(&[], &self.variables());
        let lead = json!({
            "email": "zebulon.quux@stripe.com", "name": "Zebulon Quux", "phone": "+1 555 0142",
            "campaign_id": "launch_2024", "title": "CTO", "company": "Quux Ltd",
            "marketo": {"activity": "demo_request", "engagement_score": 85},
        });
        let url = server.url("/leads");
        let post = |client: &reqwest::blocking::Client| {
            let traceparent = format!("00-{TRACE}-{SENDER}-00");
            let state = ("tracestate", "vendor=stranger");
            client.post(url).header("traceparent", traceparent).header(state.0, state.1).json(&lead)
        };
        let answer = server.request(post).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json()["lead_id"].as_str().unwrap().to_owned();
        assert_eq!(settled(&server, &id)["status"], "synced");
        let logs = server.logs().join("\n");
        assert!(!logs.contains("whisper"), "a header of the collector is logged");
        assert!(server.stop().unwrap(), "remaining spans are sent before the exit");
        id
    }
}

#[test]
fn a_lead_is_one_trace_from_the_webhook_to_the_crm() {
    let traced = Traced::new();
    let id = traced.one_lead();
    let spans = traced.collector.spans();
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE), "one trace: {spans:#?}");
    let names: HashMap<String, &Span> = spans.iter().map(|span| (hex(&span.span_id), span)).collect();
    assert_eq!(names.len(), spans.len(), "span ids are unique");
    let parent = |span: &Span| names.get(&hex(&span.parent_span_id)).map(|parent| parent.name.as_str());

    let server = one(&spans, "POST /leads");
    assert_eq!((hex(&server.parent_span_id), server.kind()), (SENDER.to_owned(), SpanKind::Server));
    assert_eq!(attribute(&server.attributes, "http.response.status_code"), 202);
    let message = one(&spans, "process lead");
    assert_eq!((parent(message), message.kind()), (Some("POST /leads"), SpanKind::Consumer));
    assert_eq!(attribute(&message.attributes, "lead_id"), json!(id));
    for stage in ["enrichment", "crm_read", "analysis", "crm_write"] {
        let stage = one(&spans, stage);
        assert_eq!((parent(stage), stage.kind()), (Some("process lead"), SpanKind::Internal));
        assert!(stage.start_time_unix_nano >= message.start_time_unix_nano);
        assert!(stage.end_time_unix_nano <= message.end_time_unix_nano);
    }
    let chat = one(&spans, "chat gemini-3.8-flash");
    assert_eq!((parent(chat), chat.kind()), (Some("analysis"), SpanKind::Client));
    assert_eq!(attribute(&chat.attributes, "gen_ai.operation.name"), "chat");
    assert!(attribute(&chat.attributes, "gen_ai.usage.input_tokens").as_i64().unwrap() > 1_000);
    assert!(attribute(&chat.attributes, "gen_ai.usage.output_tokens").as_i64().unwrap() > 50);

    let calls = |service: &str| -> Vec<&Span> {
        let is_one = |span: &&Span| attribute(&span.attributes, "peer.service") == service;
        spans.iter().filter(is_one).collect()
    };
    let ai_calls = calls("ai.gemini");
    assert_eq!((ai_calls.len(), parent(ai_calls[0])), (1, Some("chat gemini-3.8-flash")));
    let crm_calls = calls("crm.salesforce");
    for stage in ["crm_read", "crm_write"] {
        assert!(crm_calls.iter().any(|call| parent(call) == Some(stage)), "{stage} calls the CRM");
    }
    for call in ai_calls.iter().chain(&crm_calls) {
        assert_eq!(attribute(&call.attributes, "server.address"), "127.0.0.1");
        assert!(attribute(&call.attributes, "http.response.status_code").as_i64().is_some(), "{call:#?}");
        assert!(!format!("{call:?}").contains("/services/"), "no path is exported");
    }

    // Each call carried the id of its own span.
    let received = |fake: &Fake| -> Vec<String> {
        let exchanges = fake.exchanges();
        assert!(exchanges.iter().all(|exchange| !exchange.headers.contains_key("tracestate")));
        let header = |exchange: &sandbox::Exchange| {
            exchange.headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned())
        };
        exchanges.iter().filter_map(header).collect()
    };
    for (fake, calls) in [(&traced.ai.fake, ai_calls), (&traced.crm.fake, crm_calls)] {
        let sent: Vec<_> = calls.iter().map(|call| format!("00-{TRACE}-{}-01", hex(&call.span_id))).collect();
        let mut received = received(fake);
        assert!(!sent.is_empty());
        received.sort();
        let mut sent = sent;
        sent.sort();
        assert_eq!(received, sent);
    }

    let resource = traced.collector.requests()[0].resource_spans[0].resource.clone().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name"), "revenueflow");
    assert_eq!(attribute(&resource.attributes, "deployment.environment.name"), "test");
    assert_eq!(traced.collector.fake.exchanges()[0].headers["api-key"], "whisper-whisper");
}

#[test]
fn no_exported_byte_is_personal_or_secret() {
    let traced = Traced::new();
    let id = traced.one_lead();
    let exported = String::from_utf8_lossy(&traced.collector.bytes()).to_lowercase();
    assert!(exported.contains(&id), "the lead is named by its id");
    for needle in ["zebulon", "quux", "stripe", "555 0142", "5550142", "launch_2024", "demo_request"] {
        assert!(!exported.contains(needle), "{needle} is exported");
    }
    for secret in [gemini::KEY, "consumer-secret", "whisper"] {
        assert!(!exported.contains(secret), "{secret} is exported");
    }
}

#[test]
fn a_trace_continues_in_another_process() {
    let (fixture, collector) = (Fixture::sqlite(), Collector::new());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_SERVICE_NAME", "front")];
    let front = fixture.serve(&["serve", "--api-only"], &variables);
    let id = accepted(&front, &json!({"email": "ann@shopify.com", "campaign_id": "c"}));
    assert!(front.stop().unwrap());
    let back = fixture.serve(&["serve", "--worker-only"], &variables[..1]);
    settled(&back, &id);
    assert!(back.stop().unwrap());
    let spans = collector.spans();
    let (server, message) = (one(&spans, "POST /leads"), one(&spans, "process lead"));
    assert!(server.parent_span_id.is_empty(), "the span is the root of the trace");
    assert_eq!((&message.trace_id, &message.parent_span_id), (&server.trace_id, &server.span_id));
}

#[test]
fn an_unresponsive_collector_loses_no_lead() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts connections, and reads nothing
    let url = format!("http://{}", listener.local_addr().unwrap());
    let fixture = Fixture::sqlite();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_MAX_QUEUE_SIZE", "2")];
    let server = fixture.serve(&[], &variables);
    for person in ["ann", "bob", "cyd"] {
        let id = accepted(&server, &json!({"email": format!("{person}@stripe.com"), "campaign_id": "c"}));
        assert_eq!(settled(&server, &id)["status"], "synced");
    }
    assert!(server.stop().unwrap(), "the server still stops cleanly");
}

#[test]
fn an_unsampled_trace_is_not_exported() {
    let (fixture, collector) = (Fixture::sqlite(), Collector::new());
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_TRACES_SAMPLER", "always_off")];
    let server = fixture.serve(&[], &variables);
    let lead = json!({"email": "ann@stripe.com", "campaign_id": "c"});
    let url = server.url("/leads");
    let traceparent = format!("00-{TRACE}-{SENDER}-01");
    let post =
        |client: &reqwest::blocking::Client| client.post(url).header("traceparent", traceparent).json(&lead);
    let id = server.request(post).unwrap().json()["lead_id"].as_str().unwrap().to_owned();
    assert_eq!(settled(&server, &id)["status"], "synced");
    assert!(server.stop().unwrap());
    assert!(collector.spans().is_empty(), "the sender's sampled flag is ignored");
}
