//! Erasure of a person, and its certificate.

use database::Traces;
use janitor::rows_of_leads;
use lead::{Actor, EmailAddress};
use serde::Serialize;
use store::{Erasure, Found, Suppressed};

use crate::operations::{OperationError, Operations};

/// The record of an erasure, including the data that it cannot reach.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Certificate {
    /// The data that was found, and its treatment.
    #[serde(flatten)]
    pub erasure: Erasure,
    /// The data that remains elsewhere, and for how long.
    pub remains: Vec<&'static str>,
}

/// The reason of a suppression that an erasure adds.
const ERASED_ON_REQUEST: &str = "erased on request";

impl Operations {
    /// Erases a person from the queue and the database; without `apply`, only reports the data. With
    /// `suppress`, the person is first added to the suppression list, so that a new post is not written in
    /// the meantime.
    ///
    /// The queue precedes the database, because finished jobs in the queue are found by the deliveries in the
    /// database. After a crash between the two, repeat the erasure.
    pub async fn erase(
        &self,
        actor: &Actor,
        email: &EmailAddress,
        apply: bool,
        suppress: bool,
    ) -> Result<Certificate, OperationError> {
        if apply && suppress {
            let person = Suppressed::Address(email.clone());
            self.store().suppress(actor, &person, ERASED_ON_REQUEST).await?;
        }
        let mut messages = 0;
        for (lead, deliveries) in self.store().deliveries_of(email).await? {
            messages += self.queue().forget(&lead, &deliveries, apply).await?;
        }
        let mut erasure = self.store().erase(actor, email, &rows_of_leads(), apply).await?;
        if messages > 0 {
            let place = format!("{} queue", self.queue().backend());
            erasure.found.push(Found { place, count: messages, becomes: Found::REMOVED });
        }
        let remains = remains(&erasure, self.queue().backend());
        Ok(Certificate { erasure, remains })
    }
}

/// The data that an erasure cannot reach, with its location and its end.
fn remains(erasure: &Erasure, queue: &str) -> Vec<&'static str> {
    let mut remains = Vec::new();
    match erasure.traces {
        Traces::None => {}
        Traces::Log => remains.push(
            "the database's write-ahead log: another process was reading, so it could not be emptied; run the erasure again",
        ),
        Traces::FreeSpace => remains.push(
            "free space of the database file, from before deleted content was overwritten: `revenueflow migrate` rewrites the file, which needs free disk space",
        ),
        Traces::DeadRows => remains.extend([
            "PostgreSQL: dead rows until VACUUM (lead, delivery, analysis, crm_action, audit_event, queue_message, dead_letter, quarantine), which autovacuum runs when about a fifth of a table has changed; then unused space of pages until it is used again, or VACUUM FULL rewrites the table",
            "PostgreSQL: its write-ahead log until its files are recycled (after some checkpoints, within max_wal_size) and as long as archives, point-in-time recovery and replication slots keep them; its replicas follow",
        ]),
    }
    if !erasure.by_hand.is_empty() {
        remains.push(
            "the CRM: the records listed in this certificate, with their history there, until they are removed by hand",
        );
    }
    match queue {
        "redis" => remains.extend([
            "Redis: its append-only file and its snapshots until it rewrites them, its replicas, and the job data that workers of other applications keep",
            "SPOOL_DIR: the person's leads there are dropped when they are read; lines put aside in N.unreadable.jsonl stay until these files are removed by hand",
        ]),
        "sqs" => remains.extend([
            "SQS, with its dead letter queue: messages and copies of them are dropped when they are received, and expire after 14 days at most",
            "the overflow bucket: a lead in it is dropped when it is processed and does not expire before that; its removed versions expire after 14 days, rejected bodies after 30",
            "SPOOL_DIR of processes outside of AWS: the person's leads there are dropped when they are read; lines put aside in N.unreadable.jsonl stay until these files are removed by hand",
        ]),
        _ => {}
    }
    remains.extend([
        "rejected bodies that do not hold the address or are compressed: a search cannot find them; they are removed after QUARANTINE_KEEP_DAYS",
        "leads of other persons that mention this one, such as a colleague: they are not searched",
        "the hash of the address and the ids of the leads, which are hashes of address and campaign, in the ledger, the audit trail and this certificate",
        "logs and alerts, ours and those of a proxy or gateway: ids of leads, network addresses of senders; as long as they are kept",
        "the AI provider, where one is configured: the facts that it was asked about, as long as its terms say",
        "the enrichment providers, where any are configured: the domain of the address, as long as their terms say",
        "backups and snapshots of the database and of its disk: as long as they are kept",
    ]);
    remains.push(if erasure.on_suppression_list {
        "the sender of the leads, which may post the person again: the suppression list keeps them out of the AI and the CRM"
    } else {
        "the sender of the leads, which may post the person again as a new lead: the suppression list would keep them out of the AI and the CRM"
    });
    remains
}

#[cfg(test)]
mod tests {
    use database::testing::{TestDatabase, tables};
    use on_both::on_both;

    use super::*;

    /// The tables of the store that an erasure treats in other ways than by deleting the rows of a lead.
    const BY_STORE: [&str; 5] = ["audit_event", "crm_action", "lead", "lead_assignment", "quarantine"];

    /// The tables without personal data: hashes, companies, owners, and the state of outside systems.
    const NOT_PERSONAL: [&str; 17] = [
        "audit_act",
        "audit_act_head",
        "crm_hold",
        "crm_limit",
        "dependency_health",
        "enrichment_answer",
        "erased_lead",
        "erased_person",
        "expired_lead",
        "owner_load",
        "queue_pause",
        "retention_pass",
        "routing_turn",
        "source_usage",
        "spending",
        "suppression",
        "suppression_removal",
    ];

    #[on_both]
    async fn every_table_is_erased_or_not_personal(database: TestDatabase) {
        let rows = rows_of_leads();
        let mut known: Vec<_> =
            rows.iter().map(|rows| rows.table).chain(BY_STORE).chain(NOT_PERSONAL).collect();
        known.sort_unstable();
        assert_eq!(tables(&database.connect().await).await, known);
    }
}
