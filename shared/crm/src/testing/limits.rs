//! Limits in memory.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, LeadId};

use crate::{Exceeded, LimitError, LimitSettings, Limits, Reservation, Scope};

/// [`Limits`] within one process, counted over a sliding window.
pub struct MemoryLimits {
    settings: LimitSettings,
    clock: Arc<dyn Clock>,
    /// Every plan so far, oldest first. The position is the number of the reservation.
    sent: Mutex<Vec<Sent>>,
}

struct Sent {
    at: Timestamp,
    lead: LeadId,
    account: Option<String>,
    actions: u32,
}

impl MemoryLimits {
    /// Limits with nothing sent yet.
    pub fn new(settings: LimitSettings, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock, sent: Mutex::default() }
    }

    /// Limits that nothing exceeds.
    pub fn unlimited() -> Self {
        let (all, window) = (u32::MAX, Duration::ZERO);
        let settings = LimitSettings { per_lead: all, per_account: all, global: all, window };
        Self::new(settings, Arc::new(lead::SystemClock))
    }
}

#[async_trait]
impl Limits for MemoryLimits {
    fn largest_plan(&self) -> u32 {
        let LimitSettings { per_lead, per_account, global, .. } = self.settings;
        per_lead.min(per_account).min(global)
    }

    async fn reserve(
        &self,
        lead: &LeadId,
        account: Option<&str>,
        actions: u32,
    ) -> Result<Reservation, LimitError> {
        let LimitSettings { per_lead, per_account, global, window } = self.settings;
        let now = self.clock.now();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // The window holds the newest plans.
        let age = |sent: &Sent| Duration::try_from(now.duration_since(sent.at)).unwrap_or_default();
        let in_window = || sent.iter().rev().take_while(|sent| age(sent) < window);
        let wait = |limit: u32, counts: &dyn Fn(&Sent) -> bool| {
            let mut used = actions;
            let mut counted = in_window().filter(|sent| counts(sent));
            let blocking = counted.find(|sent| {
                used = used.saturating_add(sent.actions);
                used > limit
            });
            blocking.map(|sent| window.saturating_sub(age(sent)))
        };
        let exceeded = wait(per_lead, &|sent| sent.lead == *lead)
            .map(|wait| (Scope::Lead, wait))
            .or_else(|| {
                let same = |sent: &Sent| account.is_some() && sent.account.as_deref() == account;
                Some((Scope::Account, wait(per_account, &same)?))
            })
            .or_else(|| Some((Scope::Global, wait(global, &|_| true)?)));
        if let Some((scope, retry_after)) = exceeded {
            return Err(LimitError::Exceeded(Exceeded { scope, retry_after }));
        }
        let reservation = Reservation(sent.len() as u64);
        sent.push(Sent { at: now, lead: lead.clone(), account: account.map(str::to_owned), actions });
        Ok(reservation)
    }

    async fn release(&self, _: &LeadId, _: Option<&str>, reservation: Reservation, actions: u32) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = usize::try_from(reservation.0).ok().and_then(|index| sent.get_mut(index));
        if let Some(sent) = sent {
            sent.actions = sent.actions.saturating_sub(actions);
        }
    }
}
