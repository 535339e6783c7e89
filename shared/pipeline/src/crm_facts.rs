use crm::{About, Known};
use enrichment::{Enrichment, Mailbox};
use lead::{Failure, Stage};
use serde_json::Value;
use store::{CrmFacts, Work};

use crate::permission::Permission;
use crate::{Pipeline, judge};

impl Pipeline {
    /// Reads the CRM's facts about the person and the company before the judgement, once for each round. They
    /// replace the CRM fields of the webhook.
    ///
    /// The lead waits for a CRM that is down, as it does when writing: without the CRM a judgement could not
    /// be written and could contradict the CRM's data. The wait is bounded: on the last attempt, or if the
    /// CRM refuses the read, the lead is judged by the webhook's CRM fields, and the audit trail says so.
    pub(crate) async fn load_crm_facts(
        &self,
        permission: &Permission,
        work: &mut Work,
        enrichment: &Enrichment,
    ) -> Result<(), Failure> {
        if work.crm_facts.is_none() {
            let facts = self.read_crm_facts(permission, work, enrichment).await?;
            if facts == CrmFacts::NotAsked {
                work.crm_facts = Some(facts);
            } else {
                work.crm_read(self.guard.provider(), self.clock.now(), facts);
            }
        }
        let facts = work.crm_facts.clone();
        if let Some(CrmFacts::Known(known)) = &facts {
            let sent = std::mem::take(&mut work.lead.salesforce);
            known.overlay(&mut work.lead.salesforce);
            // The webhook's CRM fields are no longer facts, but an opt-out in them still counts.
            if !sent.is_empty() {
                work.lead.attributes.insert("salesforce".to_owned(), Value::Object(sent));
            }
        }
        Ok(())
    }

    /// The CRM's facts about a person. `None` for a CRM that holds only our own writes.
    pub(crate) async fn crm_facts(
        &self,
        _permission: &Permission,
        about: &About,
    ) -> Result<Option<Known>, Failure> {
        self.guard.facts(about).await
    }

    async fn read_crm_facts(
        &self,
        permission: &Permission,
        work: &Work,
        enrichment: &Enrichment,
    ) -> Result<CrmFacts, Failure> {
        let attempt = work.attempts.at(Stage::CrmRead).saturating_add(1);
        let email = &work.lead.email;
        let employer = Some(email.domain()).filter(|domain| Mailbox::of(domain) == Mailbox::Corporate);
        let company_domain = enrichment.found().map(|company| company.domain.clone());
        let about = About {
            lead_id: work.lead_id.clone(),
            email: email.clone(),
            company_domain: company_domain.or_else(|| employer.map(str::to_owned)),
        };
        match self.crm_facts(permission, &about).await {
            Ok(Some(known)) => Ok(CrmFacts::Known(known)),
            Ok(None) => Ok(CrmFacts::NotAsked),
            Err(failure) if judge::should_fall_back(&failure, attempt) => {
                tracing::warn!(code = %failure.code, "CRM read failed: judging without CRM facts");
                Ok(CrmFacts::Unreadable(failure.code.into_owned()))
            }
            Err(failure) => Err(failure),
        }
    }
}
