//! The telemetry of requests: one log line and one count each, without personal data.
//!
//! In a binary of its own, because tracing caches for the whole process whether a log line is enabled.

#[allow(dead_code, reason = "shared with the tests of the answers")]
mod support;

use std::io::{Seek as _, read_to_string};
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;
use support::{Fault, Fixture, request};

const BODIES: [&[u8]; 7] = [
    include_bytes!("../../../events/webhooks/complete.json"),
    include_bytes!("../../../events/webhooks/complete.json"),
    include_bytes!("../../../events/webhooks/hostile-name.json"),
    include_bytes!("../../../events/webhooks/invalid-email.json"),
    include_bytes!("../../../events/webhooks/marketo-doubled-quotes.json"),
    include_bytes!("../../../events/webhooks/marketo-raw-ampersand.form"),
    b"jane@example.com",
];

#[tokio::test]
async fn request_has_one_log_line_and_count_without_personal_data() {
    let lines = Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(Arc::clone(&lines));
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);

    let (working, broken) = (Fixture::new(Fault::None), Fixture::new(Fault::Fails));
    for body in BODIES {
        working.post(body).await;
    }
    let mut unknown = request(BODIES[0]);
    unknown.headers_mut().insert("x-revenueflow-token", "sentinel-token-unknown".parse().unwrap());
    working.send(unknown).await;
    broken.post(BODIES[0]).await;
    broken.post(BODIES[4]).await;
    let malformed =
        r#"{"email":"bob@example.com","campaign_id":"c","company":["Zoë"],"jane@example.com":"{{x}}"}"#;
    working.post(malformed).await;
    for post in [1, 1, 2] {
        let synthetic = format!(
            r#"{{"email":"{}","campaign_id":"{}","post":{post}}}"#,
            lead::SYNTHETIC_EMAIL,
            lead::SYNTHETIC_CAMPAIGN
        );
        assert_eq!(working.post(synthetic).await.status(), 202);
    }

    lines.as_ref().rewind().unwrap();
    let log = read_to_string(lines.as_ref()).unwrap();
    let requests: Vec<&str> = log.lines().filter(|line| line.contains("\"message\":\"webhook\"")).collect();
    assert_eq!(requests.len(), 14, "{log}");
    assert_eq!(log.lines().count(), 15, "and one for the body that was not kept: {log}");
    assert!(
        requests[0].contains(r#""outcome":"accepted""#) && requests[0].contains(r#""lead_id":""#),
        "{log}"
    );
    assert!(requests[7].contains(r#""error":"bad_token""#), "{log}");
    assert!(requests[8].contains(r#""error":"the disk is full""#), "{log}");
    for personal in ["@", "Zoë", "O'Neill", "jane", "mallory", "0100", "Ignore all", "not-an-email", "token-"]
    {
        assert!(!log.contains(personal), "{personal}: {log}");
    }

    let metrics = metrics.render();
    for line in [
        r#"revenueflow_webhooks_total{outcome="accepted"} 3"#,
        r#"revenueflow_webhooks_total{outcome="duplicate"} 1"#,
        r#"revenueflow_webhooks_total{outcome="rejected"} 5"#,
        r#"revenueflow_webhooks_total{outcome="unauthorized"} 1"#,
        r#"revenueflow_webhooks_total{outcome="unavailable"} 1"#,
        r#"revenueflow_webhooks_total{outcome="synthetic"} 3"#,
        r#"revenueflow_source_webhooks_total{source="default",outcome="accepted"} 3"#,
        "revenueflow_webhook_seconds_count 14",
        r#"revenueflow_intake_fields_total{field="company",issue="wrong_type"} 1"#,
        r#"revenueflow_intake_fields_total{field="attributes",issue="unreplaced_token"} 1"#,
        "revenueflow_quarantine_failures_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
}
