use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use crm::{Exceeded, LimitError, LimitSettings, Limits, Reservation, Scope};
use database::{Backend, Connection, DatabaseError};
use lead::LeadId;
use sqlx::AssertSqlSafe;

use crate::codec::Columns as _;
use crate::{Result, Store};

/// How long an unused row is kept, in windows.
const IDLE_WINDOWS: i64 = 10;

/// The maximum number of idle rows deleted by one statement.
const MAX_IDLE_ROWS_DELETED: i64 = 1_000;

/// Rate limits that are shared by all processes and functions on one database.
///
/// Actions are counted by the second, in one row for the lead, one for its account and one for all leads. A
/// second counts until all of it has left the window, so that no window at any position holds more than the
/// limit. A reservation is one transaction of two statements, which lock the rows in that order: plans wait
/// for each other on the row for all leads, for as long as a commit takes. Actions that cannot be counted are
/// not sent.
pub struct SharedLimits {
    store: Store,
    settings: LimitSettings,
}

impl SharedLimits {
    /// Rate limits in the store's database.
    pub fn new(store: Store, settings: LimitSettings) -> Self {
        Self { store, settings }
    }

    fn scopes(&self, lead: &LeadId, account: Option<&str>) -> Vec<(Scope, String, u32)> {
        let mut scopes = vec![(Scope::Lead, format!("lead:{lead}"), self.settings.per_lead)];
        scopes.extend(
            account.map(|account| (Scope::Account, format!("account:{account}"), self.settings.per_account)),
        );
        scopes.push((Scope::Global, "all".to_owned(), self.settings.global));
        scopes
    }

    async fn try_reserve(
        &self,
        lead: &LeadId,
        account: Option<&str>,
        actions: u32,
    ) -> Result<Result<Reservation, Exceeded>> {
        let now = self.store.now_millis();
        let window = i64::try_from(self.settings.window.as_millis()).unwrap_or(i64::MAX);
        let scopes = self.scopes(lead, account);
        let mut transaction = self.store.database.begin().await?;
        let mut counted = Vec::with_capacity(scopes.len());
        for (scope, key, limit, mut sent) in lock_rows(&mut transaction, &scopes, now).await? {
            sent.forget(now, window);
            if let Some(wait) = sent.wait(actions, limit, now, window) {
                return Ok(Err(Exceeded { scope, retry_after: wait }));
            }
            sent.add(now, actions);
            counted.push((key, sent));
        }
        write(&mut transaction, &counted, now).await?;
        transaction.commit().await?;
        // The first reservation of each second also deletes idle rows, so that this happens at most once a
        // second.
        if counted.last().is_some_and(|(_, all)| all.0.back().is_some_and(|last| last.actions == actions)) {
            let idle = now - window.saturating_mul(IDLE_WINDOWS);
            if let Err(error) = self.delete_idle_rows(idle).await {
                tracing::warn!(%error, "idle rate limit rows could not be deleted");
            }
        }
        Ok(Ok(Reservation(second_of(now).unsigned_abs())))
    }

    /// Deletes some of the rows unused since `before`. Holds no other lock and waits for none, because a
    /// reservation holds the lock of one row while it waits for another.
    async fn delete_idle_rows(&self, before: i64) -> Result<()> {
        // SQLite has one writer at a time.
        let sql = match self.store.database.backend() {
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
        let mut transaction = self.store.database.begin().await?;
        sqlx::query(sql).bind(before).bind(MAX_IDLE_ROWS_DELETED).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    async fn try_release(
        &self,
        lead: &LeadId,
        account: Option<&str>,
        second: i64,
        actions: u32,
    ) -> Result<()> {
        let now = self.store.now_millis();
        let mut transaction = self.store.database.begin().await?;
        let rows = lock_rows(&mut transaction, &self.scopes(lead, account), now).await?;
        let counted: Vec<_> = rows
            .into_iter()
            .map(|(_, key, _, mut sent)| {
                sent.release(second, actions);
                (key, sent)
            })
            .collect();
        write(&mut transaction, &counted, now).await?;
        transaction.commit().await
    }
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
        match self.try_reserve(lead, account, actions).await {
            Ok(answer) => answer.map_err(LimitError::Exceeded),
            Err(error) => Err(LimitError::Uncounted(error.into())),
        }
    }

    async fn release(&self, lead: &LeadId, account: Option<&str>, reservation: Reservation, actions: u32) {
        let second = i64::try_from(reservation.0).unwrap_or(i64::MAX);
        if let Err(error) = self.try_release(lead, account, second, actions).await {
            // Not an error: the window frees the reservation later.
            tracing::warn!(%error, "unused rate limit reservation could not be released");
        }
    }
}

/// The actions sent in each second, oldest first.
#[derive(Debug, PartialEq, Eq)]
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

type Locked = (Scope, String, u32, SentBySecond);

/// Reads the rows of the scopes, in their order, and locks them until the transaction ends.
async fn lock_rows(
    connection: &mut Connection,
    scopes: &[(Scope, String, u32)],
    now: i64,
) -> Result<Vec<Locked>, DatabaseError> {
    let placeholders =
        (0..scopes.len()).map(|i| format!("(${}, '', $1)", i + 2)).collect::<Vec<_>>().join(", ");
    // Safe: the text is made of constants and counters; every value is bound.
    let sql = AssertSqlSafe(format!(
        "INSERT INTO crm_limit (scope, sent, touched_at) VALUES {placeholders} \
         ON CONFLICT (scope) DO UPDATE SET touched_at = excluded.touched_at RETURNING scope, sent"
    ));
    let mut query = sqlx::query(sql).bind(now);
    for (_, key, _) in scopes {
        query = query.bind(key.clone());
    }
    let rows = query.fetch_all(connection).await?;
    let mut found = Vec::with_capacity(scopes.len());
    for (scope, key, limit) in scopes {
        let mut text = String::new();
        for row in &rows {
            if row.text("scope")? == *key {
                text = row.text("sent")?;
            }
        }
        found.push((*scope, key.clone(), *limit, SentBySecond::parse(&text)));
    }
    Ok(found)
}

async fn write(
    connection: &mut Connection,
    counted: &[(String, SentBySecond)],
    now: i64,
) -> Result<(), DatabaseError> {
    let placeholders = (0..counted.len())
        .map(|i| format!("(${}, ${}, $1)", i * 2 + 2, i * 2 + 3))
        .collect::<Vec<_>>()
        .join(", ");
    // Safe: the text is made of constants and counters; every value is bound.
    let sql = AssertSqlSafe(format!(
        "INSERT INTO crm_limit (scope, sent, touched_at) VALUES {placeholders} \
         ON CONFLICT (scope) DO UPDATE SET sent = excluded.sent"
    ));
    let mut query = sqlx::query(sql).bind(now);
    for (key, sent) in counted {
        query = query.bind(key.clone()).bind(sent.text());
    }
    query.execute(connection).await?;
    Ok(())
}
