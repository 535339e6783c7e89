use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use crm::{Exceeded, LimitError, LimitSettings, Limits, Reservation, Scope};
use database::{Backend, Connection, Rows};
use lead::LeadId;

use crate::codec::Columns as _;
use crate::{Result, Store};

/// How long an unused row is kept, in windows.
const IDLE_WINDOWS: i64 = 10;

/// The maximum number of idle rows deleted by one statement.
const MAX_IDLE_ROWS_DELETED: i64 = 1_000;

/// The row for all leads. Every reservation locks it first, so that the other rows need no locks.
const ALL: &str = "all";

/// Rate limits that are shared by all processes and functions on one database.
///
/// Actions are counted by the second, in one row for the lead, one for its account and one for all leads. A
/// second counts until all of it has left the window, so that no window at any position holds more than the
/// limit. The plans of several leads are counted together: they lock the row for all leads once, for as long
/// as a commit takes. Actions that cannot be counted are not sent.
pub struct SharedLimits {
    store: Store,
    settings: LimitSettings,
    /// The last second in which idle rows were deleted.
    cleaned_at: AtomicI64,
}

/// The actions of a plan.
pub(crate) struct Wanted<'a> {
    pub(crate) lead: &'a LeadId,
    pub(crate) account: Option<&'a str>,
    pub(crate) actions: u32,
}

impl SharedLimits {
    /// Rate limits in the store's database.
    pub fn new(store: Store, settings: LimitSettings) -> Self {
        Self { store, settings, cleaned_at: AtomicI64::new(0) }
    }

    /// Reserves the actions of several plans inside the caller's transaction, which must hold no row of the
    /// limits yet. Returns for each, in their order, the limit that it exceeds, if any; such a plan counts
    /// nothing.
    pub(crate) async fn reserve_in(
        &self,
        connection: &mut Connection,
        plans: &[Wanted<'_>],
    ) -> Result<Vec<Option<Exceeded>>> {
        let now = self.store.now_millis();
        let window = self.window();
        let mut counts = read(connection, plans, now).await?;
        let mut exceeded = Vec::with_capacity(plans.len());
        for plan in plans {
            let scopes = self.scopes(plan);
            let wait = scopes.iter().find_map(|(scope, key, limit)| {
                let sent = counts.entry(key.clone()).or_default();
                sent.forget(now, window);
                let retry_after = sent.wait(plan.actions, *limit, now, window)?;
                Some(Exceeded { scope: *scope, retry_after })
            });
            if wait.is_none() {
                for (_, key, _) in scopes {
                    counts.entry(key).or_default().add(now, plan.actions);
                }
            }
            exceeded.push(wait);
        }
        write(connection, &counts, now).await?;
        if self.cleaned_at.swap(second_of(now), Ordering::Relaxed) != second_of(now) {
            delete_idle_rows(connection, now - window.saturating_mul(IDLE_WINDOWS)).await?;
        }
        Ok(exceeded)
    }

    fn scopes(&self, plan: &Wanted<'_>) -> Vec<(Scope, String, u32)> {
        let mut scopes = vec![(Scope::Lead, format!("lead:{}", plan.lead), self.settings.per_lead)];
        scopes.extend(
            plan.account
                .map(|account| (Scope::Account, format!("account:{account}"), self.settings.per_account)),
        );
        scopes.push((Scope::Global, ALL.to_owned(), self.settings.global));
        scopes
    }

    fn window(&self) -> i64 {
        i64::try_from(self.settings.window.as_millis()).unwrap_or(i64::MAX)
    }

    async fn try_reserve(&self, plan: Wanted<'_>) -> Result<Option<Exceeded>> {
        let mut transaction = self.store.database.begin().await?;
        let exceeded = self.reserve_in(&mut transaction, &[plan]).await?.pop().flatten();
        transaction.commit().await?;
        Ok(exceeded)
    }

    async fn try_release(&self, plan: Wanted<'_>, second: i64) -> Result<()> {
        let now = self.store.now_millis();
        let mut transaction = self.store.database.begin().await?;
        let mut counts = read(&mut transaction, std::slice::from_ref(&plan), now).await?;
        for sent in counts.values_mut() {
            sent.release(second, plan.actions);
        }
        write(&mut transaction, &counts, now).await?;
        transaction.commit().await
    }
}

/// Deletes some of the rows unused since `before`, without waiting for any lock.
async fn delete_idle_rows(connection: &mut Connection, before: i64) -> Result<()> {
    // SQLite has one writer at a time.
    let sql = match connection.backend() {
        Backend::Sqlite => {
            "DELETE FROM crm_limit WHERE scope IN \
             (SELECT scope FROM crm_limit WHERE touched_at < $1 ORDER BY touched_at LIMIT $2)"
        }
        Backend::Postgres => {
            "DELETE FROM crm_limit WHERE scope = ANY(ARRAY( \
             SELECT scope FROM crm_limit WHERE touched_at < $1 ORDER BY touched_at LIMIT $2 \
             FOR UPDATE SKIP LOCKED))"
        }
    };
    sqlx::query(sql).bind(before).bind(MAX_IDLE_ROWS_DELETED).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl Limits for SharedLimits {
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
        let second = second_of(self.store.now_millis());
        match self.try_reserve(Wanted { lead, account, actions }).await {
            Ok(None) => Ok(Reservation(second.unsigned_abs())),
            Ok(Some(exceeded)) => Err(LimitError::Exceeded(exceeded)),
            Err(error) => Err(LimitError::Uncounted(error.into())),
        }
    }

    async fn release(&self, lead: &LeadId, account: Option<&str>, reservation: Reservation, actions: u32) {
        let second = i64::try_from(reservation.0).unwrap_or(i64::MAX);
        if let Err(error) = self.try_release(Wanted { lead, account, actions }, second).await {
            // Not an error: the window frees the reservation later.
            tracing::warn!(%error, "unused rate limit reservation could not be released");
        }
    }
}

/// The actions sent in each second, oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
struct SentBySecond(VecDeque<Second>);

#[derive(Debug, PartialEq, Eq)]
struct Second {
    second: i64,
    actions: u32,
}

impl SentBySecond {
    /// Ignores unreadable entries: they are counts of the last window, and an error would block the scope for
    /// ever.
    fn parse(text: &str) -> Self {
        let entry = |entry: &str| {
            let (second, actions) = entry.split_once(':')?;
            Some(Second { second: second.parse().ok()?, actions: actions.parse().ok()? })
        };
        Self(text.split_whitespace().filter_map(entry).collect())
    }

    fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, entry| {
            let _ = write!(text, "{}:{} ", entry.second, entry.actions); // writing to a String cannot fail
            text
        })
    }

    fn forget(&mut self, now: i64, window: i64) {
        // A clock that was set back must not keep entries for ever: those from the future count as new.
        for entry in &mut self.0 {
            entry.second = entry.second.min(second_of(now));
        }
        self.0.retain(|entry| entry.actions > 0 && leaves_at(entry, window) > now);
    }

    /// The time until `actions` more fit into the limit; none if they fit now.
    fn wait(&self, actions: u32, limit: u32, now: i64, window: i64) -> Option<Duration> {
        let used = self.0.iter().fold(0_u32, |sum, entry| sum.saturating_add(entry.actions));
        let excess = used.saturating_add(actions).saturating_sub(limit);
        if excess == 0 {
            return None;
        }
        let mut freed = 0_u32;
        let enough = self.0.iter().find(|entry| {
            freed = freed.saturating_add(entry.actions);
            freed >= excess
        });
        let at = enough.map_or(now.saturating_add(window), |entry| leaves_at(entry, window));
        Some(Duration::from_millis(u64::try_from(at - now).unwrap_or(0)))
    }

    fn add(&mut self, now: i64, actions: u32) {
        let second = second_of(now);
        match self.0.back_mut().filter(|last| last.second >= second) {
            Some(last) => last.actions = last.actions.saturating_add(actions),
            None => self.0.push_back(Second { second, actions }),
        }
    }

    fn release(&mut self, second: i64, actions: u32) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.second == second) {
            entry.actions = entry.actions.saturating_sub(actions);
        }
    }
}

fn second_of(millis: i64) -> i64 {
    millis.div_euclid(1000)
}

/// The time at which all of the second has left the window, in milliseconds.
fn leaves_at(entry: &Second, window: i64) -> i64 {
    entry.second.saturating_add(1).saturating_mul(1000).saturating_add(window)
}

/// Locks the row for all leads until the transaction ends, and reads the rows of the plans.
async fn read(
    connection: &mut Connection,
    plans: &[Wanted<'_>],
    now: i64,
) -> Result<BTreeMap<String, SentBySecond>> {
    let all = sqlx::query(
        "INSERT INTO crm_limit (scope, sent, touched_at) VALUES ($1, '', $2) \
         ON CONFLICT (scope) DO UPDATE SET touched_at = excluded.touched_at RETURNING sent",
    );
    let all = all.bind(ALL).bind(now).fetch_one(&mut *connection).await?.text("sent")?;
    let mut counts = BTreeMap::from([(ALL.to_owned(), SentBySecond::parse(&all))]);
    let mut scopes = Rows::new(["scope"]);
    let leads = plans.iter().map(|plan| format!("lead:{}", plan.lead));
    let accounts = plans.iter().filter_map(|plan| Some(format!("account:{}", plan.account?)));
    for scope in leads.chain(accounts).collect::<BTreeSet<_>>() {
        scopes.push([scope.into()]);
    }
    let statement = "SELECT l.scope, l.sent FROM given JOIN crm_limit l ON l.scope = given.scope";
    for row in scopes.fetch_all(connection, statement).await? {
        counts.insert(row.text("scope")?, SentBySecond::parse(&row.text("sent")?));
    }
    Ok(counts)
}

async fn write(connection: &mut Connection, counts: &BTreeMap<String, SentBySecond>, now: i64) -> Result<()> {
    let mut rows = Rows::new(["scope", "sent", "now"]);
    for (scope, sent) in counts.iter().filter(|(_, sent)| !sent.0.is_empty()) {
        rows.push([scope.as_str().into(), sent.text().into(), now.into()]);
    }
    rows.execute(
        connection,
        "INSERT INTO crm_limit (scope, sent, touched_at) SELECT scope, sent, now FROM given WHERE true \
         ON CONFLICT (scope) DO UPDATE SET sent = excluded.sent, touched_at = excluded.touched_at",
    )
    .await?;
    Ok(())
}
