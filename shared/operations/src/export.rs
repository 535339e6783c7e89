//! Export of everything that is stored about a person.

use janitor::rows_of_leads;
use lead::{Actor, EmailAddress};
use serde::Serialize;
use serde_json::json;
use store::{ActKind, PersonExport};

use crate::operations::{OperationError, Operations};

/// The data of a person, and the places that an export does not read.
// There is no `Debug`, because it is personal data.
#[derive(Clone, Serialize, utoipa::ToSchema)]
pub struct Export {
    /// The systems that were read.
    pub systems: Vec<String>,
    /// The stored data.
    #[serde(flatten)]
    pub person: PersonExport,
    /// Messages of the person's leads in a queue outside of the database. They hold the same data as the
    /// deliveries.
    pub queued_messages: u64,
    /// The places that may hold data of the person and were not read.
    pub elsewhere: Vec<&'static str>,
}

impl Operations {
    /// Reads everything that is stored about a person. Changes nothing, but the act is in the audit trail.
    pub async fn export_person(&self, actor: &Actor, email: &EmailAddress) -> Result<Export, OperationError> {
        let person = self.store().export(email, &rows_of_leads()).await?;
        let mut queued_messages = 0;
        for (lead, deliveries) in self.store().deliveries_of(email).await? {
            queued_messages += self.queue().forget(&lead, &deliveries, false).await?;
        }
        let (database, queue) = (self.store().database().backend().as_str(), self.queue().backend());
        let mut elsewhere = match queue {
            "redis" => vec!["SPOOL_DIR: leads that wait to be sent to Redis, and unreadable lines"],
            "sqs" => vec![
                "SQS and its dead letter queue: leads that wait; they cannot be searched",
                "the overflow bucket and SPOOL_DIR: leads that wait to be sent to SQS, and rejected bodies",
            ],
            _ => Vec::new(),
        };
        elsewhere.extend([
            "the CRM: the records that the ledger (`crm_action`) names by `record_id`",
            "the AI provider, where one is configured: the facts of each analysis, as long as its terms say",
            "the enrichment providers, where any are configured: the domain of the address, as long as their terms say",
            "rejected bodies and dead letters that do not hold the address or are compressed",
            "leads of other persons that mention this one: they are not searched",
            "logs and alerts, as long as they are kept: ids of leads, network addresses of senders",
            "backups and snapshots of the database, as long as they are kept",
        ]);
        let detail = json!({ "leads": person.leads.len() });
        self.store().record_act(actor, ActKind::PersonExported, &detail).await?;
        let systems = vec![format!("database ({database})"), format!("queue ({queue})")];
        Ok(Export { systems, person, queued_messages, elsewhere })
    }
}
