//! Beginning CRM plans: the rows of the ledger before the effects.

use crm::{Authority, BegunPlan, FieldChange, LedgerState, Plan};
use database::{Connection, Rows};
use serde_json::json;

use super::save::{Present, Reply};
use crate::audit::{AuditEntries, AuditKind};
use crate::changes::RecordChanges;
use crate::codec::to_json;
use crate::crm_hold::crm_holds;
use crate::delivery::close;
use crate::ledger::action_states;
use crate::limits::{SharedLimits, Wanted};
use crate::{CrmHold, DeliveryState, Result};

/// A plan that was submitted to the guard.
pub(super) struct Submitted {
    provider: String,
    pub(super) plan: Plan,
    /// What its new actions are about to change, if that is kept.
    changes: Option<Vec<FieldChange>>,
    authority: Authority,
    /// Whether its actions are counted towards the limits when it begins.
    is_counted: bool,
}

impl Submitted {
    pub(super) fn new(
        provider: &str,
        plan: &Plan,
        changes: Option<&[FieldChange]>,
        authority: Authority,
        is_counted: bool,
    ) -> Self {
        let (provider, plan) = (provider.to_owned(), plan.clone());
        Self { provider, plan, changes: changes.map(<[_]>::to_vec), authority, is_counted }
    }

    /// The changes of the action at a position.
    fn changes_at(&self, position: u32) -> Option<Vec<RecordChanges>> {
        let changes = self.changes.as_ref()?;
        Some(RecordChanges::of(changes.iter().filter(|change| change.position == position)))
    }
}

/// A plan that is to begin.
pub(super) struct Begin<'a> {
    /// The place of its lead in the group.
    pub(super) place: usize,
    pub(super) submitted: &'a Submitted,
    pub(super) present: &'a Present,
}

/// Begins plans, and sets the reply of each.
pub(super) async fn begin(
    connection: &mut Connection,
    limits: Option<&SharedLimits>,
    plans: Vec<Begin<'_>>,
    now: i64,
    audit: &mut AuditEntries,
    replies: &mut [Reply],
) -> Result<()> {
    if plans.is_empty() {
        return Ok(());
    }
    let holds = crm_holds(connection).await?;
    let mut admitted = Vec::with_capacity(plans.len());
    for begin in plans {
        let Begin { submitted, present, .. } = &begin;
        let plan = &submitted.plan;
        let is_held = |hold: &CrmHold| !submitted.authority.overrides_hold(hold.since);
        let reply = if holds.get(&submitted.provider).is_some_and(is_held) {
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
    if let Some(limits) = limits {
        admitted = within_limits(connection, limits, admitted, replies).await?;
    }
    let repeated = admitted.iter().filter(|begin| begin.present.has_actions);
    let repeated: Vec<_> = repeated.map(|begin| &begin.submitted.plan).collect();
    let mut states = action_states(connection, &repeated).await?.into_iter();
    write(connection, &admitted, now).await?;
    for Begin { place, submitted, present } in &admitted {
        let states = if present.has_actions {
            states.next().unwrap_or_default()
        } else {
            vec![LedgerState::New; submitted.plan.actions.len()]
        };
        set(replies, *place, BegunPlan::States(states));
    }
    Ok(())
}

/// Counts the plans, and leaves out those that exceed a limit.
async fn within_limits<'a>(
    connection: &mut Connection,
    limits: &SharedLimits,
    plans: Vec<Begin<'a>>,
    replies: &mut [Reply],
) -> Result<Vec<Begin<'a>>> {
    let (counted, mut within): (Vec<_>, Vec<_>) =
        plans.into_iter().partition(|begin| begin.submitted.is_counted);
    if counted.is_empty() {
        return Ok(within);
    }
    let wanted = |begin: &Begin<'a>| Wanted {
        lead: &begin.submitted.plan.lead_id,
        account: begin.submitted.plan.account.as_deref(),
        actions: u32::try_from(begin.submitted.plan.actions.len()).unwrap_or(u32::MAX),
    };
    let wanted: Vec<_> = counted.iter().map(wanted).collect();
    for (begin, exceeded) in counted.into_iter().zip(limits.reserve_in(connection, &wanted).await?) {
        match exceeded {
            None => within.push(begin),
            Some(exceeded) => set(replies, begin.place, BegunPlan::Exceeded(exceeded)),
        }
    }
    Ok(within)
}

fn set(replies: &mut [Reply], place: usize, reply: BegunPlan) {
    if let Some(slot) = replies.get_mut(place) {
        *slot = Reply::Begun(reply);
    }
}

/// The rows of actions that begin.
macro_rules! insert_actions {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO crm_action (action_id, lead_id, delivery_id, position, provider, kind, parameters, changes, \
             state, attempts, created_at, updated_at) \
             SELECT action_id, lead_id, delivery_id, position, provider, kind, parameters, changes, 'pending', 1, \
             now, now FROM given WHERE true",
            $conflict
        )
    };
}

async fn write(connection: &mut Connection, plans: &[Begin<'_>], now: i64) -> Result<()> {
    let columns = [
        "action_id",
        "lead_id",
        "delivery_id",
        "position",
        "provider",
        "kind",
        "parameters",
        "changes",
        "now",
    ];
    let (mut first, mut repeated) = (Rows::new(columns), Rows::new(columns));
    for Begin { submitted, present, .. } in plans {
        let plan = &submitted.plan;
        let rows = if present.has_actions { &mut repeated } else { &mut first };
        for planned in &plan.actions {
            rows.push([
                planned.action_id.as_str().into(),
                plan.lead_id.as_str().into(),
                plan.delivery_id.as_str().into(),
                i64::from(planned.position).into(),
                submitted.provider.as_str().into(),
                planned.action.kind().into(),
                to_json(&planned.action.fields()).into(),
                submitted.changes_at(planned.position).as_ref().map(to_json).into(),
                now.into(),
            ]);
        }
    }
    // A conflict clause costs a second record in PostgreSQL's log for each row.
    first.execute(connection, insert_actions!("")).await?;
    repeated
        .execute(
            connection,
            insert_actions!(
                " ON CONFLICT (action_id) DO UPDATE SET delivery_id = excluded.delivery_id, \
                 position = excluded.position, provider = excluded.provider, parameters = excluded.parameters, \
                 changes = CASE WHEN crm_action.state = 'pending' THEN crm_action.changes \
                           ELSE COALESCE(excluded.changes, crm_action.changes) END, \
                 state = 'pending', failure = NULL, attempts = crm_action.attempts + 1, \
                 updated_at = excluded.updated_at WHERE crm_action.state <> 'done'"
            ),
        )
        .await?;
    Ok(())
}
