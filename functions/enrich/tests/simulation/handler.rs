//! Models the pipeline and its store, as a batch sees them.

use std::time::Duration;

use async_trait::async_trait;
use lead::{Dependency, Failure, Stage};
use queue::{LeadHandler, Message, Settlement};
use rand::RngExt as _;
use tokio::time::{Instant, sleep};

use super::{Behaviour, Simulation};

#[async_trait]
impl LeadHandler for Simulation {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        let key: usize = message.id.parse().unwrap();
        let (behaviour, try_number, takes) = {
            let mut state = self.state();
            let group = state.sent[key].group;
            // Like the store, does nothing for a settled delivery or one that newer content supersedes.
            let is_overtaken = state.shown.get(&group).is_some_and(|newest| *newest > key);
            if state.sent[key].is_done || state.sent[key].is_dead || is_overtaken {
                // A second process may receive the batch after the first has dead-lettered the message.
                state.sent[key].is_done |= !state.sent[key].is_dead && !state.sent[key].was_dead_lettered;
                return Ok(());
            }
            // Unless a message was copied, even a first attempt waits until all earlier messages are settled.
            let earlier = state.sent[..key].iter().filter(|sent| sent.group == group);
            let (mut is_inverted, mut may_be) = (false, state.sent[key].was_copied);
            for sent in earlier {
                is_inverted |= !sent.is_done && !sent.was_dead_lettered;
                may_be |= sent.was_copied;
            }
            assert!(
                !is_inverted || may_be || self.settings.twice > 0.0,
                "{key} was tried before an earlier one of its lead"
            );
            let is_early = state.sent[key].waits_until.is_some_and(|until| Instant::now() < until);
            assert!(
                !is_early || !self.settings.are_without_faults(),
                "{key} was tried before its wait was over"
            );
            state.sent[key].tries.push(Instant::now());
            let takes = Duration::from_millis(state.random.random_range(0..900));
            (state.sent[key].behaviour, state.sent[key].tries.len(), takes)
        };
        if behaviour != Behaviour::FailsAlways {
            sleep(takes).await;
        }
        let tries = u32::try_from(try_number).unwrap();
        match behaviour {
            Behaviour::FailsFirst(n) if tries <= n => Err(Failure::transient("timeout", "no answer")),
            Behaviour::FailsAtTwoStages if tries <= 8 => {
                let stage = if tries <= 4 { Stage::Analysis } else { Stage::CrmWrite };
                Err(Failure::transient("timeout", "no answer").at(stage))
            }
            Behaviour::FailsAlways => Err(Failure::transient("timeout", "no answer")),
            Behaviour::PanicsAlways => std::panic::resume_unwind(Box::new("out of paper")),
            Behaviour::IsRefused => Err(Failure::permanent("refused", "no such country")),
            Behaviour::IsDeferred(n) if tries <= n => {
                let wait = Some(Duration::from_secs(u64::from(n)));
                Err(Failure::deferral(Dependency::new("crm.model"), "breaker_open", "away", wait))
            }
            Behaviour::TakesTooLongFirst if tries == 1 => std::future::pending().await,
            Behaviour::KillsTheProcess => {
                self.died.notify_waiters();
                std::future::pending().await
            }
            _ => {
                self.show(key);
                Ok(())
            }
        }
    }

    /// Counts from 1 at each stage, like the lead's row.
    async fn attempt(&self, message: &Message, failure: &Failure) -> Result<u32, Failure> {
        if failure.stage == Stage::Other {
            return Ok(message.attempt);
        }
        let key: usize = message.id.parse().unwrap();
        Ok(u32::try_from((self.state().sent[key].tries.len() - 1) % 4 + 1).unwrap())
    }

    async fn record(&self, message: &Message, outcome: &Settlement) -> Result<(), Failure> {
        let (Settlement::Retry { after, .. } | Settlement::Defer { after, .. }) = outcome else {
            panic!("recorded by the dead letter function: {outcome:?}")
        };
        let key: usize = message.id.parse().unwrap();
        self.state().sent[key].waits_until = Some(Instant::now() + *after);
        Ok(())
    }
}

impl Simulation {
    /// Records an externally visible effect. Effects follow the order of the messages unless two processes
    /// have the same batch; then a late one changes nothing.
    fn show(&self, key: usize) {
        let mut state = self.state();
        let group = state.sent[key].group;
        let newest = state.shown.entry(group).or_insert(key);
        assert!(
            *newest <= key || self.settings.twice > 0.0,
            "{key} took effect after {newest}, a newer one of its lead"
        );
        *newest = key.max(*newest);
        state.sent[key].is_done = true;
    }
}
