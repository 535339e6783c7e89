//! The log lines and metrics of a failing provider.

use std::io::{Seek as _, read_to_string};
use std::sync::Arc;
use std::time::Duration;

use enrichment::SharedState;
use metrics_exporter_prometheus::PrometheusBuilder;
use sandbox::apollo;
use serde_json::{Value, json};

use crate::shared_state::{lead, waterfall};
use crate::support::{ProviderFixture, no_credits};

/// The log lines and the metrics of `work`, in the format of the functions.
fn observed<F: Future<Output = ()>>(work: impl FnOnce() -> F) -> (Vec<Value>, String) {
    let captured = Arc::new(tempfile::tempfile().unwrap());
    let subscriber =
        tracing_subscriber::fmt().json().flatten_event(true).with_writer(Arc::clone(&captured)).finish();
    // With a single dispatcher, tracing would disable a log line for the whole process if another test
    // reached it first.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || runtime.block_on(work()));
    });
    captured.as_ref().rewind().unwrap();
    let log = read_to_string(captured.as_ref()).unwrap();
    (log.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), recorder.handle().render())
}

#[test]
fn refused_credentials_or_plan_are_logged_and_counted() {
    for (name, key, code) in [
        ("zoominfo", "wrong", "zoominfo_credentials_refused"),
        ("apollo", "wrong", "apollo_credentials_refused"),
        ("apollo", apollo::FREE_KEY, "apollo_not_allowed"),
        ("pdl", "wrong", "pdl_credentials_refused"),
        ("hunter", "wrong", "hunter_credentials_refused"),
        ("clearbit", "wrong", "clearbit_credentials_refused"),
    ] {
        let (lines, metrics) = observed(async || {
            let fixture = ProviderFixture::with_key(name, key).await;
            let memory = SharedState::in_process();
            for _ in 0..3 {
                waterfall(&fixture, &memory, None).enrich(&lead("person@example.com")).await;
                waterfall(&fixture, &memory, None).enrich(&lead("person@stripe.com")).await;
                // The first refusal opens the breaker; the wait ends before the next one.
                fixture.clock.advance(Duration::from_mins(5));
            }
        });
        let refused: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
        assert_eq!(refused.len(), 3, "{lines:#?}");
        for line in refused {
            let fields = [&line["code"], &line["provider"], &line["dependency"]];
            assert_eq!(fields, [&json!(code), &json!(name), &json!(format!("enrichment.{name}"))]);
        }
        let sample = format!(r#"revenueflow_enrichment_failures_total{{provider="{name}",code="{code}"}} 3"#);
        assert!(metrics.contains(&sample), "{metrics}");
        let text = format!("{lines:?}{metrics}");
        for personal in ["person", "example.com", "stripe.com", key] {
            assert!(!text.contains(personal), "{personal} in {text}");
        }
    }
}

#[test]
fn passing_failure_is_a_warning_with_its_code() {
    let (lines, metrics) = observed(async || {
        let fixture = ProviderFixture::of("pdl").await;
        fixture.set_account(no_credits()).await;
        waterfall(&fixture, &SharedState::in_process(), None).enrich(&lead("person@example.com")).await;
    });
    let levels: Vec<_> = lines.iter().filter(|line| line["code"] == "pdl_credits_used_up").collect();
    assert!(levels.iter().any(|line| line["provider"] == "pdl"), "{lines:#?}");
    assert!(levels.iter().all(|line| line["level"] == "WARN"), "{lines:#?}");
    let sample = r#"revenueflow_enrichment_failures_total{provider="pdl",code="pdl_credits_used_up"} 1"#;
    assert!(metrics.contains(sample), "{metrics}");
}
