//! Leads, deliveries, analyses, audit trail and CRM ledger.
//!
//! The results of the pipeline's steps gather in [`Work`], and are committed with their audit events before
//! anything outside depends on them. A process may therefore die at any point, and another one continues from
//! the committed state.
//!
//! - [`Store::accept`] and [`Steps::begin`] classify a delivery: new, a revision, a duplicate or superseded.
//! - [`Steps`] saves the results of the steps, the ledger's rows of a plan, and the end of the work. Leads
//!   that are at the same point at the same time share a transaction.
//! - [`Store::record_retry`] and [`Store::record_dead_letter`] save failures.
//! - [`Store::reopen`] reopens a delivery for redrive, replay or rescoring.
//! - [`Steps::assign`] assigns a lead to an owner; [`Store::review`] saves a reviewer's decision about a held
//!   lead.
//! - [`Store::suppressed`] looks an address up in the suppression list; [`Store::erase`] removes a person.
//! - [`Store::retain_leads`] removes data after its retention.
//! - [`Store::promote`] and [`Store::record_restored`] save the state around CRM writes; [`SharedLimits`]
//!   enforces the rate limits on them.
//! - The other methods read.

mod acts;
mod analysis;
mod assignment;
mod attempts;
mod audit;
mod changes;
mod codec;
mod crm_facts;
mod crm_hold;
mod cursor;
mod dead_letters;
mod delivery;
mod enrichment_cache;
mod erased;
mod erasure;
mod health;
mod lead_changes;
mod lead_list;
mod leads;
mod ledger;
mod left_out;
mod limits;
mod person;
mod quarantine;
mod retention;
mod spending;
mod state;
mod steps;
mod stored;
mod suppression;
mod usage;
mod work;
mod written;

pub use ::crm::{ActionState, Omission};
pub use acts::{Act, ActKind};
pub use analysis::{AnalysisRecord, RejectedAnswer, RemovedAnswer};
pub use assignment::{Assignment, Breach, CrmSync, OwnerCount};
pub use attempts::Attempts;
pub use audit::{
    AuditBreak, AuditEvent, AuditKind, AuditProblem, ChainPosition, ChainsChecked, HeadTable, remove_chains,
};
pub use crm_facts::{CrmFacts, CrmRead};
pub use crm_hold::CrmHold;
pub use cursor::Cursor;
pub use dead_letters::{DeadLetter, DeadLetterBody};
pub use delivery::{
    Accept, Begun, Finish, MAX_ENRICH_TRIES, Notes, ReviewDecision, Reviewed, Unenriched, Verdict,
};
pub use erasure::{ByHand, Erasure, Found, LEAD_ROWS, LeadExport, PersonExport};
pub use lead_list::{Awaits, LeadFilter};
pub use leads::{DeliveryRecord, LeadRecord};
pub use ledger::ActionRecord;
pub use left_out::EffectOmissions;
pub use limits::SharedLimits;
pub use quarantine::{QuarantineItem, Quarantined};
pub use retention::{Expired, ExpiredKind, Findings, Retention, RetentionBatch, RetentionPass};
pub use state::DeliveryState;
pub use steps::{Acknowledge, Acknowledgement, Change, NotSaved, Steps, WorkLedger};
pub use stored::{Basis, Scope, Spent, StoredAnalyses, StoredAnalysis};
pub use suppression::{Removal, Suppressed, Suppression, SuppressionKind};
pub use usage::{OverLimit, SourceLimits, Turn};
pub use work::{KnownRows, Work};
pub use written::WrittenAction;

use std::sync::Arc;
use std::time::Duration;

use database::{Backend, Connection, Database, DatabaseError, WriteTransaction};
use lead::{Clock, LeadId};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

/// The product's persistent state in one database. Clones share it.
#[derive(Clone)]
pub struct Store {
    database: Database,
    clock: Arc<dyn Clock>,
    retry_window: Duration,
}

/// The result of a store call.
type Result<T, E = DatabaseError> = std::result::Result<T, E>;

impl Store {
    /// A store on a migrated database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, retry_window: Duration::ZERO }
    }

    /// Sets the retry window, for senders that retry without a `webhook-id`: an older content of a lead that
    /// is received again within `window` counts as a retry of that delivery, and not as a return to that
    /// content. Zero, the default, disables this.
    #[must_use]
    pub fn with_retry_window(self, window: Duration) -> Self {
        Self { retry_window: window, ..self }
    }

    /// The underlying database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Begins a transaction that writes about one lead, and locks the lead's row before anything else.
    ///
    /// All writers of one lead queue up on this lock. It is the only guard against two of them assigning the
    /// same sequence number to an audit event, and against deadlocks between them.
    async fn begin_on(&self, lead: &LeadId) -> Result<WriteTransaction> {
        let mut transaction = self.database.begin().await?;
        lock_lead(&mut transaction, lead).await?;
        Ok(transaction)
    }

    /// Reads the rows of a query, outside of any transaction.
    async fn rows(&self, query: Query<'_, Any, AnyArguments>) -> Result<Vec<AnyRow>> {
        Ok(query.fetch_all(self.database.pool()).await?)
    }

    /// Reads the first row of a query, outside of any transaction.
    async fn row(&self, query: Query<'_, Any, AnyArguments>) -> Result<Option<AnyRow>> {
        Ok(query.fetch_optional(self.database.pool()).await?)
    }

    /// Runs one statement in a transaction of its own. Returns the number of rows that it changed.
    async fn execute(&self, query: Query<'_, Any, AnyArguments>) -> Result<u64> {
        let mut transaction = self.database.begin().await?;
        let done = query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }

    fn now_millis(&self) -> i64 {
        database::to_millis(self.clock.now())
    }
}

/// Locks the row of a lead until the transaction ends. On SQLite, a writing transaction excludes all others
/// anyway.
async fn lock_lead(connection: &mut Connection, lead: &LeadId) -> Result<()> {
    if connection.backend() == Backend::Postgres {
        let query = sqlx::query("SELECT 1 FROM lead WHERE lead_id = $1 FOR UPDATE");
        query.bind(lead.as_str()).execute(connection).await?;
    }
    Ok(())
}
