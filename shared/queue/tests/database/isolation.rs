//! Messages that kill their worker, and the messages beside them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lead::Failure;
use queue::{LeadHandler, LeadQueue, MAX_LOSSES, Message, Settlement, Worker};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{Fixture, VISIBILITY};
use crate::worker::{event, until_empty};

const LEADS: u32 = 8;

/// Work that kills the process for one lead, and takes longer than that for every other lead beside it.
struct Deadly {
    killer: String,
    is_killing: Notify,
    running: Mutex<BTreeSet<String>>,
    /// The messages that were in flight at each death.
    deaths: Mutex<Vec<BTreeSet<String>>>,
    dead_lettered: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl LeadHandler for Deadly {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        self.running.lock().unwrap().insert(message.group.clone());
        tokio::time::sleep(Duration::from_millis(50)).await;
        if message.group == self.killer {
            self.deaths.lock().unwrap().push(self.running.lock().unwrap().clone());
            self.is_killing.notify_one();
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.running.lock().unwrap().remove(&message.group);
        Ok(())
    }

    async fn record(&self, message: &Message, outcome: &Settlement) -> Result<(), Failure> {
        let Settlement::DeadLetter { failure } = outcome else { panic!("{outcome:?}") };
        self.dead_lettered.lock().unwrap().push((message.group.clone(), failure.code.to_string()));
        Ok(())
    }
}

#[tokio::test]
async fn only_the_killer_of_workers_is_dead_lettered() {
    let fixture = Fixture::sqlite().await;
    let queue = fixture.queue().await;
    for lead in 0..LEADS {
        queue.send(&event(lead)).await.unwrap();
    }
    let killer = event(3).lead_id.to_string();
    let handler = Arc::new(Deadly {
        killer: killer.clone(),
        is_killing: Notify::new(),
        running: Mutex::default(),
        deaths: Mutex::default(),
        dead_lettered: Mutex::default(),
    });
    for _ in 0..=MAX_LOSSES {
        let clock = Arc::new(fixture.clock.clone());
        let worker = Worker::new(fixture.queue().await, Arc::clone(&handler) as _, clock, LEADS as usize);
        let life = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
        tokio::select! {
            () = handler.is_killing.notified() => {}
            () = until_empty(&*queue) => {}
        }
        life.abort();
        let _ = life.await;
        handler.running.lock().unwrap().clear();
        fixture.clock.advance(VISIBILITY);
    }
    assert_eq!(queue.depth().await.unwrap().messages, 0);
    let deaths = handler.deaths.lock().unwrap().clone();
    assert_eq!(deaths.len(), MAX_LOSSES as usize);
    assert_eq!(deaths[0].len(), LEADS as usize, "all were in flight at the first death");
    for death in &deaths[1..] {
        assert_eq!(*death, BTreeSet::from([killer.clone()]), "the killer runs alone");
    }
    assert_eq!(*handler.dead_lettered.lock().unwrap(), [(killer, "worker_lost".to_owned())]);
}
