//! Leads, deliveries, analyses, audit trail and CRM ledger.
//!
//! Every step of a lead's way is written here before the next one begins, together with its audit event and in
//! one transaction, so that a process that dies anywhere leaves a state from which another continues.
//!
//! - [`Store::accept`] and [`Store::begin_work`] decide what a delivery is: new, a revision, a duplicate, superseded.
//! - [`Store::save_enrichment`], [`Store::save_analysis`], [`Store::finish`] keep what each step found out.
//! - [`Store::record_retry`] and [`Store::record_dead_letter`] keep what went wrong.
//! - [`Store::reopen`] puts a delivery up for judgement again: redrive, replay, second look.
//! - [`Store::assign`] gives a lead to somebody; [`Store::review`] keeps what a person decides about one that is held.
//! - [`Store::suppressed`] says who is neither judged nor written to a CRM, [`Store::erase`] removes a person.
//! - [`Store::save_crm_facts`], [`Store::promote`], [`Store::record_restored`] keep what surrounds the CRM, and
//!   [`SharedLimits`] counts what is sent to it.
//! - The rest reads.

mod accept;
mod analysis;
mod assignment;
mod attempts;
mod audit;
mod codec;
mod crm;
mod cursor;
mod dead_letter;
mod enrichment;
mod erasure;
mod health;
mod leads;
mod ledger;
mod left_out;
mod limits;
mod owner_load;
mod parking;
mod person;
mod quarantine;
mod reopen;
mod review;
mod spending;
mod stored;
mod suppression;
mod synthetic;
mod unenriched;
mod work;

pub use ::crm::Omission;
pub use accept::Accept;
pub use analysis::{AnalysisRecord, RejectedAnswer};
pub use assignment::{Assignment, Breach, Told};
pub use attempts::Attempts;
pub use audit::{AuditEvent, AuditKind};
pub use crm::{CrmFacts, CrmHold, CrmRead, PlannedWrite, WrittenAction};
pub use cursor::Cursor;
pub use dead_letter::{DeadLetter, DeadLetterBody};
pub use erasure::{ByHand, Erasure, Found};
pub use leads::{Awaits, DeliveryRecord, LeadFilter, LeadRecord};
pub use ledger::{ActionRecord, SUPERSEDED};
pub use left_out::LeftOutOf;
pub use limits::SharedLimits;
pub use owner_load::OwnerCount;
pub use person::email_hash;
pub use quarantine::{QuarantineItem, Quarantined};
pub use review::{ReviewDecision, Reviewed, Verdict};
pub use stored::{Basis, Scope, Spent, StoredAnalyses, StoredAnalysis};
pub use suppression::{Removal, Suppressed, Suppression, SuppressionKind};
pub use unenriched::{MAX_ENRICH_TRIES, Unenriched};
pub use work::{Begun, Finish, Work};

use std::sync::Arc;
use std::time::Duration;

use database::{Database, DatabaseError, WriteTransaction};
use lead::{Clock, LeadId};

/// Everything that is kept, on one database. Clones share it.
#[derive(Clone)]
pub struct Store {
    database: Database,
    clock: Arc<dyn Clock>,
    retry_window: Duration,
}

/// What store calls return.
type Result<T, E = DatabaseError> = std::result::Result<T, E>;

impl Store {
    /// A store on a migrated database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, retry_window: Duration::ZERO }
    }

    /// The same store, for senders that retry without a `webhook-id`: an older content of a lead that comes again within
    /// `window` counts as a retry of it, and not as a return to it. Zero, the default, counts none.
    #[must_use]
    pub fn with_retry_window(self, window: Duration) -> Self {
        Self { retry_window: window, ..self }
    }

    /// The database underneath.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Begins a transaction that writes about one lead, and takes the lead's row before anything else: those who write
    /// about one lead wait for each other at this one place. Nothing else keeps two of them from giving the same number to
    /// an audit event, or from waiting for each other's rows for ever.
    async fn begin_on(&self, lead: &LeadId) -> Result<WriteTransaction> {
        let mut transaction = self.database.begin().await?;
        sqlx::query("UPDATE lead SET revision = revision WHERE lead_id = $1")
            .bind(lead.as_str())
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }

    fn now_millis(&self) -> i64 {
        database::to_millis(self.clock.now())
    }
}
