use std::sync::Arc;

use crm::{ActionId, Outcome};
use enrichment::Enrichment;
use serde_json::Value;

use crate::{AnalysisRecord, Assignment, CrmFacts, CrmRead, RejectedAnswer, Work};

/// A result of a step of the work that is not saved yet.
#[derive(Clone, Debug)]
pub enum Change {
    /// A worker began.
    Started {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The providers were queried.
    Enriched {
        /// Their result.
        enrichment: Enrichment,
        /// The detail for the audit trail.
        detail: Value,
    },
    /// The CRM was read.
    CrmRead(CrmRead),
    /// The lead was judged.
    Judged {
        /// The judgement.
        analysis: Arc<AnalysisRecord>,
        /// The answer before a correction, if the contract rejected it.
        first: Option<RejectedAnswer>,
    },
    /// The lead was left to the CRM, or assigned to an owner, without any use of the routing counters.
    Assigned(Assignment),
}

impl Work {
    /// Takes the result of enrichment.
    pub fn enriched(&mut self, enrichment: Enrichment, detail: Value) {
        self.add(Change::Enriched { enrichment: enrichment.clone(), detail });
        self.enrichment = Some(enrichment);
    }

    /// Takes the facts read from a CRM before the judgement.
    pub fn crm_read(&mut self, provider: &str, at: jiff::Timestamp, facts: CrmFacts) {
        let (provider, at) = (Some(provider.to_owned()), Some(at));
        self.add(Change::CrmRead(CrmRead { round: self.round, provider, at, facts: facts.clone() }));
        self.crm_facts = Some(facts);
    }

    /// Takes the judgement. `first` is the answer before a correction, if the contract rejected it; the audit
    /// trail then names the rejection. `analysis` holds the cost of both answers.
    pub fn judged(&mut self, analysis: AnalysisRecord, first: Option<RejectedAnswer>) -> Arc<AnalysisRecord> {
        let analysis = Arc::new(analysis);
        self.add(Change::Judged { analysis: Arc::clone(&analysis), first });
        self.analysis = Some(Arc::clone(&analysis));
        analysis
    }

    pub(crate) fn add(&mut self, change: Change) {
        self.unsaved.push(Arc::new(change));
    }

    /// Takes the outcomes of actions that are saved with the end of the work.
    pub(super) fn done(&mut self, outcomes: &[(ActionId, Outcome)]) {
        self.outcomes.extend_from_slice(outcomes);
    }
}
