//! The writes of the pipeline's steps.
//!
//! A step that costs nothing outside leaves its result in [`Work`], unsaved. [`Steps`] saves what has
//! gathered there before a call whose answer must not be lost, before the first effect on the CRM, and at the
//! end of the work. Leads that are at such a point at the same time share a transaction, of a few statements
//! for all of them.

mod begin;
mod change;
mod end;
mod ledger;
mod plan;
mod reads;
mod rows;
mod save;

use std::sync::Arc;

use async_trait::async_trait;
use breaker::{Health, HealthChange, HealthRecord};
use database::{Connection, DatabaseError, Group};
use lead::{Dependency, EmailAddress, Failure, LeadEvent};
use routing::{LeadFacts, Routing};
use serde_json::Value;

use self::begin::Begins;
pub use self::change::Change;
pub use self::ledger::WorkLedger;
use self::reads::Reads;
use self::save::{Call, Reply, Saves, Then};
use crate::assignment::Routed;
use crate::{Assignment, Begun, CrmHold, Finish, Result, SharedLimits, Store, SuppressionKind, Work};

/// A message that is removed from a queue in the database, in the transaction that ends its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The group of the message.
    pub key: String,
    /// The lease of its receiver.
    pub token: String,
}

/// A queue in the same database as the store.
#[async_trait]
pub trait Acknowledge: Send + Sync {
    /// Removes leased messages inside the caller's transaction. Returns for each, in their order, whether its
    /// lease was still held; the others are left as they are.
    async fn acknowledge(
        &self,
        connection: &mut Connection,
        messages: &[&Acknowledgement],
    ) -> Result<Vec<bool>, DatabaseError>;
}

/// The reason why results of a step are not saved.
#[derive(Debug)]
pub enum NotSaved {
    /// Another worker has saved a result of the same step first: the work begins again from what is saved.
    Raced,
    /// The person was erased during the work.
    Erased,
    /// The database failed.
    Failed(DatabaseError),
}

impl From<DatabaseError> for NotSaved {
    fn from(error: DatabaseError) -> Self {
        Self::Failed(error)
    }
}

/// The pipeline's access to the store. Clones share it.
#[derive(Clone)]
pub struct Steps {
    store: Store,
    begins: Arc<Begins>,
    saves: Arc<Group<Saves>>,
    reads: Arc<Reads>,
    limits: Option<Arc<SharedLimits>>,
}

impl Steps {
    /// The steps of work in a store.
    pub fn new(store: Store) -> Self {
        Self::with(store, None, None)
    }

    /// The steps of work in a store, of plans that are counted towards limits when they begin, and of
    /// messages of a queue in the same database, if there is one.
    pub fn with(
        store: Store,
        limits: Option<Arc<SharedLimits>>,
        queue: Option<Arc<dyn Acknowledge>>,
    ) -> Self {
        let saves = Saves { store: store.clone(), queue, limits: limits.clone() };
        let saves = Group::new(store.database.clone(), saves);
        let begins = Arc::new(Begins::new(store.clone()));
        Self { begins, saves: Arc::new(saves), reads: Arc::new(Reads::new(&store)), limits, store }
    }

    /// Begins work on a delivery: accepts it unless that has already happened, and sets the lead's status,
    /// which may remain unsaved.
    pub async fn begin(&self, event: &LeadEvent, attempt: u32) -> Result<Begun> {
        self.begins.begin(event, attempt).await
    }

    /// The kind of entry on the suppression list that matches an address; none if it is not on the list.
    pub async fn suppressed(&self, email: &EmailAddress) -> Result<Option<SuppressionKind>> {
        self.reads.suppressed(email).await
    }

    /// The hold on a CRM; none if it is not on hold.
    pub async fn crm_hold(&self, provider: &str) -> Result<Option<CrmHold>> {
        self.reads.crm_hold(provider).await
    }

    /// Saves the unsaved results.
    pub async fn save(&self, work: &mut Work) -> Result<(), NotSaved> {
        if work.is_unsaved() {
            self.write(work, Then::Nothing).await?;
        }
        Ok(())
    }

    /// Assigns an owner to the delivery, once for each round: repeated calls return the same assignment.
    ///
    /// A lead that the rules leave to the CRM without any look at the routing counters is assigned unsaved.
    pub async fn assign(
        &self,
        work: &mut Work,
        routing: &Arc<Routing>,
        facts: LeadFacts,
    ) -> Result<Assignment, NotSaved> {
        if !work.known.assignment
            && let Some(assignment) = Assignment::without_owner(work, routing, &facts, self.store.clock.now())
        {
            work.add(Change::Assigned(assignment.clone()));
            work.known.assignment = true;
            return Ok(assignment);
        }
        let routed = Routed::of(work);
        let then = Then::Assign { routed, routing: Arc::clone(routing), facts: Box::new(facts) };
        match self.write(work, then).await? {
            Reply::Assigned(assignment) => {
                work.known.assignment = true;
                Ok(*assignment)
            }
            _ => Err(NotSaved::Erased),
        }
    }

    /// Ends a delivery successfully, with its unsaved results; `effects` go into the audit trail. Idempotent.
    ///
    /// Returns whether `message` was removed from its queue in the same transaction.
    pub async fn end(
        &self,
        work: &mut Work,
        finish: Finish,
        effects: Value,
        message: Option<Acknowledgement>,
    ) -> Result<bool, NotSaved> {
        let reply = self.write(work, Then::Finish { finish: Box::new(finish), effects, message }).await?;
        Ok(matches!(reply, Reply::Finished { acknowledged: true }))
    }

    /// The ledger of a plan for this lead, which saves the results with the plan.
    pub fn ledger<'a>(&'a self, work: &'a mut Work) -> WorkLedger<'a> {
        WorkLedger::new(self, work)
    }

    /// Saves the unsaved results together with another step. They remain unsaved if that fails.
    async fn write(&self, work: &mut Work, then: Then) -> Result<Reply, NotSaved> {
        let is_behind = matches!(then, Then::Assign { .. });
        let call = Call::new(work, then);
        let reply = self.saves.call(work.lead_id.as_str(), call).await?;
        match reply {
            Reply::Raced => Err(NotSaved::Raced),
            Reply::Erased => Err(NotSaved::Erased),
            saved => {
                work.saved(is_behind);
                Ok(saved)
            }
        }
    }
}

#[async_trait]
impl Health for Steps {
    async fn load(&self, dependency: &Dependency) -> Result<HealthRecord, Failure> {
        Ok(self.reads.health(dependency).await?)
    }

    async fn update(&self, dependency: &Dependency, change: &mut HealthChange<'_>) -> Result<(), Failure> {
        self.store.update(dependency, change).await
    }
}
