//! What the source of a lead says about it, as facts.

use analysis::fact_sheet;
use enrichment::Enrichment;
use grounding::{FactSheet, Namespace};
use lead::{Lead, Sender};
use serde_json::{Value, json};
use sources::CallNeed;

use crate::Pipeline;

/// The source states that the person owns the address.
const EMAIL_VERIFIED: &str = "email_verified";
/// The evidence, one piece of which the source requires before a call, while none is there.
const CALL_LACKS: &str = "call_lacks";

impl Pipeline {
    /// The facts of a lead, with those that depend on its source: `computed.email_verified` and
    /// `computed.call_lacks`.
    pub(crate) fn facts_of(&self, lead: &Lead, sender: &Sender, enrichment: &Enrichment) -> FactSheet {
        let mut facts = fact_sheet(lead, enrichment, &self.icp);
        let mut computed = facts.namespace(Namespace::Computed).cloned().unwrap_or_default();
        if sender.email_verified {
            computed.insert(EMAIL_VERIFIED.to_owned(), true.into());
        }
        let needs = self.sources.policy(&sender.name).map_or(&[][..], |policy| &policy.call_needs);
        let is_met = |need: &CallNeed| match need {
            CallNeed::VerifiedEmail => sender.email_verified,
            CallNeed::CompanyDomain => computed.get("company_domain") == Some(&Value::from("agrees")),
        };
        if !needs.is_empty() && !needs.iter().any(is_met) {
            let lacking: Vec<_> = needs.iter().map(|need| need.as_str()).collect();
            computed.insert(CALL_LACKS.to_owned(), json!(lacking));
        }
        facts.set(Namespace::Computed, computed);
        facts
    }
}

/// Copies the facts that depend on the source from an earlier judgement: the stored content does not have
/// them.
pub(crate) fn copy_trust(from: &FactSheet, to: &mut FactSheet) {
    let Some(judged) = from.namespace(Namespace::Computed) else { return };
    let mut computed = to.namespace(Namespace::Computed).cloned().unwrap_or_default();
    for name in [EMAIL_VERIFIED, CALL_LACKS] {
        if let Some(value) = judged.get(name) {
            computed.insert(name.to_owned(), value.clone());
        }
    }
    to.set(Namespace::Computed, computed);
}
