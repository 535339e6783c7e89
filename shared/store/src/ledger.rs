use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use async_trait::async_trait;
use crm::{
    ActionId, ActionState, Authority, BegunPlan, Effect, FieldChange, Ledger, LedgerState, Omission, Outcome,
    Plan,
};
use database::from_millis;
use jiff::Timestamp;
use lead::{DeliveryId, Failure, LeadId};
use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;

use crate::codec::{Columns as _, parsed, to_json};
use crate::delivery::supersede;
use crate::{Result, Store, erased};

/// One effect on the CRM, as recorded in the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct ActionRecord {
    /// Identifies the effect.
    pub action_id: String,
    /// The delivery it was planned for.
    pub delivery_id: DeliveryId,
    /// Its position in the plan, from 0.
    pub position: i64,
    /// The CRM.
    pub provider: String,
    /// The kind of action.
    pub kind: String,
    /// The fields that it writes.
    pub parameters: Value,
    /// Its state.
    pub state: ActionState,
    /// The record it wrote.
    pub record_id: Option<String>,
    /// Whether the action created the record.
    pub created: Option<bool>,
    /// The fields that did not reach the record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Omission>,
    /// The failure, if the action had no effect.
    pub failure: Option<Failure>,
    /// How often the action was begun.
    pub attempts: i64,
    /// When this row was last updated.
    pub updated_at: Timestamp,
}

#[async_trait]
impl Ledger for Store {
    async fn begin(&self, provider: &str, plan: &Plan, authority: Authority) -> Result<BegunPlan, Failure> {
        Ok(self.begin_actions(provider, plan, authority).await?)
    }

    async fn note(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<(), Failure> {
        Ok(self.note_changes(changes).await?)
    }

    async fn finish(&self, outcomes: &[(ActionId, Outcome)]) -> Result<(), Failure> {
        Ok(self.finish_actions(outcomes).await?)
    }

    async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>, Failure> {
        let query = sqlx::query(
            "SELECT record_id FROM crm_action WHERE lead_id = $1 AND provider = $2 AND state = 'done' \
             AND kind IN ('upsert_lead', 'create_lead') ORDER BY created_at DESC, position DESC LIMIT 1",
        );
        let row = self.row(query.bind(lead.as_str()).bind(provider)).await?;
        Ok(row.map_or(Ok(None), |row| row.optional_text("record_id"))?)
    }

    async fn record_outage(&self, lead: &LeadId) -> Result<(), Failure> {
        Ok(self.note_crm_failure(lead).await?)
    }

    async fn last_outage(&self, lead: &LeadId) -> Result<Option<Timestamp>, Failure> {
        let query = sqlx::query(
            "SELECT d.crm_failed_at FROM lead l JOIN delivery d ON d.delivery_id = l.delivery_id \
             WHERE l.lead_id = $1",
        );
        let row = self.row(query.bind(lead.as_str())).await?;
        Ok(row.map_or(Ok(None), |row| row.optional_time("crm_failed_at"))?)
    }
}

impl Store {
    async fn begin_actions(&self, provider: &str, plan: &Plan, authority: Authority) -> Result<BegunPlan> {
        let now = self.now_millis();
        let mut states = Vec::with_capacity(plan.actions.len());
        let mut transaction = self.begin_on(&plan.lead_id).await?;
        let query = sqlx::query_scalar("SELECT since FROM crm_hold WHERE provider = $1");
        let hold: Option<i64> = query.bind(provider).fetch_optional(&mut *transaction).await?;
        if hold.is_some_and(|since| !authority.overrides_hold(from_millis(since))) {
            return Ok(BegunPlan::Held);
        }
        if erased::is_work_erased(&mut transaction, &plan.lead_id, &plan.delivery_id).await? {
            return Ok(BegunPlan::Erased);
        }
        // A finished delivery may still have actions: a change of its lead's owner.
        let query = sqlx::query(
            "SELECT d.revision FROM delivery d JOIN lead l ON l.lead_id = d.lead_id \
             WHERE d.delivery_id = $1 AND d.state IN ('open', 'superseded') AND l.delivery_id <> d.delivery_id",
        );
        let superseded = query.bind(plan.delivery_id.as_str()).fetch_optional(&mut *transaction).await?;
        if let Some(row) = superseded {
            let revision = row.number("revision")?;
            supersede(&mut transaction, &plan.lead_id, &plan.delivery_id, revision, now).await?;
            transaction.commit().await?;
            return Ok(BegunPlan::Superseded);
        }
        for planned in &plan.actions {
            let query = sqlx::query(
                "SELECT state, record_id, created, left_out FROM crm_action WHERE action_id = $1",
            );
            let before = query.bind(planned.action_id.as_str()).fetch_optional(&mut *transaction).await?;
            states.push(before.as_ref().map_or(Ok(LedgerState::New), ledger_state_of)?);
            sqlx::query(
                "INSERT INTO crm_action (action_id, lead_id, delivery_id, position, provider, kind, parameters, state, \
                 attempts, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 1, $8, $8) \
                 ON CONFLICT (action_id) DO UPDATE SET delivery_id = excluded.delivery_id, \
                 position = excluded.position, provider = excluded.provider, parameters = excluded.parameters, \
                 state = 'pending', failure = NULL, attempts = crm_action.attempts + 1, updated_at = excluded.updated_at \
                 WHERE crm_action.state <> 'done'",
            )
            .bind(planned.action_id.as_str())
            .bind(plan.lead_id.as_str())
            .bind(plan.delivery_id.as_str())
            .bind(i64::from(planned.position))
            .bind(provider)
            .bind(planned.action.kind())
            .bind(to_json(&planned.action.fields()))
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(BegunPlan::States(states))
    }

    async fn note_crm_failure(&self, lead: &LeadId) -> Result<()> {
        let query = sqlx::query(
            "UPDATE delivery SET crm_failed_at = $2 WHERE state = 'open' \
             AND delivery_id = (SELECT delivery_id FROM lead WHERE lead_id = $1)",
        );
        query.bind(lead.as_str()).bind(self.now_millis()).execute(self.database.pool()).await?;
        Ok(())
    }

    async fn note_changes(&self, changes: &[(ActionId, Vec<FieldChange>)]) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        for (action, changes) in changes {
            let query =
                sqlx::query("UPDATE crm_action SET changes = $2 WHERE action_id = $1 AND state <> 'done'");
            query.bind(action.as_str()).bind(to_json(changes)).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    async fn finish_actions(&self, outcomes: &[(ActionId, Outcome)]) -> Result<()> {
        let now = self.now_millis();
        let mut transaction = self.database.begin().await?;
        for (action, outcome) in outcomes {
            let effect = outcome.effect();
            sqlx::query(
                "UPDATE crm_action SET state = $2, record_id = $3, created = $4, failure = $5, updated_at = $6, \
                 left_out = $7 WHERE action_id = $1 AND state <> 'done'",
            )
            .bind(action.as_str())
            .bind(outcome.state().as_str())
            .bind(effect.map(|effect| effect.record_id.clone()))
            .bind(effect.map(|effect| i64::from(effect.created)))
            .bind(outcome.failure().map(to_json))
            .bind(now)
            .bind(effect.filter(|effect| !effect.left_out.is_empty()).map(|effect| to_json(&effect.left_out)))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// The parameters that each kind of action last wrote for a lead in one CRM, without the actions of
    /// `plan` itself. Leaves a kind out if its newest action is pending: its effect is then unknown.
    pub async fn last_written(&self, provider: &str, plan: &Plan) -> Result<BTreeMap<String, Value>> {
        let query = sqlx::query(
            "SELECT action_id, kind, parameters, state FROM crm_action \
             WHERE lead_id = $1 AND provider = $2 AND state IN ('done', 'pending') \
             ORDER BY created_at DESC, position DESC LIMIT 200",
        );
        let rows = self.rows(query.bind(plan.lead_id.as_str()).bind(provider)).await?;
        let mut newest = BTreeMap::new();
        for row in &rows {
            let action = row.text("action_id")?;
            if plan.actions.iter().all(|planned| planned.action_id.as_str() != action) {
                // Rows are sorted newest first.
                if let Entry::Vacant(slot) = newest.entry(row.text("kind")?) {
                    let is_done = state_of(row)? == ActionState::Done;
                    slot.insert(if is_done { Some(row.json("parameters")?) } else { None });
                }
            }
        }
        Ok(newest.into_iter().filter_map(|(kind, written)| Some((kind, written?))).collect())
    }

    /// The owner that earlier plans last wrote to a lead's record. None if no plan named an owner, or if the
    /// newest write of one is pending: its effect is then unknown.
    pub async fn owner_written(&self, provider: &str, plan: &Plan) -> Result<Option<String>> {
        let query = sqlx::query(
            "SELECT action_id, parameters, state FROM crm_action \
             WHERE lead_id = $1 AND provider = $2 AND kind = 'upsert_lead' AND state IN ('done', 'pending') \
             ORDER BY created_at DESC, position DESC LIMIT 200",
        );
        let rows = self.rows(query.bind(plan.lead_id.as_str()).bind(provider)).await?;
        for row in &rows {
            let action = row.text("action_id")?;
            let parameters: Value = row.json("parameters")?;
            let is_own = plan.actions.iter().any(|planned| planned.action_id.as_str() == action);
            if let Some(owner) = parameters["owner"].as_str().filter(|_| !is_own) {
                return Ok((state_of(row)? == ActionState::Done).then(|| owner.to_owned()));
            }
        }
        Ok(None)
    }

    /// The action that created the lead's newest task in a CRM; none if there is no task.
    pub async fn written_task(&self, provider: &str, lead: &LeadId) -> Result<Option<ActionId>> {
        let query = sqlx::query(
            "SELECT action_id FROM crm_action WHERE lead_id = $1 AND provider = $2 AND kind = 'create_task' \
             AND state = 'done' ORDER BY created_at DESC, position DESC LIMIT 1",
        );
        let row = self.row(query.bind(lead.as_str()).bind(provider)).await?;
        row.map(|row| row.id("action_id")).transpose()
    }

    /// The newest `limit` effects of a lead on the CRM, in the order they were begun.
    pub async fn actions(&self, lead: &LeadId, limit: u32) -> Result<Vec<ActionRecord>> {
        let query = sqlx::query(
            "SELECT * FROM crm_action WHERE lead_id = $1 AND state <> 'erased' \
             ORDER BY created_at DESC, position DESC LIMIT $2",
        );
        let rows = self.rows(query.bind(lead.as_str()).bind(i64::from(limit))).await?;
        rows.iter().rev().map(read).collect()
    }
}

fn state_of(row: &AnyRow) -> Result<ActionState> {
    row.word("state", ActionState::parse)
}

fn ledger_state_of(row: &AnyRow) -> Result<LedgerState> {
    parsed("state", LedgerState::of_row(state_of(row)?, effect_of(row)?))
}

fn effect_of(row: &AnyRow) -> Result<Option<Effect>> {
    let created = row.optional_number("created")? == Some(1);
    let left_out = row.optional_json("left_out")?.unwrap_or_default();
    Ok(row.optional_text("record_id")?.map(|record_id| Effect { record_id, created, left_out }))
}

fn read(row: &AnyRow) -> Result<ActionRecord> {
    let effect = effect_of(row)?;
    Ok(ActionRecord {
        action_id: row.text("action_id")?,
        delivery_id: row.id("delivery_id")?,
        position: row.number("position")?,
        provider: row.text("provider")?,
        kind: row.text("kind")?,
        parameters: row.json("parameters")?,
        state: state_of(row)?,
        created: effect.as_ref().map(|effect| effect.created),
        left_out: effect.as_ref().map(|effect| effect.left_out.clone()).unwrap_or_default(),
        record_id: effect.map(|effect| effect.record_id),
        failure: row.optional_json("failure")?,
        attempts: row.number("attempts")?,
        updated_at: row.time("updated_at")?,
    })
}
