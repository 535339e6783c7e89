//! The chain of hashes through the audit trail.
//!
//! The hash of an event covers the hash before it, so that an event that is missing, changed, inserted or
//! moved does not match. It covers the hash of the detail and not the detail itself: after an erasure, which
//! replaces the detail by its hash, the chain still matches. `docs/security.md` describes the format for
//! others who verify it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use database::{Cell, Connection, Rows};
use lead::{Actor, DeliveryId, LeadId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

use crate::Result;
use crate::codec::Columns as _;

/// The format of what is hashed.
const FORMAT: &str = "revenueflow audit 1";

/// The name of the chain of acts that concern no lead.
pub(crate) const ACTS: &str = "acts";

/// The newest event of a chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its number; 0 in an empty chain.
    pub(crate) seq: i64,
    /// Its hash; empty in an empty chain.
    pub(crate) hash: String,
}

/// What the hash of an event covers, besides the chain before it.
pub(crate) struct Link<'a> {
    /// The lead, or [`ACTS`].
    pub(crate) chain: &'a str,
    pub(crate) at: i64,
    pub(crate) kind: &'a str,
    pub(crate) actor: Option<&'a str>,
    pub(crate) delivery: Option<&'a str>,
    pub(crate) detail_sha256: &'a str,
}

impl Head {
    /// The head after one more event.
    pub(crate) fn next(&self, link: &Link<'_>) -> Self {
        let Link { chain, at, kind, actor, delivery, detail_sha256 } = link;
        let seq = self.seq + 1;
        let text = json!([FORMAT, self.hash, chain, seq, at, kind, actor, delivery, detail_sha256]);
        Self { seq, hash: URL_SAFE_NO_PAD.encode(Sha256::digest(text.to_string())) }
    }
}

/// The SHA-256 of a text, in hexadecimal digits.
pub(crate) fn sha256(text: &str) -> String {
    let hex: Vec<String> = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.concat()
}

/// The newest event of a lead, which the caller's transaction has locked.
pub(crate) async fn head_of(connection: &mut Connection, lead: &LeadId) -> Result<Head> {
    let query = sqlx::query("SELECT seq, hash FROM audit_event WHERE lead_id = $1 ORDER BY seq DESC LIMIT 1");
    let row = query.bind(lead.as_str()).fetch_optional(connection).await?;
    row.map_or_else(
        || Ok(Head::default()),
        |row| Ok(Head { seq: row.number("seq")?, hash: row.text("hash")? }),
    )
}

/// The newest events of leads, with one event more for each call of [`push`](Self::push).
pub(super) struct Heads {
    at: i64,
    heads: HashMap<String, Head>,
}

impl Heads {
    pub(super) fn at(at: i64) -> Self {
        Self { at, heads: HashMap::new() }
    }

    pub(super) fn set(&mut self, lead: &LeadId, head: Head) {
        self.heads.insert(lead.as_str().to_owned(), head);
    }

    pub(super) fn get(&self, lead: &LeadId) -> Option<&Head> {
        self.heads.get(lead.as_str())
    }

    /// Adds an event of the pipeline, and returns its row.
    pub(super) fn push(
        &mut self,
        lead: &LeadId,
        delivery: &DeliveryId,
        kind: &str,
        detail: &Value,
    ) -> [Cell; EVENT_COLUMNS.len()] {
        let detail = detail.to_string();
        let head = self.heads.entry(lead.as_str().to_owned()).or_default();
        *head = head.next(&Link {
            chain: lead.as_str(),
            at: self.at,
            kind,
            actor: None,
            delivery: Some(delivery.as_str()),
            detail_sha256: &sha256(&detail),
        });
        [
            lead.as_str().into(),
            head.seq.into(),
            self.at.into(),
            kind.into(),
            delivery.as_str().into(),
            detail.into(),
            head.hash.as_str().into(),
        ]
    }
}

pub(super) const EVENT_COLUMNS: [&str; 7] = ["lead_id", "seq", "at", "kind", "delivery_id", "detail", "hash"];

/// Appends rows of events.
pub(super) async fn insert(connection: &mut Connection, rows: Rows<{ EVENT_COLUMNS.len() }>) -> Result<()> {
    let statement = "INSERT INTO audit_event (lead_id, seq, at, kind, delivery_id, detail, hash) \
                     SELECT lead_id, seq, at, kind, delivery_id, detail, hash FROM given";
    rows.execute(connection, statement).await?;
    Ok(())
}

/// The hash of one event without a delivery, for chains that are written one event at a time.
pub(crate) fn act_link<'a>(at: i64, kind: &'a str, actor: &'a Actor, detail_sha256: &'a str) -> Link<'a> {
    Link { chain: ACTS, at, kind, actor: Some(actor.as_str()), delivery: None, detail_sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(detail_sha256: &str) -> Link<'_> {
        let (at, kind) = (1_000, "reopened");
        Link { chain: "lead", at, kind, actor: Some("ann"), delivery: None, detail_sha256 }
    }

    #[test]
    fn hash_of_an_event_is_the_documented_one() {
        let detail = sha256("{}");
        assert_eq!(detail, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        let head = Head::default().next(&link(&detail));
        // printf '["revenueflow audit 1","","lead",1,1000,"reopened","ann",null,"44136f..."]' | openssl dgst
        // -sha256 -binary | basenc --base64url
        assert_eq!((head.seq, head.hash.as_str()), (1, "QwgfsxFpJ8OdAZeg9XbhWWff9LRf_6mhy1H0DxltjEU"));
    }

    #[test]
    fn hash_covers_everything_of_an_event() {
        let detail = sha256("{}");
        let head = Head::default().next(&link(&detail));
        let others = [
            Link { chain: "other", ..link(&detail) },
            Link { at: 1_001, ..link(&detail) },
            Link { kind: "synced", ..link(&detail) },
            Link { actor: Some("bob"), ..link(&detail) },
            Link { actor: None, ..link(&detail) },
            Link { delivery: Some("ann"), ..link(&detail) },
            link("44"),
        ];
        for other in &others {
            assert_ne!(Head::default().next(other), head);
        }
        assert_ne!(Head { seq: 0, hash: "x".to_owned() }.next(&link(&detail)).hash, head.hash);
        assert_ne!(Head { seq: 1, hash: String::new() }.next(&link(&detail)).hash, head.hash);
    }
}
