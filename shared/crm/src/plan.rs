use lead::{DeliveryId, LeadId};
use serde::{Deserialize, Serialize};

use crate::{Action, ActionId, PlannedAction, Round};

/// All actions that result from one judgement of a lead, in order.
///
/// Only [`Plan::new`] creates a plan, so that ids and positions are always the derived ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The lead, which is also the external id of its record.
    pub lead_id: LeadId,
    /// The delivery that was judged.
    pub delivery_id: DeliveryId,
    /// The company's domain, for the limit per account. None for a private mailbox, since its domain is no
    /// account.
    pub account: Option<String>,
    /// The actions, first to last.
    pub actions: Vec<PlannedAction>,
}

impl Plan {
    /// The plan of one judgement or reassignment of a delivery.
    pub fn new(
        lead_id: LeadId,
        delivery_id: DeliveryId,
        round: impl Into<Round>,
        account: Option<String>,
        actions: Vec<Action>,
    ) -> Self {
        let round = round.into();
        let actions = (0..)
            .zip(actions)
            .map(|(position, action)| {
                let action_id = ActionId::derive(&action, &lead_id, &delivery_id, round);
                PlannedAction::new(action_id, position, action)
            })
            .collect();
        Self { lead_id, delivery_id, account, actions }
    }
}
