use crm::{About, Known};
use enrichment::{Enrichment, Mailbox};
use lead::{Failure, Stage};
use serde_json::Value;
use store::{CrmFacts, Work};

use crate::permission::Permission;
use crate::{Pipeline, judge};

impl Pipeline {
    /// Reads what the CRM knows of the person and the company before they are judged, once for each round, and puts it in place of
    /// what the sender said about the CRM.
    ///
    /// A CRM that is down is waited for, as it is when writing: a judgement made without it could not be written anyway, and
    /// could contradict what the CRM holds. Nothing waits for ever: on the last attempt, and where the CRM answers that it
    /// will not be read, the lead is judged by what the sender said, and the trail says so.
    pub(crate) async fn ask_the_crm(
        &self,
        permission: &Permission,
        work: &mut Work,
        enrichment: &Enrichment,
    ) -> Result<(), Failure> {
        let facts = match work.crm_facts.take() {
            Some(facts) => facts,
            None => self.read_the_crm(permission, work, enrichment).await?,
        };
        if let CrmFacts::Known(known) = &facts {
            let sent = std::mem::take(&mut work.lead.salesforce);
            known.overlay(&mut work.lead.salesforce);
            // No fact any more, but an opt-out in it still counts.
            if !sent.is_empty() {
                work.lead.attributes.insert("salesforce".to_owned(), Value::Object(sent));
            }
        }
        work.crm_facts = Some(facts);
        Ok(())
    }

    /// What the CRM knows of a person; none for a CRM that knows only what we wrote.
    pub(crate) async fn crm_facts(
        &self,
        _permission: &Permission,
        about: &About,
    ) -> Result<Option<Known>, Failure> {
        self.guard.facts(about).await
    }

    async fn read_the_crm(
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
        let facts = match self.crm_facts(permission, &about).await {
            Ok(Some(known)) => CrmFacts::Known(known),
            Ok(None) => return Ok(CrmFacts::NotAsked),
            Err(failure) if judge::gives_up(&failure, attempt) => {
                tracing::warn!(code = %failure.code, "the CRM cannot be read: judged without it");
                CrmFacts::Unreadable(failure.code.into_owned())
            }
            Err(failure) => return Err(failure),
        };
        Ok(self.store.save_crm_facts(work, self.guard.provider(), facts).await?)
    }
}
