//! The state of the queue, the enrichment providers and the CRM, for a check of an installation.

use std::collections::BTreeMap;

use ::crm::{Omission, OwnerStatus, SchemaProblem};
use enrichment::ProviderState;
use jiff::{SignedDuration, Timestamp};
use lead::LeadId;
use queue::{Depth, Pause};

use crate::operations::{OperationError, Operations};

/// Maximum number of effects on the CRM whose omissions are counted, from the newest.
const MAX_EFFECTS: u32 = 1_000;

/// The state of the queue.
#[derive(Clone, Debug)]
pub struct QueueState {
    /// The kind of queue.
    pub backend: &'static str,
    /// The messages in it.
    pub depth: Depth,
    /// The pauses of consumption.
    pub pauses: Vec<Pause>,
    /// The number of dead letters.
    pub dead_letters: i64,
}

/// An owner in the routing file.
#[derive(Clone, Debug)]
pub struct RoutedOwner {
    /// The name in the routing file.
    pub name: String,
    /// The id in the CRM.
    pub id: String,
    /// The status in the CRM; unknown also if the CRM does not answer.
    pub status: OwnerStatus,
}

/// The comparison of the field mapping with the CRM.
#[derive(Clone, Debug)]
pub struct MappingState {
    /// The version of the mapping.
    pub version: String,
    /// The number of mapped fields.
    pub fields: usize,
    /// The fields that the CRM lacks or does not let us write.
    pub problems: Vec<SchemaProblem>,
}

/// The fields that recent writes to the CRM omitted.
#[derive(Clone, Debug)]
pub struct Omissions {
    /// The newest lead with an omission.
    pub newest: LeadId,
    /// The number of effects by omitted field and reason.
    pub counts: BTreeMap<Omission, usize>,
}

impl Operations {
    /// The state of the queue.
    pub async fn queue_state(&self) -> Result<QueueState, OperationError> {
        Ok(QueueState {
            backend: self.queue.backend(),
            depth: self.queue.depth().await?,
            pauses: self.queue.pauses().await?,
            dead_letters: self.store.count_dead_letters().await?,
        })
    }

    /// The states of the enrichment providers. Checks credentials if that is free; looks up no company.
    pub async fn enrichment_states(&self) -> Vec<ProviderState> {
        self.pipeline.enrichment.states().await
    }

    /// Probes the CRM, and gives the account that it answers for, if it names one.
    pub async fn crm_account(&self) -> Result<Option<String>, OperationError> {
        self.pipeline.guard.probe().await?;
        Ok(self.pipeline.guard.account().await?)
    }

    /// The owners in the routing file, each with its status in the CRM.
    pub async fn owners(&self) -> Vec<RoutedOwner> {
        let routing = &self.pipeline.routing;
        let ids: Vec<String> = routing.owner_ids().map(ToString::to_string).collect();
        let statuses = self.pipeline.guard.owners(&ids).await;
        let owner = |(name, id): (&str, &_)| {
            let id = ToString::to_string(id);
            let status = statuses.get(&id).copied().unwrap_or(OwnerStatus::Unknown);
            RoutedOwner { name: name.to_owned(), id, status }
        };
        routing.owner_names().map(owner).collect()
    }

    /// Compares the field mapping with the CRM.
    pub async fn mapping_state(&self) -> Result<MappingState, OperationError> {
        let guard = &self.pipeline.guard;
        let mapping = guard.mapping();
        Ok(MappingState {
            version: mapping.version().to_owned(),
            fields: mapping.objects().map(|(_, object)| object.rules().len()).sum(),
            problems: guard.schema_problems().await?,
        })
    }

    /// The fields that writes to the CRM omitted within this time. `None` without an omission.
    pub async fn omissions(&self, within: SignedDuration) -> Result<Option<Omissions>, OperationError> {
        let since = self.pipeline.clock.now().saturating_sub(within).unwrap_or(Timestamp::UNIX_EPOCH);
        let effects = self.store.left_out(self.pipeline.guard.provider(), since, MAX_EFFECTS).await?;
        let Some(newest) = effects.first().map(|effect| effect.lead_id.clone()) else { return Ok(None) };
        let mut counts = BTreeMap::new();
        for omission in effects.into_iter().flat_map(|effect| effect.left_out) {
            *counts.entry(omission).or_default() += 1;
        }
        Ok(Some(Omissions { newest, counts }))
    }
}
