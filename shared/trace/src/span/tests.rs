use std::sync::{Mutex, OnceLock};

use super::*;

/// Keeps all spans that the tests of this process record. Each test selects its own by the trace id.
#[derive(Default)]
struct TestRecorder(Mutex<Vec<Finished>>);

impl Recorder for TestRecorder {
    fn samples(&self) -> bool {
        true
    }

    fn record(&self, span: Finished) {
        self.0.lock().unwrap().push(span);
    }
}

fn test_recorder() -> &'static TestRecorder {
    static RECORDER: OnceLock<Arc<TestRecorder>> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let recorder = Arc::new(TestRecorder::default());
        assert!(crate::install(Arc::clone(&recorder) as _));
        recorder
    })
}

fn spans_of(context: TraceContext) -> Vec<Finished> {
    let all = test_recorder().0.lock().unwrap();
    all.iter().filter(|span| span.context.trace_id() == context.trace_id()).cloned().collect()
}

fn sent(sampled: bool) -> TraceContext {
    test_recorder();
    root(sampled)
}

#[tokio::test]
async fn nested_spans_share_one_trace() {
    let sent = sent(true);
    let inner = Span::consumer("lead", Some(sent))
        .with("lead_id", "abc")
        .run(async {
            let stage = current().unwrap();
            Span::internal("analysis")
                .run(async {
                    note("tokens", 12_u64);
                    fail("ai_answer_cut");
                    assert_ne!(current().unwrap().span_id(), stage.span_id());
                })
                .await;
            stage
        })
        .await;
    assert_eq!(current(), None);
    let [analysis, lead] = &spans_of(sent)[..] else { panic!("two spans") };
    assert_eq!((lead.parent, lead.parent_is_remote), (Some(sent.span_id()), true));
    assert_eq!((lead.context, &lead.attributes[..]), (inner, &[("lead_id", Value::from("abc"))][..]));
    assert_eq!((analysis.parent, analysis.parent_is_remote), (Some(inner.span_id()), false));
    assert_eq!(analysis.attributes, [("tokens", Value::Number(12))]);
    assert_eq!((analysis.error.as_deref(), lead.error.as_deref()), (Some("ai_answer_cut"), None));
    assert!(lead.started <= analysis.started && analysis.ended <= lead.ended);
}

#[tokio::test]
async fn unsampled_trace_is_passed_on_and_not_recorded() {
    let sent = sent(false);
    let travels = async { Span::client("GET").run(async { current() }).await };
    assert_eq!(Span::consumer("lead", Some(sent)).run(travels).await, Some(sent));
    assert!(spans_of(sent).is_empty());
}

#[tokio::test]
async fn sender_does_not_control_sampling() {
    for sampled in [true, false] {
        let sent = sent(sampled);
        let ours = Span::server("POST /leads", Some(sent)).run(async { current().unwrap() }).await;
        assert_eq!((ours.trace_id(), ours.sampled), (sent.trace_id(), true), "the recorder samples all");
        assert_eq!(spans_of(sent)[0].parent, Some(sent.span_id()));
    }
    let sent = sent(true);
    let open = Span::server("POST /leads", Some(sent)).open(None).unwrap();
    let unsampled = sent.with_sampled(false);
    assert_eq!(open.active.context, unsampled, "without a recorder nothing is sampled");
}

#[tokio::test]
async fn call_without_a_lead_begins_no_trace() {
    test_recorder();
    assert_eq!(Span::client("GET").run(async { current() }).await, None);
    assert_eq!(Span::internal("analysis").run(async { current() }).await, None);
}

#[tokio::test]
async fn message_keeps_its_context_without_a_recorder() {
    let sent = sent(true);
    assert_eq!(Span::consumer("lead", Some(sent)).open(None).unwrap().active.context, sent);
    assert!(Span::consumer("lead", None).open(None).is_none());
}

#[tokio::test]
async fn dropped_work_is_recorded_as_cancelled() {
    let sent = sent(true);
    let mut work = Box::pin(Span::consumer("lead", Some(sent)).run(std::future::pending::<()>()));
    assert!(std::future::poll_fn(|task| std::task::Poll::Ready(work.as_mut().poll(task))).await.is_pending());
    drop(work);
    assert_eq!(spans_of(sent)[0].error.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn attribute_count_and_text_length_are_bounded() {
    let sent = sent(true);
    let noting = async {
        for _ in 0..1_000 {
            note("text", "ä".repeat(200));
        }
    };
    Span::consumer("lead", Some(sent)).run(noting).await;
    let attributes = &spans_of(sent)[0].attributes;
    assert_eq!((attributes.len(), &attributes[0].1), (MAX_ATTRIBUTES, &Value::from("ä".repeat(128))));
}
