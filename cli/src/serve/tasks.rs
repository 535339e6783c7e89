//! Supervision of the long-running tasks of a process.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{Id, JoinSet};

/// Named tasks that run as long as the process. None of them may end before shutdown.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    pub(super) fn spawn(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&Handle::current(), name, work);
    }

    /// Spawns a task on the threads of another runtime.
    pub(super) fn spawn_on(
        &mut self,
        threads: &Handle,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.running.spawn_on(work, threads).id();
        self.names.insert(id, name);
    }

    /// Waits until a task ends, also by a panic, and returns its name.
    pub(super) async fn first_to_end(&mut self) -> &'static str {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.names.remove(&id).unwrap_or("a task")
    }

    /// Waits for all tasks to end after shutdown. Aborts those that exceed the limit, and returns their
    /// names.
    pub(super) async fn finish(&mut self, limit: Duration) -> Vec<&'static str> {
        let all_ended = async {
            while !self.running.is_empty() {
                self.first_to_end().await;
            }
        };
        if tokio::time::timeout(limit, all_ended).await.is_err() {
            self.running.shutdown().await;
        }
        self.names.drain().map(|(_, name)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ended_or_panicked_task_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("the lasting one", std::future::pending());
        tasks.spawn("the short one", async {});
        assert_eq!(tasks.first_to_end().await, "the short one");
        tasks.spawn("the broken one", async { panic!("a defect") });
        assert_eq!(tasks.first_to_end().await, "the broken one");
    }

    #[tokio::test]
    async fn task_that_exceeds_the_limit_is_aborted_and_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("the lasting one", std::future::pending());
        tasks.spawn("the short one", async {});
        assert_eq!(tasks.finish(Duration::from_millis(20)).await, ["the lasting one"]);
        assert_eq!(tasks.finish(Duration::ZERO).await, [""; 0], "nothing is left");
    }
}
