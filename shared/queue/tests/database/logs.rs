//! The log output of this test binary, including tests that run concurrently.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lead::Failure;
use queue::LeadQueue;

use crate::support::Fixture;
use crate::worker::{Handler, Running, event};

/// A writer that keeps the whole log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn log_lines_identify_a_lead_only_by_its_id() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Global for the process: a thread-local subscriber may miss lines of callsites that another thread has
    // registered first.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let fixture = Fixture::sqlite().await;
    let queue = fixture.queue().await;
    let (event, broken) = (event(77), event(78));
    queue.send(&event).await.unwrap();
    queue.send(&broken).await.unwrap();
    let panics = broken.lead_id.clone();
    let handler = Handler::new(move |message| {
        assert_ne!(message.group, panics.as_str(), "a panic that quotes Ann Hidden");
        Err(Failure::permanent("refused", "the record is refused"))
    });
    let running = Running::start(&fixture, handler, 1).await;
    while queue.depth().await.unwrap().messages > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        // The panic is retried. The clock moves only while no message is leased, so that no lease expires
        // during the work.
        if queue.depth().await.unwrap().in_flight == 0 {
            fixture.clock.advance(Duration::from_secs(1));
        }
    }
    running.stop().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let about = |line: &&str| line.contains(event.lead_id.as_str()) && line.contains("refused");
    let line = log.lines().find(about).expect("the failure is logged");
    for expected in [event.delivery_id().as_str(), "\"attempt\":1", "\"code\":\"refused\""] {
        assert!(line.contains(expected), "{line}");
    }
    let panicked = |line: &&str| line.contains(broken.lead_id.as_str()) && line.contains("the work panicked");
    assert!(log.lines().any(|line| panicked(&line)), "{log}");
    for personal in [event.lead.email.expose(), "@example.com", "Hidden"] {
        assert!(!log.contains(personal), "{personal} is logged");
    }
}
