//! The pipeline and its store, as far as a batch can tell.

use std::time::Duration;

use async_trait::async_trait;
use lead::{Dependency, Failure, Stage};
use queue::{LeadHandler, Message, Settlement};
use rand::RngExt as _;
use tokio::time::{Instant, sleep};

use super::{Behaviour, World};

#[async_trait]
impl LeadHandler for World {
    async fn handle(&self, message: &Message) -> Result<(), Failure> {
        let key: usize = message.id.parse().unwrap();
        let (behaviour, try_number, takes) = {
            let mut state = self.state();
            let group = state.sent[key].group;
            // As the store does: what is settled, or overtaken by a newer content of the lead, is nothing to do.
            let is_overtaken = state.shown.get(&group).is_some_and(|newest| *newest > key);
            if state.sent[key].is_done || state.sent[key].is_dead || is_overtaken {
                // A second process with the same batch may come to it after the first has given it up.
                state.sent[key].is_done |= !state.sent[key].is_dead && !state.sent[key].was_parked;
                return Ok(());
            }
            // Where nobody had to be put back, not even a first try comes before what was sent earlier is settled.
            let earlier = state.sent[..key].iter().filter(|sent| sent.group == group);
            let (mut is_inverted, mut may_be) = (false, state.sent[key].was_copied);
            for sent in earlier {
                is_inverted |= !sent.is_done && !sent.was_parked;
                may_be |= sent.was_copied;
            }
            assert!(
                !is_inverted || may_be || self.settings.twice > 0.0,
                "{key} came before an earlier one of its lead"
            );
            let is_early = state.sent[key].waits_until.is_some_and(|until| Instant::now() < until);
            assert!(!is_early || !self.settings.are_without_mishaps(), "{key} came before its wait was over");
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

    /// As the lead's row counts: at each stage from 1.
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

impl World {
    /// An effect that can be seen from outside. It comes in order, unless two processes have the same batch; then, one that
    /// comes late changes nothing.
    fn show(&self, key: usize) {
        let mut state = self.state();
        let group = state.sent[key].group;
        let newest = state.shown.entry(group).or_insert(key);
        assert!(
            *newest <= key || self.settings.twice > 0.0,
            "{key} came after {newest}, a newer one of its lead"
        );
        *newest = key.max(*newest);
        state.sent[key].is_done = true;
    }
}
