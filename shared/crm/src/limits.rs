use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lead::{Clock, Failure, LeadId};

/// Limits on the actions sent within a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// For one lead.
    pub per_lead: u32,
    /// For all leads of one account.
    pub per_account: u32,
    /// For all leads.
    pub global: u32,
    /// The length of the sliding window.
    pub window: Duration,
}

impl Default for LimitSettings {
    /// Per minute: 10 actions for a lead, 100 for an account, 1000 in total.
    fn default() -> Self {
        Self { per_lead: 10, per_account: 100, global: 1000, window: Duration::from_mins(1) }
    }
}

/// The limit that a plan exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The limit of one lead. Only this lead waits.
    Lead,
    /// The limit of one account. Only this account's leads wait.
    Account,
    /// The limit of all leads together. All leads wait.
    Global,
}

/// The plan exceeds a limit at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// The exceeded limit.
    pub scope: Scope,
    /// The time until the plan fits, if no other plan is sent.
    pub retry_after: Duration,
}

/// The reason that a reservation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// A limit is exceeded.
    Exceeded(Exceeded),
    /// The sent actions could not be counted.
    Uncounted(Failure),
}

impl From<Failure> for LimitError {
    fn from(failure: Failure) -> Self {
        Self::Uncounted(failure)
    }
}

/// A reservation for a plan's actions. Its number has a meaning only to the limits that issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation(pub u64);

/// Counts the actions sent. A plan gets a reservation for all of its actions or for none.
#[async_trait]
pub trait Limits: Send + Sync {
    /// The largest number of actions that fits all limits.
    fn largest_plan(&self) -> u32;

    /// Reserves `actions` actions.
    async fn reserve(
        &self,
        lead: &LeadId,
        account: Option<&str>,
        actions: u32,
    ) -> Result<Reservation, LimitError>;

    /// Releases `actions` actions of a reservation of the same lead and account, because they were not sent.
    /// If the release fails, the reservation ends as the window slides on.
    async fn release(&self, lead: &LeadId, account: Option<&str>, reservation: Reservation, actions: u32);
}

/// Limits within this process. Each process applies them separately, so that n processes together send up to
/// n times as much; `store::SharedLimits` counts across processes.
///
/// Memory is bounded by the global limit: one entry for each plan in the window.
pub struct SlidingWindow {
    settings: LimitSettings,
    clock: Arc<dyn Clock>,
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    /// Oldest first.
    entries: VecDeque<Entry>,
    next_id: u64,
    total: u32,
    by_lead: HashMap<LeadId, u32>,
    by_account: HashMap<String, u32>,
}

struct Entry {
    id: u64,
    at: Timestamp,
    lead: LeadId,
    account: Option<String>,
    actions: u32,
}

impl SlidingWindow {
    /// Limits with nothing sent yet.
    pub fn new(settings: LimitSettings, clock: Arc<dyn Clock>) -> Self {
        Self { settings, clock, sent: Mutex::default() }
    }

    fn age(&self, entry: &Entry, now: Timestamp) -> Duration {
        // If the clock is set back, entries count as new, so that they do not stay forever.
        Duration::try_from(now.duration_since(entry.at)).unwrap_or_default().min(self.settings.window)
    }

    /// The time until the entries that leave the window free at least `excess` actions.
    fn wait<'a>(&self, entries: impl Iterator<Item = &'a Entry>, now: Timestamp, excess: u32) -> Duration {
        let mut freed = 0_u32;
        let mut wait = self.settings.window;
        for entry in entries {
            freed = freed.saturating_add(entry.actions);
            wait = self.settings.window.saturating_sub(self.age(entry, now));
            if freed >= excess {
                break;
            }
        }
        wait
    }
}

impl Sent {
    fn count(&mut self, entry: &Entry, change: impl Fn(u32) -> u32) {
        self.total = change(self.total);
        let lead = self.by_lead.entry(entry.lead.clone()).or_default();
        *lead = change(*lead);
        if *lead == 0 {
            self.by_lead.remove(&entry.lead);
        }
        if let Some(account) = &entry.account {
            let count = self.by_account.entry(account.clone()).or_default();
            *count = change(*count);
            if *count == 0 {
                self.by_account.remove(account);
            }
        }
    }
}

#[async_trait]
impl Limits for SlidingWindow {
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
        let now = self.clock.now();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        while sent.entries.front().is_some_and(|entry| self.age(entry, now) >= self.settings.window) {
            if let Some(entry) = sent.entries.pop_front() {
                sent.count(&entry, |count| count.saturating_sub(entry.actions));
            }
        }

        let excess = |used: u32, limit: u32| used.saturating_add(actions).saturating_sub(limit);
        let of_lead = excess(sent.by_lead.get(lead).copied().unwrap_or(0), self.settings.per_lead);
        let of_account = account
            .and_then(|account| sent.by_account.get(account))
            .map_or(0, |used| excess(*used, self.settings.per_account));
        let of_all = excess(sent.total, self.settings.global);
        let entries = sent.entries.iter();
        let exceeded = if of_lead > 0 {
            Some((Scope::Lead, self.wait(entries.filter(|entry| entry.lead == *lead), now, of_lead)))
        } else if of_account > 0 {
            let same = entries.filter(|entry| entry.account.as_deref() == account);
            Some((Scope::Account, self.wait(same, now, of_account)))
        } else if of_all > 0 {
            Some((Scope::Global, self.wait(entries, now, of_all)))
        } else {
            None
        };
        if let Some((scope, retry_after)) = exceeded {
            return Err(LimitError::Exceeded(Exceeded { scope, retry_after }));
        }

        let id = sent.next_id;
        sent.next_id += 1;
        let entry = Entry { id, at: now, lead: lead.clone(), account: account.map(str::to_owned), actions };
        sent.count(&entry, |count| count.saturating_add(actions));
        sent.entries.push_back(entry);
        Ok(Reservation(id))
    }

    async fn release(&self, _: &LeadId, _: Option<&str>, reservation: Reservation, actions: u32) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        // Ids increase along the queue.
        let Ok(index) = sent.entries.binary_search_by_key(&reservation.0, |entry| entry.id) else { return };
        let Some(mut entry) = sent.entries.remove(index) else { return };
        let returned = actions.min(entry.actions);
        sent.count(&entry, |count| count.saturating_sub(returned));
        entry.actions -= returned;
        if entry.actions > 0 {
            sent.entries.insert(index, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use lead::{CampaignId, EmailAddress, ManualClock};

    use super::*;

    fn lead(name: &str) -> LeadId {
        LeadId::derive(
            &EmailAddress::parse(&format!("{name}@example.com")).unwrap(),
            &CampaignId::parse("c1").unwrap(),
        )
    }

    fn window(per_lead: u32, per_account: u32, global: u32) -> (SlidingWindow, ManualClock) {
        let clock = ManualClock::default();
        let settings = LimitSettings { per_lead, per_account, global, ..LimitSettings::default() };
        (SlidingWindow::new(settings, Arc::new(clock.clone())), clock)
    }

    fn exceeded(scope: Scope, seconds: u64) -> LimitError {
        LimitError::Exceeded(Exceeded { scope, retry_after: Duration::from_secs(seconds) })
    }

    #[tokio::test]
    async fn a_plan_fits_whole_or_not_at_all() {
        let (limits, _) = window(10, 100, 1000);
        let ann = lead("ann");
        limits.reserve(&ann, None, 6).await.unwrap();
        assert_eq!(limits.reserve(&ann, None, 5).await, Err(exceeded(Scope::Lead, 60)));
        limits.reserve(&ann, None, 4).await.unwrap();
        assert!(limits.reserve(&ann, None, 1).await.is_err());
        limits.reserve(&lead("bob"), None, 10).await.unwrap();
    }

    #[tokio::test]
    async fn capacity_returns_as_entries_leave_the_window() {
        let (limits, clock) = window(10, 100, 1000);
        let ann = lead("ann");
        limits.reserve(&ann, None, 5).await.unwrap();
        clock.advance(Duration::from_secs(20));
        limits.reserve(&ann, None, 5).await.unwrap();
        assert_eq!(limits.reserve(&ann, None, 5).await, Err(exceeded(Scope::Lead, 40)));
        assert_eq!(limits.reserve(&ann, None, 6).await, Err(exceeded(Scope::Lead, 60)));
        clock.advance(Duration::from_secs(40));
        limits.reserve(&ann, None, 5).await.unwrap();
    }

    #[tokio::test]
    async fn account_and_global_limits_apply_separately() {
        let (limits, _) = window(10, 12, 15);
        limits.reserve(&lead("ann"), Some("example.com"), 10).await.unwrap();
        assert_eq!(
            limits.reserve(&lead("bob"), Some("example.com"), 3).await,
            Err(exceeded(Scope::Account, 60))
        );
        limits.reserve(&lead("bob"), Some("example.com"), 2).await.unwrap();
        assert_eq!(limits.reserve(&lead("cid"), None, 4).await, Err(exceeded(Scope::Global, 60)));
        limits.reserve(&lead("cid"), Some("example.org"), 3).await.unwrap();
    }

    #[tokio::test]
    async fn unsent_actions_do_not_count() {
        let (limits, clock) = window(10, 10, 10);
        let ann = lead("ann");
        let first = limits.reserve(&ann, Some("example.com"), 10).await.unwrap();
        limits.release(&ann, None, first, 7).await;
        let second = limits.reserve(&ann, Some("example.com"), 7).await.unwrap();
        limits.release(&ann, None, second, 100).await;
        limits.reserve(&ann, Some("example.com"), 7).await.unwrap();
        clock.advance(Duration::from_mins(1));
        limits.reserve(&ann, Some("example.com"), 10).await.unwrap();
        limits.release(&ann, None, first, 3).await; // already dropped
        assert!(limits.reserve(&ann, None, 1).await.is_err());
    }

    #[tokio::test]
    async fn entries_outside_the_window_are_dropped() {
        let (limits, clock) = window(10, 100, 1000);
        for i in 0..100 {
            limits.reserve(&lead(&format!("p{i}")), Some("example.com"), 1).await.unwrap();
        }
        clock.advance(Duration::from_mins(1));
        limits.reserve(&lead("ann"), None, 1).await.unwrap();
        let sent = limits.sent.lock().unwrap();
        assert_eq!((sent.entries.len(), sent.by_lead.len(), sent.by_account.len(), sent.total), (1, 1, 0, 1));
    }
}
