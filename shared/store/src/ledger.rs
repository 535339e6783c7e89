use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use crm::{ActionId, ActionState, Effect, LedgerState, Omission, Outcome, Plan};
use database::{Connection, Rows};
use jiff::Timestamp;
use lead::{DeliveryId, Failure, LeadId};
use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;

use crate::codec::{Columns as _, parsed, to_json};
use crate::{Result, Store};

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

impl Store {
    /// The record that earlier plans wrote for a lead in one CRM.
    pub(crate) async fn written_record(&self, provider: &str, lead: &LeadId) -> Result<Option<String>> {
        let query = sqlx::query(
            "SELECT record_id FROM crm_action WHERE lead_id = $1 AND provider = $2 AND state = 'done' \
             AND kind IN ('upsert_lead', 'create_lead') ORDER BY created_at DESC, position DESC LIMIT 1",
        );
        let row = self.row(query.bind(lead.as_str()).bind(provider)).await?;
        row.map_or(Ok(None), |row| row.optional_text("record_id"))
    }

    /// The last failure of the CRM itself for a lead.
    pub(crate) async fn last_crm_failure(&self, lead: &LeadId) -> Result<Option<Timestamp>> {
        let query = sqlx::query(
            "SELECT d.crm_failed_at FROM lead l JOIN delivery d ON d.delivery_id = l.delivery_id \
             WHERE l.lead_id = $1",
        );
        let row = self.row(query.bind(lead.as_str())).await?;
        row.map_or(Ok(None), |row| row.optional_time("crm_failed_at"))
    }

    /// Records a failure of the CRM itself for a lead.
    pub(crate) async fn note_crm_failure(&self, lead: &LeadId) -> Result<()> {
        let query = sqlx::query(
            "UPDATE delivery SET crm_failed_at = $2 WHERE state = 'open' \
             AND delivery_id = (SELECT delivery_id FROM lead WHERE lead_id = $1)",
        );
        query.bind(lead.as_str()).bind(self.now_millis()).execute(self.database.pool()).await?;
        Ok(())
    }

    /// The states of a plan's actions, in its order.
    pub(crate) async fn action_states(&self, plan: &Plan) -> Result<Vec<LedgerState>> {
        let mut connection = self.database.pool().acquire().await?;
        Ok(action_states(&mut connection, &[plan]).await?.pop().unwrap_or_default())
    }

    pub(crate) async fn finish_actions(&self, outcomes: &[(ActionId, Outcome)]) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        finish(&mut transaction, outcomes, self.now_millis()).await?;
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

/// Saves the outcomes of actions inside the caller's transaction. What is done stays done.
pub(crate) async fn finish(
    connection: &mut Connection,
    outcomes: impl IntoIterator<Item = &(ActionId, Outcome)>,
    now: i64,
) -> Result<()> {
    let mut rows = Rows::new(["action_id", "state", "record_id", "created", "failure", "now", "left_out"]);
    for (action, outcome) in outcomes {
        let effect = outcome.effect();
        rows.push([
            action.as_str().into(),
            outcome.state().as_str().into(),
            effect.map(|effect| effect.record_id.clone()).into(),
            effect.map(|effect| i64::from(effect.created)).into(),
            outcome.failure().map(to_json).into(),
            now.into(),
            effect
                .filter(|effect| !effect.left_out.is_empty())
                .map(|effect| to_json(&effect.left_out))
                .into(),
        ]);
    }
    rows.execute(
        connection,
        "UPDATE crm_action SET state = given.state, record_id = given.record_id, created = given.created, \
         failure = given.failure, updated_at = given.now, left_out = given.left_out \
         FROM given WHERE crm_action.action_id = given.action_id AND crm_action.state <> 'done'",
    )
    .await?;
    Ok(())
}

/// The states of the actions of each plan, in their order.
pub(crate) async fn action_states(
    connection: &mut Connection,
    plans: &[&Plan],
) -> Result<Vec<Vec<LedgerState>>> {
    let mut actions = Rows::new(["action_id"]);
    for planned in plans.iter().flat_map(|plan| &plan.actions) {
        actions.push([planned.action_id.as_str().into()]);
    }
    let rows = actions
        .fetch_all(
            connection,
            "SELECT a.action_id, a.state, a.record_id, a.created, a.left_out \
             FROM given JOIN crm_action a ON a.action_id = given.action_id",
        )
        .await?;
    let mut known = HashMap::new();
    for row in &rows {
        known.insert(row.text("action_id")?, ledger_state_of(row)?);
    }
    let state = |id: &ActionId| known.get(id.as_str()).cloned().unwrap_or(LedgerState::New);
    let states = |plan: &&Plan| plan.actions.iter().map(|planned| state(&planned.action_id)).collect();
    Ok(plans.iter().map(states).collect())
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
