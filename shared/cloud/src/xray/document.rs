use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use trace::{Finished, Kind};

/// The longest name, in characters (X-Ray developer guide, "Segment documents").
const MAX_NAME: usize = 200;

/// A span as a segment document
/// (<https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html>): a message is a
/// segment; the spans within it are subsegments in their own documents.
///
/// Attributes with names that X-Ray allows for annotations, such as `lead_id`, become searchable annotations;
/// the others become metadata.
pub(super) fn of(span: Finished) -> Value {
    let (mut annotations, mut metadata) = (Map::new(), Map::new());
    let (mut host, mut method, mut status) = (None, None, None);
    for (name, value) in span.attributes {
        let value = match value {
            trace::Value::Text(text) => Value::from(text.into_owned()),
            trace::Value::Number(number) => Value::from(number),
        };
        match name {
            "server.address" => host = value.as_str().map(str::to_owned),
            "http.request.method" => method = Some(value),
            "http.response.status_code" => status = value.as_u64(),
            _ if is_annotation(name) => drop(annotations.insert(name.to_owned(), value)),
            _ => drop(metadata.insert(name.to_owned(), value)),
        }
    }
    let mut document = json!({
        "trace_id": span.context.xray_trace_id(),
        "id": span.context.span_id_text(),
        // A call has the name of the called system.
        "name": named(host.as_deref().unwrap_or(&span.name)),
        "start_time": seconds(span.started),
        "end_time": seconds(span.ended),
    });
    if let Some(parent) = span.parent {
        document["parent_id"] = format!("{parent:016x}").into();
    }
    if span.kind != Kind::Consumer {
        document["type"] = "subsegment".into();
    }
    if let Some(host) = &host {
        document["namespace"] = "remote".into();
        document["http"] = json!({ "request": { "method": method, "url": format!("https://{host}/") } });
        if let Some(status) = status {
            document["http"]["response"] = json!({ "status": status });
        }
    }
    if let Some(code) = span.error {
        match status {
            Some(429) => (document["throttle"], document["error"]) = (true.into(), true.into()),
            Some(400..500) => document["error"] = true.into(),
            _ => document["fault"] = true.into(),
        }
        metadata.insert("error.type".into(), code.into_owned().into());
    }
    if !annotations.is_empty() {
        document["annotations"] = annotations.into();
    }
    if !metadata.is_empty() {
        document["metadata"] = json!({ "revenueflow": metadata });
    }
    document
}

/// Annotation keys consist of letters, digits and underscores.
fn is_annotation(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Replaces the characters that X-Ray does not allow in names.
fn named(name: &str) -> String {
    let allowed = |character: char| character.is_alphanumeric() || " _.:/%&#=+\\-@".contains(character);
    name.chars().map(|character| if allowed(character) { character } else { '_' }).take(MAX_NAME).collect()
}

/// Seconds since 1970, to the microsecond.
#[allow(clippy::cast_precision_loss, reason = "microseconds of this century fit into the 52 bits")]
fn seconds(moment: SystemTime) -> f64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lead::TraceContext;

    use super::*;

    fn span(kind: Kind, attributes: Vec<(&'static str, trace::Value)>) -> Finished {
        let started = UNIX_EPOCH + Duration::from_micros(1_461_096_053_370_123);
        Finished {
            context: TraceContext::new(0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793, 0xab, true).unwrap(),
            parent: Some(0x5399_5c3f_42cd_8ad8),
            parent_is_remote: false,
            name: "process <lead>".into(),
            kind,
            started,
            ended: started + Duration::from_millis(250),
            attributes,
            error: None,
        }
    }

    #[test]
    fn message_is_a_segment_of_its_leads_trace() {
        let document = of(span(
            Kind::Consumer,
            vec![("lead_id", "abc".into()), ("messaging.operation.type", "process".into())],
        ));
        assert_eq!(
            document,
            json!({
                "trace_id": "1-5759e988-bd862e3fe1be46a994272793",
                "id": "00000000000000ab",
                "parent_id": "53995c3f42cd8ad8",
                "name": "process _lead_",
                "start_time": 1_461_096_053.370_123,
                "end_time": 1_461_096_053.620_123,
                "annotations": { "lead_id": "abc" },
                "metadata": { "revenueflow": { "messaging.operation.type": "process" } },
            })
        );
    }

    #[test]
    fn call_is_a_subsegment_of_a_remote_system() {
        let attributes = |status: u16| {
            vec![
                ("http.request.method", "POST".into()),
                ("server.address", "api.hubapi.com".into()),
                ("http.response.status_code", status.into()),
            ]
        };
        let document = of(span(Kind::Client, attributes(200)));
        assert_eq!((&document["type"], &document["namespace"]), (&json!("subsegment"), &json!("remote")));
        assert_eq!(document["name"], "api.hubapi.com");
        let http = json!({
            "request": { "method": "POST", "url": "https://api.hubapi.com/" },
            "response": { "status": 200 },
        });
        assert_eq!(document["http"], http);
        for (status, flags) in [(404, ["error"].as_slice()), (429, &["error", "throttle"]), (503, &["fault"])]
        {
            let failed = Finished { error: Some("x".into()), ..span(Kind::Client, attributes(status)) };
            let document = of(failed);
            let set: Vec<_> =
                ["error", "fault", "throttle"].into_iter().filter(|flag| document[flag] == true).collect();
            assert_eq!(set, flags, "{status}");
        }
    }
}
