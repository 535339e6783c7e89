//! The audit trail of acts that concern no lead, or more than one: one chain for the whole database.

use database::{Connection, DatabaseError};
use jiff::Timestamp;
use lead::Actor;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::{Head, act_link, sha256};
use crate::codec::{Columns as _, to_json};
use crate::{Result, Store};

/// An act that concerns no lead, or more than one. Never changed or deleted.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Act {
    /// Sequence number, from 1, without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: Timestamp,
    /// Its kind.
    pub kind: ActKind,
    /// Its author.
    pub actor: Actor,
    /// Details, without personal data.
    pub detail: Value,
}

/// The kinds of acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActKind {
    /// An entry was added to the suppression list.
    SuppressionAdded,
    /// An entry was removed from the suppression list.
    SuppressionRemoved,
    /// Writes to a CRM were stopped.
    CrmHeld,
    /// Writes to a CRM were resumed.
    CrmResumed,
    /// A pause of consumption was ended. Recorded before it ends, since the queue may be outside the
    /// database.
    PauseEnded,
    /// A person was erased, also if nothing was found.
    PersonErased,
    /// Everything that is stored about a person was read.
    PersonExported,
    /// Leads were deleted at the end of their retention, with their audit events. The detail holds their
    /// number and a hash of the ends of their chains.
    LeadsRetired,
    /// A quarantined body was removed.
    QuarantinedRemoved,
    /// A dead letter of an unknown lead was sent again.
    DeadLetterRedriven,
    /// Open deliveries were compared with the queue. Recorded before it begins.
    Reconciled,
    /// The spools of ended processes were sent to the queue. Recorded before it begins.
    SpoolsDrained,
}

impl ActKind {
    fn as_text(self) -> String {
        to_json(&self).trim_matches('"').to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        serde_json::from_value(Value::String(text.to_owned())).ok()
    }
}

/// Appends an act inside the caller's transaction. The chain stays locked until that ends: it is the last
/// statement of a transaction that locks anything else, so that no two of them wait for each other.
pub(crate) async fn append(
    connection: &mut Connection,
    actor: &Actor,
    at: i64,
    kind: ActKind,
    detail: &Value,
) -> Result<()> {
    // An update, because it locks the row on both databases.
    let lock = sqlx::query("UPDATE audit_act_head SET seq = seq RETURNING seq, hash");
    let row = lock.fetch_one(&mut *connection).await?;
    let before = Head { seq: row.number("seq")?, hash: row.text("hash")? };
    let (kind, detail) = (kind.as_text(), to_json(detail));
    let head = before.next(&act_link(at, &kind, actor, &sha256(&detail)));
    sqlx::query("INSERT INTO audit_act (seq, at, kind, actor, detail, hash) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(head.seq)
        .bind(at)
        .bind(&kind)
        .bind(actor.as_str())
        .bind(&detail)
        .bind(&head.hash)
        .execute(&mut *connection)
        .await?;
    let query = sqlx::query("UPDATE audit_act_head SET seq = $1, hash = $2");
    query.bind(head.seq).bind(&head.hash).execute(connection).await?;
    Ok(())
}

impl Store {
    /// Records an act whose effect is outside the database, or which has none there.
    pub async fn record_act(&self, actor: &Actor, kind: ActKind, detail: &Value) -> Result<()> {
        let mut transaction = self.database.begin().await?;
        append(&mut transaction, actor, self.now_millis(), kind, detail).await?;
        transaction.commit().await
    }

    /// Up to `limit` acts before `before`, newest first; without it, from the newest on.
    pub async fn acts(&self, before: Option<i64>, limit: u32) -> Result<Vec<Act>> {
        let query = sqlx::query(
            "SELECT seq, at, kind, actor, detail FROM audit_act WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        );
        let rows = self.rows(query.bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| {
                Ok::<_, DatabaseError>(Act {
                    seq: row.number("seq")?,
                    at: row.time("at")?,
                    kind: row.word("kind", ActKind::parse)?,
                    actor: row.id("actor")?,
                    detail: row.json("detail")?,
                })
            })
            .collect()
    }
}
