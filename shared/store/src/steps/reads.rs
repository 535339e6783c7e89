//! Reads that leads make at the same time, in one statement for all of them.

use breaker::HealthRecord;
use database::SharedReads;
use futures::FutureExt as _;
use lead::{Dependency, EmailAddress};

use crate::crm_hold::crm_holds;
use crate::suppression::suppressed_all;
use crate::{CrmHold, Result, Store, SuppressionKind};

/// The shared reads of a store.
pub(super) struct Reads {
    suppressed: SharedReads<EmailAddress, Option<SuppressionKind>>,
    health: SharedReads<Dependency, HealthRecord>,
    holds: SharedReads<String, Option<CrmHold>>,
}

impl Reads {
    pub(super) fn new(store: &Store) -> Self {
        let people = store.clone();
        let suppressed = SharedReads::new(move |emails: Vec<EmailAddress>| {
            let store = people.clone();
            async move {
                let mut connection = store.database.pool().acquire().await?;
                suppressed_all(&mut connection, &emails).await
            }
            .boxed()
        });
        let systems = store.clone();
        let health = SharedReads::new(move |dependencies: Vec<Dependency>| {
            let store = systems.clone();
            async move { store.health_of(&dependencies).await }.boxed()
        });
        let crms = store.clone();
        let holds = SharedReads::new(move |providers: Vec<String>| {
            let store = crms.clone();
            async move {
                let mut connection = store.database.pool().acquire().await?;
                let holds = crm_holds(&mut connection).await?;
                Ok(providers.iter().map(|provider| holds.get(provider).cloned()).collect())
            }
            .boxed()
        });
        Self { suppressed, health, holds }
    }

    pub(super) async fn suppressed(&self, email: &EmailAddress) -> Result<Option<SuppressionKind>> {
        self.suppressed.read(email.clone()).await
    }

    pub(super) async fn health(&self, dependency: &Dependency) -> Result<HealthRecord> {
        self.health.read(dependency.clone()).await
    }

    pub(super) async fn crm_hold(&self, provider: &str) -> Result<Option<CrmHold>> {
        self.holds.read(provider.to_owned()).await
    }
}
