use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use breaker::{Health, HealthChange, HealthRecord, Open, OpenCause};
use database::{Rows, to_millis};
use lead::{Dependency, Failure};
use sqlx::any::AnyRow;

use crate::codec::Columns as _;
use crate::state::BreakerState;
use crate::{Result, Store};

#[async_trait]
impl Health for Store {
    async fn load(&self, dependency: &Dependency) -> Result<HealthRecord, Failure> {
        Ok(self.health_of(std::slice::from_ref(dependency)).await?.pop().unwrap_or_default())
    }

    async fn update(&self, dependency: &Dependency, change: &mut HealthChange<'_>) -> Result<(), Failure> {
        Ok(self.update_health(dependency, change).await?)
    }
}

impl Store {
    /// The record of each system, in their order.
    pub(crate) async fn health_of(&self, dependencies: &[Dependency]) -> Result<Vec<HealthRecord>> {
        let mut rows = Rows::new(["dependency"]);
        for dependency in dependencies.iter().map(Dependency::as_str).collect::<BTreeSet<_>>() {
            rows.push([dependency.into()]);
        }
        let mut connection = self.database.pool().acquire().await?;
        let found = rows
            .fetch_all(
                &mut connection,
                "SELECT h.dependency, h.state, h.failures, h.reason, h.cause, h.opened_at, h.retry_at, h.recovered_at, \
                 h.failed_caller FROM given JOIN dependency_health h ON h.dependency = given.dependency",
            )
            .await?;
        let mut records = HashMap::new();
        for row in &found {
            records.insert(row.text("dependency")?, read(row)?);
        }
        let record = |dependency: &Dependency| records.get(dependency.as_str()).cloned().unwrap_or_default();
        Ok(dependencies.iter().map(record).collect())
    }

    /// The dependencies with an open circuit breaker, half-open ones included.
    pub async fn open_breakers(&self) -> Result<Vec<Dependency>> {
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT dependency FROM dependency_health WHERE state <> 'closed' ORDER BY dependency",
        )
        .fetch_all(self.database.pool())
        .await?;
        Ok(open.into_iter().map(Dependency::named).collect())
    }

    async fn update_health(&self, dependency: &Dependency, change: &mut HealthChange<'_>) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.database.begin().await?;
        // Writing first locks the row, so that no other change happens between reading and writing.
        let query = sqlx::query(
            "INSERT INTO dependency_health (dependency, state, failures, updated_at) VALUES ($1, 'closed', 0, $2) \
             ON CONFLICT (dependency) DO UPDATE SET updated_at = excluded.updated_at \
             RETURNING state, failures, reason, cause, opened_at, retry_at, recovered_at, failed_caller",
        );
        let row = query.bind(dependency.as_str()).bind(now).fetch_one(&mut *transaction).await?;
        let mut record = read(&row)?;
        change(&mut record);
        let open = record.open.as_ref();
        sqlx::query(
            "UPDATE dependency_health SET state = $2, failures = $3, reason = $4, opened_at = $5, retry_at = $6, \
             recovered_at = $7, failed_caller = $8, cause = $9 WHERE dependency = $1",
        )
        .bind(dependency.as_str())
        .bind(state_of(open).as_str())
        .bind(i64::from(record.failures))
        .bind(open.map(|open| open.reason.clone()))
        .bind(open.map(|open| to_millis(open.opened_at)))
        .bind(open.map(|open| to_millis(open.retry_at)))
        .bind(record.recovered_at.map(to_millis))
        .bind(record.failed_caller)
        .bind(open.map(|open| open.cause.as_str()))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}

fn state_of(open: Option<&Open>) -> BreakerState {
    match open {
        None => BreakerState::Closed,
        Some(open) if open.probing => BreakerState::HalfOpen,
        Some(_) => BreakerState::Open,
    }
}

fn read(row: &AnyRow) -> Result<HealthRecord> {
    let state = row.word("state", BreakerState::parse)?;
    let open = match state {
        BreakerState::Closed => None,
        BreakerState::Open | BreakerState::HalfOpen => Some(Open {
            reason: row.text("reason")?,
            cause: row.word("cause", OpenCause::parse)?,
            opened_at: row.time("opened_at")?,
            retry_at: row.time("retry_at")?,
            probing: state == BreakerState::HalfOpen,
        }),
    };
    Ok(HealthRecord {
        failures: u32::try_from(row.number("failures")?).unwrap_or(u32::MAX),
        open,
        recovered_at: row.optional_time("recovered_at")?,
        failed_caller: row.optional_text("failed_caller")?,
    })
}
