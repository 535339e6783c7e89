//! Execution of a plan: the rounds of resolution and writing, then one result per action.

use lead::{Failure, LeadId};

use super::errors::{Refusal, RefusalKind};
use super::resolve::{Hints, Resolution, creates_contact, is_person};
use super::{DEPENDENCY, HubSpotCrm};
use crate::{Effect, Mode, Object, PlannedAction};

/// The maximum number of times a plan is resolved, counting repeats after a conflict with another writer.
const MAX_ROUNDS: usize = 3;

/// The results of the actions in order, up to and including the first failure.
type Outcomes = Vec<Result<Effect, Refusal>>;

impl HubSpotCrm {
    /// Executes the actions in order. Returns one result per action, up to and including the first failure.
    pub(super) async fn execute_plan(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
    ) -> Vec<Result<Effect, Failure>> {
        let mut outcomes = Outcomes::new();
        let mut earlier = EarlierRounds::default();
        for round in 0..MAX_ROUNDS {
            outcomes = self.execute_once(lead, actions, round > 0, &mut earlier).await;
            let Some(Err(refused)) = outcomes.last() else { break };
            match refused.kind {
                // Another writer created the record, or it was not looked up. The next round reads it.
                RefusalKind::Conflict => earlier.conflicting_id = refused.conflicting_id.clone(),
                // The cached properties, or the records that are remembered, may be outdated.
                RefusalKind::Invalid if round == 0 => self.schemas.invalidate(),
                RefusalKind::Missing if round == 0 => {}
                _ => break,
            }
            self.memory.forget_contact(lead);
        }
        outcomes.into_iter().map(|outcome| outcome.map_err(Failure::from)).collect()
    }

    async fn execute_once(
        &self,
        lead: &LeadId,
        actions: &[PlannedAction],
        thorough: bool,
        earlier: &mut EarlierRounds,
    ) -> Outcomes {
        let prepared = self.memory.take_prepared(lead, actions, self.clock.now());
        let resolution = if let Some(resolution) = prepared.filter(|_| !thorough) {
            resolution
        } else {
            let conflicting_id = earlier.conflicting_id.as_deref();
            let hints = Hints { conflicting_id, thorough, ..Hints::default() };
            match self.resolve(lead, actions, hints).await {
                Ok(resolution) => resolution,
                Err(failure) => return vec![Err(failure.into())],
            }
        };
        // The first action whose record is missing ends the plan.
        let impossible = first_impossible(lead, actions, &resolution);
        let possible = &actions[..impossible.as_ref().map_or(actions.len(), |(index, _)| *index)];
        let results = self.write(lead, possible, &resolution, thorough).await;
        let is_created =
            results.contact.as_ref().is_some_and(|written| written.as_ref().is_ok_and(|w| w.created));
        earlier.contact_created |= is_created;
        let mut outcomes = Outcomes::new();
        let mut creation_reported = false;
        for (planned, resolved) in possible.iter().zip(&resolution.actions) {
            let mut outcome = results.outcome(lead, &planned.action, planned.external_id(lead));
            outcome = outcome.map(|effect| effect.without(results.omissions(&resolved.writes)));
            // Only the first action that creates the contact reports it as created.
            if let Ok(effect) = &mut outcome
                && is_person(planned.action.object())
            {
                let is_first = creates_contact(&planned.action) && !creation_reported;
                effect.created = earlier.contact_created && is_first;
                creation_reported |= effect.created;
            }
            let failed = outcome.is_err();
            outcomes.push(outcome);
            if failed {
                return outcomes;
            }
        }
        outcomes.extend(impossible.map(|(_, failure)| Err(failure.into())));
        outcomes
    }
}

/// What earlier rounds of a plan have found out.
#[derive(Default)]
struct EarlierRounds {
    /// The contact that has the lead's address, as `HubSpot` named it.
    conflicting_id: Option<String>,
    contact_created: bool,
}

/// The first action that needs a record that neither exists nor is created by an earlier action, with its
/// failure.
fn first_impossible(
    lead: &LeadId,
    actions: &[PlannedAction],
    resolution: &Resolution,
) -> Option<(usize, Failure)> {
    let mut has_contact = resolution.contact.is_some();
    for (index, planned) in actions.iter().enumerate() {
        has_contact |= creates_contact(&planned.action);
        let missing = |what: &str| {
            let message = format!("there is no {what} in HubSpot to change");
            Some((index, Failure::permanent("crm_record_missing", message).on(DEPENDENCY)))
        };
        if !has_contact {
            return missing("contact of the lead");
        }
        let id = planned.external_id(lead);
        let is_created = || actions[..index].iter().any(|earlier| earlier.external_id(lead) == id);
        let is_update = !is_person(planned.action.object()) && planned.action.mode() == Mode::Update;
        if is_update && !resolution.others.contains_key(id) && !is_created() {
            return missing(if planned.action.object() == Object::Task { "task" } else { "deal" });
        }
    }
    None
}
