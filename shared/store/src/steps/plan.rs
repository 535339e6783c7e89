//! Beginning CRM plans: the rows of the ledger before the effects.

use std::collections::{BTreeSet, HashMap};

use crm::{Authority, BegunPlan, LedgerState, Plan};
use database::{Connection, Rows};
use jiff::Timestamp;
use serde_json::json;

use super::save::{Present, Reply};
use crate::audit::{AuditEntries, AuditKind};
use crate::codec::{Columns as _, to_json};
use crate::delivery::close;
use crate::ledger::ledger_state_of;
use crate::{DeliveryState, Result};

/// A plan that is to begin.
pub(super) struct Begin<'a> {
    /// The place of its lead in the group.
    pub(super) place: usize,
    pub(super) provider: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) authority: Authority,
    pub(super) present: &'a Present,
}

/// Begins plans, and sets the reply of each.
pub(super) async fn begin(
    connection: &mut Connection,
    plans: Vec<Begin<'_>>,
    now: i64,
    audit: &mut AuditEntries,
    replies: &mut [Reply],
) -> Result<()> {
    if plans.is_empty() {
        return Ok(());
    }
    let holds = holds(connection, &plans).await?;
    let mut admitted = Vec::with_capacity(plans.len());
    for begin in plans {
        let Begin { plan, present, .. } = &begin;
        let is_held = |since: &Timestamp| !begin.authority.overrides_hold(*since);
        let reply = if holds.get(begin.provider).is_some_and(is_held) {
            BegunPlan::Held
        } else if present.is_superseded() {
            if close(connection, &plan.delivery_id, DeliveryState::Superseded, now).await? {
                let detail = json!({ "revision": present.revision });
                audit.push(&plan.lead_id, &plan.delivery_id, AuditKind::Superseded, &detail);
            }
            BegunPlan::Superseded
        } else {
            admitted.push(begin);
            continue;
        };
        set(replies, begin.place, reply);
    }
    let mut states = states(connection, &admitted).await?;
    write(connection, &admitted, now).await?;
    for Begin { place, plan, .. } in admitted {
        let mut state = |action: &str| states.remove(action).unwrap_or(LedgerState::New);
        let states = plan.actions.iter().map(|planned| state(planned.action_id.as_str())).collect();
        set(replies, place, BegunPlan::States(states));
    }
    Ok(())
}

fn set(replies: &mut [Reply], place: usize, reply: BegunPlan) {
    if let Some(slot) = replies.get_mut(place) {
        *slot = Reply::Begun(reply);
    }
}

/// Those of the plans' CRMs that an operator holds, each with the begin of the hold.
async fn holds(connection: &mut Connection, plans: &[Begin<'_>]) -> Result<HashMap<String, Timestamp>> {
    let mut providers = Rows::new(["provider"]);
    for provider in plans.iter().map(|begin| begin.provider).collect::<BTreeSet<_>>() {
        providers.push([provider.into()]);
    }
    let holds = "SELECT h.provider, h.since FROM given JOIN crm_hold h ON h.provider = given.provider";
    let rows = providers.fetch_all(connection, holds).await?;
    rows.iter().map(|row| Ok((row.text("provider")?, row.time("since")?))).collect()
}

/// The states of the actions that the ledger holds already.
async fn states(connection: &mut Connection, plans: &[Begin<'_>]) -> Result<HashMap<String, LedgerState>> {
    let mut actions = Rows::new(["action_id"]);
    for planned in plans.iter().flat_map(|begin| &begin.plan.actions) {
        actions.push([planned.action_id.as_str().into()]);
    }
    let rows = actions
        .fetch_all(
            connection,
            "SELECT a.action_id, a.state, a.record_id, a.created, a.left_out \
             FROM given JOIN crm_action a ON a.action_id = given.action_id",
        )
        .await?;
    rows.iter().map(|row| Ok((row.text("action_id")?, ledger_state_of(row)?))).collect()
}

async fn write(connection: &mut Connection, plans: &[Begin<'_>], now: i64) -> Result<()> {
    let columns =
        ["action_id", "lead_id", "delivery_id", "position", "provider", "kind", "parameters", "now"];
    let mut rows = Rows::new(columns);
    for Begin { provider, plan, .. } in plans {
        for planned in &plan.actions {
            rows.push([
                planned.action_id.as_str().into(),
                plan.lead_id.as_str().into(),
                plan.delivery_id.as_str().into(),
                i64::from(planned.position).into(),
                (*provider).into(),
                planned.action.kind().into(),
                to_json(&planned.action.fields()).into(),
                now.into(),
            ]);
        }
    }
    rows.execute(
        connection,
        "INSERT INTO crm_action (action_id, lead_id, delivery_id, position, provider, kind, parameters, state, \
         attempts, created_at, updated_at) \
         SELECT action_id, lead_id, delivery_id, position, provider, kind, parameters, 'pending', 1, now, now \
         FROM given WHERE true \
         ON CONFLICT (action_id) DO UPDATE SET delivery_id = excluded.delivery_id, \
         position = excluded.position, provider = excluded.provider, parameters = excluded.parameters, \
         state = 'pending', failure = NULL, attempts = crm_action.attempts + 1, updated_at = excluded.updated_at \
         WHERE crm_action.state <> 'done'",
    )
    .await?;
    Ok(())
}
