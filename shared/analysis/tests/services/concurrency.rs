//! The limit of calls at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use analysis::{Analyst, Guards, ModelAnalyst, Models, Prompt, Question, Reply, Service};
use async_trait::async_trait;
use futures::future::{join, join_all};
use grounding::Contract;
use lead::{Failure, SystemClock};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::support::{GEMINI, facts};

/// Answers once it is let go, and counts the calls that wait.
#[derive(Default)]
struct Crowd {
    inside: AtomicUsize,
    most: AtomicUsize,
    go: Notify,
}

#[async_trait]
impl Service for Crowd {
    fn provider(&self) -> &'static str {
        "gemini"
    }

    async fn ask(&self, _: &Question) -> Result<Reply, Failure> {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.go.notified().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
        Err(Failure::permanent("no_answer", "none"))
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

#[tokio::test]
async fn calls_at_the_same_time_fill_their_limit_and_stay_in_it() {
    let crowd = Arc::new(Crowd::default());
    let guards = Guards { places: Some(Arc::new(Semaphore::new(8))), ..Guards::default() };
    let model = Models::built_in().model("gemini", GEMINI).unwrap();
    let (contract, clock) = (Contract::default(), Arc::new(SystemClock));
    let analyst =
        ModelAnalyst::new(Arc::clone(&crowd) as _, model, Prompt::built_in(), contract, guards, clock);
    let facts = facts();
    let calls = join_all((0..30).map(|_| analyst.analyse(&facts)));
    let leave = async {
        for left in (0..30).rev() {
            while crowd.inside.load(Ordering::SeqCst) < 8.min(left + 1) {
                tokio::task::yield_now().await;
            }
            crowd.go.notify_one();
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) =
        timeout(Duration::from_mins(1), join(calls, leave)).await.expect("all places are used");
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(crowd.most.load(Ordering::SeqCst), 8);
}
