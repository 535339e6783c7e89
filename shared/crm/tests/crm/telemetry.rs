use std::io::{Seek as _, read_to_string};
use std::sync::Arc;

use crm::testing::Fault;
use lead::FailureClass;
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::support::{GuardFixture, default_plan};

#[test]
fn actions_are_logged_and_counted_without_values() {
    let captured = Arc::new(tempfile::tempfile().unwrap());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(Arc::clone(&captured))
        .finish();
    // With a single dispatcher in the process, a callsite first reached by another test would be disabled for
    // all tests.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        metrics::with_local_recorder(&recorder, || {
            runtime.block_on(async {
                let fixture = GuardFixture::new().await;
                fixture.crm_faults.extend([Fault::Pass, Fault::Fail(FailureClass::Permanent)]);
                fixture.guard.submit_normal(&default_plan()).await.unwrap_err();
                fixture.guard.submit_normal(&default_plan()).await.unwrap();
            });
        });
    });
    captured.as_ref().rewind().unwrap();
    let log = read_to_string(captured.as_ref()).unwrap();
    let lines = |kind: &str, outcome: &str| {
        let kind = format!("kind=\"{kind}\" outcome=\"{outcome}\"");
        log.lines().filter(|line| line.contains(&kind) && line.contains("lead_id=")).count()
    };
    assert_eq!((lines("upsert_lead", "done"), lines("set_lead_score", "failed")), (1, 1), "{log}");
    assert_eq!((lines("create_task", "skipped"), lines("create_task", "done")), (1, 1), "{log}");
    let metrics = recorder.handle().render();
    for sample in [
        r#"revenueflow_crm_actions_total{provider="mock",kind="set_lead_score",outcome="failed"} 1"#,
        r#"revenueflow_crm_actions_total{provider="mock",kind="create_task",outcome="done"} 1"#,
    ] {
        assert!(metrics.contains(sample), "{metrics}");
    }
    for personal in ["ann@example.com", "O'Brien", "555 0100", "Drop Table"] {
        assert!(!log.contains(personal) && !metrics.contains(personal), "{personal} in\n{log}");
    }
}
