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

/// How long a row that nobody has touched is kept, in windows.
const IDLE_WINDOWS: i64 = 10;

/// How many idle rows are removed at once.
const CLEARED_AT_ONCE: i64 = 1_000;

/// Limits that hold for all processes and functions on one database together.
///
/// What was sent is counted by the second, in one row for the lead, one for its account and one for all; a second counts
/// until the whole of it has left the window, so that no window of any position holds more than the limit. Room is taken
/// in one transaction of two statements, which lock the rows in that order: plans wait for each other for the row of all,
/// for as long as a commit takes. What cannot be counted is not sent.
pub struct SharedLimits {
    store: Store,
    settings: LimitSettings,
}

impl SharedLimits {
    /// Limits kept in the store's database.
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
        for (scope, key, limit, mut sent) in locked(&mut transaction, &scopes, now).await? {
            sent.forget(now, window);
            if let Some(wait) = sent.wait(actions, limit, now, window) {
                return Ok(Err(Exceeded { scope, retry_after: wait }));
            }
            sent.add(now, actions);
            counted.push((key, sent));
        }
        write(&mut transaction, &counted, now).await?;
        transaction.commit().await?;
        // Whoever opens a new second of the row of all also clears out, so that it is done at most once a second.
        if counted.last().is_some_and(|(_, all)| all.0.back().is_some_and(|last| last.actions == actions)) {
            let idle = now - window.saturating_mul(IDLE_WINDOWS);
            if let Err(error) = self.clear_out(idle).await {
                tracing::warn!(%error, "idle counts of CRM actions could not be removed");
            }
        }
        Ok(Ok(Reservation(second_of(now).unsigned_abs())))
    }

    /// Removes rows that nobody has touched since `before`, some of them. It holds no other lock and waits for none: those who
    /// take room hold the lock of one row while they wait for another.
    async fn clear_out(&self, before: i64) -> Result<()> {
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
        sqlx::query(sql).bind(before).bind(CLEARED_AT_ONCE).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    async fn try_give_back(
        &self,
        lead: &LeadId,
        account: Option<&str>,
        second: i64,
        actions: u32,
    ) -> Result<()> {
        let now = self.store.now_millis();
        let mut transaction = self.store.database.begin().await?;
        let rows = locked(&mut transaction, &self.scopes(lead, account), now).await?;
        let counted: Vec<_> = rows
            .into_iter()
            .map(|(_, key, _, mut sent)| {
                sent.take_back(second, actions);
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

    async fn give_back(&self, lead: &LeadId, account: Option<&str>, reservation: Reservation, actions: u32) {
        let second = i64::try_from(reservation.0).unwrap_or(i64::MAX);
        if let Err(error) = self.try_give_back(lead, account, second, actions).await {
            // It comes free as the window slides on.
            tracing::warn!(%error, "room that was not used could not be given back");
        }
    }
}

/// What was sent in each second, oldest first.
#[derive(Debug, PartialEq, Eq)]
struct SentBySecond(VecDeque<Second>);

#[derive(Debug, PartialEq, Eq)]
struct Second {
    second: i64,
    actions: u32,
}

impl SentBySecond {
    /// What cannot be read is forgotten: it is a count of the last minute, and would otherwise block for ever.
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
        // A clock set back must not keep entries for ever: those from the future count as new.
        for entry in &mut self.0 {
            entry.second = entry.second.min(second_of(now));
        }
        self.0.retain(|entry| entry.actions > 0 && leaves_at(entry, window) > now);
    }

    /// How long until `actions` more fit in the limit; none where they fit now.
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

    fn take_back(&mut self, second: i64, actions: u32) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.second == second) {
            entry.actions = entry.actions.saturating_sub(actions);
        }
    }
}

fn second_of(millis: i64) -> i64 {
    millis.div_euclid(1000)
}

/// When the whole of the second has left the window.
fn leaves_at(entry: &Second, window: i64) -> i64 {
    entry.second.saturating_add(1).saturating_mul(1000).saturating_add(window)
}

type Locked = (Scope, String, u32, SentBySecond);

/// The rows of these scopes, in their order, locked until the transaction ends.
async fn locked(
    connection: &mut Connection,
    scopes: &[(Scope, String, u32)],
    now: i64,
) -> Result<Vec<Locked>, DatabaseError> {
    let places = (0..scopes.len()).map(|i| format!("(${}, '', $1)", i + 2)).collect::<Vec<_>>().join(", ");
    // Safe: the text is made of constants and counters; every value is bound.
    let sql = AssertSqlSafe(format!(
        "INSERT INTO crm_limit (scope, sent, touched_at) VALUES {places} \
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
    let places = (0..counted.len())
        .map(|i| format!("(${}, ${}, $1)", i * 2 + 2, i * 2 + 3))
        .collect::<Vec<_>>()
        .join(", ");
    // Safe: the text is made of constants and counters; every value is bound.
    let sql = AssertSqlSafe(format!(
        "INSERT INTO crm_limit (scope, sent, touched_at) VALUES {places} \
         ON CONFLICT (scope) DO UPDATE SET sent = excluded.sent"
    ));
    let mut query = sqlx::query(sql).bind(now);
    for (key, sent) in counted {
        query = query.bind(key.clone()).bind(sent.text());
    }
    query.execute(connection).await?;
    Ok(())
}
