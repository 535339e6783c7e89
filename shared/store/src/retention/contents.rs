use database::{Connection, Rows};
use grounding::FactSheet;
use lead::LeadStatus;
use sha2::{Digest as _, Sha256};
use sqlx::any::AnyRow;

use super::scan::{Seen, lock};
use super::{Expired, ExpiredKind};
use crate::codec::{Columns as _, to_json};
use crate::{Result, Store};

/// Contents that are due, by table.
struct Due {
    deliveries: Vec<(String, i64)>,
    answers: Vec<(String, i64)>,
    changes: Vec<(String, i64)>,
}

impl Store {
    /// Removes the contents of settled leads that are older than `before`, in one transaction; without
    /// `apply` only counts them.
    ///
    /// - Of deliveries that are not their lead's newest: the content, and the CRM's facts that were read for
    ///   them. The content hash stays, so that retries are still recognised.
    /// - Of analyses: the raw answer; its hash and the verdict stay. The facts stay with the newest
    ///   delivery. A held lead keeps the answer that a reviewer has to decide about.
    /// - In the ledger: the field changes with the old values; the action, its parameters and its outcome
    ///   stay.
    pub(super) async fn remove_contents(
        &self,
        leads: &[&Seen],
        before: i64,
        now: i64,
        apply: bool,
    ) -> Result<Expired> {
        // Most leads have nothing left to remove, and reading blocks no writer.
        let mut reader = self.database.pool().acquire().await?;
        let mut due = Due::of(&mut reader, leads, before).await?;
        drop(reader);
        if apply && !due.is_empty() {
            let mut transaction = self.database.begin().await?;
            let leads = lock(&mut transaction, leads).await?;
            due = Due::of(&mut transaction, &leads, before).await?;
            due.remove(&mut transaction, now).await?;
            transaction.commit().await?;
        }
        Ok(due.expired())
    }
}

impl Due {
    async fn of(connection: &mut Connection, leads: &[&Seen], before: i64) -> Result<Self> {
        let mut rows = Rows::new(["lead_id", "newest", "keeps_newest", "before"]);
        for lead in leads {
            rows.push([
                lead.lead_id.as_str().into(),
                lead.delivery_id.as_str().into(),
                i64::from(lead.status == LeadStatus::Held).into(),
                before.into(),
            ]);
        }
        // A delivery is judged before it is finished, so its answers are not younger than it.
        let deliveries = "SELECT d.delivery_id AS id, COALESCE(d.finished_at, d.created_at) AS at \
             FROM given JOIN delivery d ON d.lead_id = given.lead_id \
             WHERE d.delivery_id <> given.newest AND d.content IS NOT NULL AND d.state <> 'open' \
             AND COALESCE(d.finished_at, d.created_at) < given.before";
        let answers = "SELECT a.analysis_id AS id, a.created_at AS at \
             FROM given JOIN analysis a ON a.lead_id = given.lead_id \
             WHERE a.created_at < given.before AND a.answer_removed_at IS NULL \
             AND NOT (given.keeps_newest = 1 AND a.delivery_id = given.newest)";
        let changes = "SELECT a.action_id AS id, a.updated_at AS at \
             FROM given JOIN crm_action a ON a.lead_id = given.lead_id \
             WHERE a.updated_at < given.before AND a.changes IS NOT NULL AND a.state <> 'pending'";
        Ok(Self {
            deliveries: ids(&rows.clone().fetch_all(connection, deliveries).await?)?,
            answers: ids(&rows.clone().fetch_all(connection, answers).await?)?,
            changes: ids(&rows.fetch_all(connection, changes).await?)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.answers.is_empty() && self.changes.is_empty()
    }

    fn expired(&self) -> Expired {
        let mut expired = Expired::default();
        let kinds = [
            (ExpiredKind::Contents, &self.deliveries),
            (ExpiredKind::Answers, &self.answers),
            (ExpiredKind::CrmValues, &self.changes),
        ];
        for (kind, found) in kinds {
            for (_, at) in found {
                expired.add(kind, *at);
            }
        }
        expired
    }

    async fn remove(&self, connection: &mut Connection, now: i64) -> Result<()> {
        let contents = "UPDATE delivery SET content = NULL, crm_facts = NULL FROM given \
             WHERE delivery.delivery_id = given.id";
        rows_of(&self.deliveries, now).execute(connection, contents).await?;
        let changes = "UPDATE crm_action SET changes = NULL, changes_removed_at = given.now FROM given \
             WHERE crm_action.action_id = given.id";
        rows_of(&self.changes, now).execute(connection, changes).await?;
        self.remove_answers(connection, now).await
    }

    async fn remove_answers(&self, connection: &mut Connection, now: i64) -> Result<()> {
        // The facts of a superseded delivery repeat its content.
        let read = "SELECT a.analysis_id, a.raw_answer, \
               CASE WHEN l.delivery_id = a.delivery_id OR l.analysis_id = a.analysis_id THEN a.facts END AS facts \
             FROM given JOIN analysis a ON a.analysis_id = given.id JOIN lead l ON l.lead_id = a.lead_id";
        let answers = rows_of(&self.answers, now).fetch_all(connection, read).await?;
        let mut removed = Rows::new(["id", "sha256", "facts", "now"]);
        for row in &answers {
            let facts = row.optional_text("facts")?.unwrap_or_else(|| to_json(&FactSheet::new()));
            let hash = sha256(&row.text("raw_answer")?);
            removed.push([row.text("analysis_id")?.into(), hash.into(), facts.into(), now.into()]);
        }
        let statement = "UPDATE analysis SET raw_answer = '', answer_sha256 = given.sha256, \
               answer_removed_at = given.now, facts = given.facts \
             FROM given WHERE analysis.analysis_id = given.id";
        removed.execute(connection, statement).await?;
        Ok(())
    }
}

fn ids(rows: &[AnyRow]) -> Result<Vec<(String, i64)>> {
    rows.iter().map(|row| Ok((row.text("id")?, row.number("at")?))).collect()
}

fn rows_of(found: &[(String, i64)], now: i64) -> Rows<2> {
    let mut rows = Rows::new(["id", "now"]);
    for (id, _) in found {
        rows.push([id.as_str().into(), now.into()]);
    }
    rows
}

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
        hex
    })
}
