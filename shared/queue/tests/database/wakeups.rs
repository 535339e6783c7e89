//! Waking workers of other processes.

use std::time::Duration;

use lead::LeadEvent;
use queue::LeadQueue as _;
use testkit::fixtures;

use crate::support::Fixture;

fn event(n: u32) -> LeadEvent {
    fixtures::event("ann", &n.to_string(), 0)
}

/// On PostgreSQL, an idle worker of another process hears of a message at once, though it looks seldom.
#[tokio::test]
async fn idle_worker_is_woken_by_another_process() {
    let fixture = Fixture::postgres().await;
    let (sender, receiver) = (fixture.queue().await, fixture.queue().await);
    // The first wait begins to listen, which takes some time.
    let heard = async {
        loop {
            if tokio::time::timeout(Duration::from_millis(200), receiver.work_available()).await.is_ok() {
                return;
            }
        }
    };
    let sent = async {
        for n in 0.. {
            sender.send(&event(n)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = heard => {}
        () = sent => {}
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("nothing is heard"),
    }
}
