//! Conversion of spans to OpenTelemetry's data model.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use trace::{Finished, Kind, Value};

/// Converts a finished span to OpenTelemetry's type.
pub(super) fn convert(span: Finished) -> SpanData {
    let span_context = SpanContext::new(
        TraceId::from_bytes(span.context.trace_id().to_be_bytes()),
        SpanId::from_bytes(span.context.span_id().to_be_bytes()),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let mut attributes: Vec<_> = span.attributes.into_iter().map(attribute).collect();
    let status = match span.error {
        None => Status::Unset,
        Some(code) => {
            attributes.push(KeyValue::new("error.type", code.clone()));
            Status::error(code)
        }
    };
    SpanData {
        span_context,
        parent_span_id: span
            .parent
            .map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.to_be_bytes())),
        parent_span_is_remote: span.parent_is_remote,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Consumer => SpanKind::Consumer,
            Kind::Internal => SpanKind::Internal,
            Kind::Client => SpanKind::Client,
        },
        name: span.name,
        start_time: span.started,
        end_time: span.ended,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("revenueflow")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn attribute((name, value): (&'static str, Value)) -> KeyValue {
    match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    }
}
