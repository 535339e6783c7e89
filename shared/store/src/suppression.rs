use std::collections::{BTreeSet, HashMap};

use database::{Connection, Rows};
use jiff::Timestamp;
use lead::{Actor, EmailAddress};
use serde::Serialize;
use serde_json::json;
use sqlx::any::AnyRow;

use crate::acts::{self, ActKind};
use crate::codec::{Columns as _, without_nul};
use crate::person::{Person, ascii_domain, unicode_domain};
use crate::{Cursor, Result, Store};

/// An address or a domain that is excluded from enrichment, analysis and the CRM. A domain covers all
/// addresses at it and at its subdomains. An address without a tag covers the address with any tag.
///
/// Only the SHA-256 of an address is stored, and `Debug` shows no more.
#[derive(Clone, PartialEq, Eq)]
pub enum Suppressed {
    /// One address.
    Address(EmailAddress),
    /// A domain such as `example.com`. Stored in A-labels.
    Domain(String),
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionKind {
    /// One address.
    Address,
    /// All addresses of a domain and its subdomains.
    Domain,
}

/// An entry of the suppression list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Suppression {
    /// A domain, or the SHA-256 of an address.
    pub entry: String,
    /// The kind of entry.
    pub kind: SuppressionKind,
    /// The reason given for adding it.
    pub reason: String,
    /// The actor who added it.
    pub added_by: Actor,
    /// When it was added.
    pub added_at: Timestamp,
    /// The removal from the list; none while the entry is on it.
    #[serde(flatten)]
    #[schema(value_type = Removal)]
    pub removal: Option<Removal>,
}

/// The removal of an entry from the suppression list; absent while the entry is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Removal {
    /// The actor who removed it.
    #[schema(required = false)]
    pub removed_by: Actor,
    /// The reason given for removing it.
    #[schema(required = false)]
    pub removed_because: String,
    /// When it was removed.
    #[schema(required = false)]
    pub removed_at: Timestamp,
}

impl SuppressionKind {
    /// The value in the database and in API responses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Domain => "domain",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Address, Self::Domain].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl Suppressed {
    /// Parses an address, or a domain with or without a leading `@`. None if the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(address) = EmailAddress::parse(text) {
            return Some(Self::Address(address));
        }
        // A domain is valid if an address at it is.
        let domain = text.strip_prefix('@').unwrap_or(text);
        let address = EmailAddress::parse(&format!("a@{domain}")).ok()?;
        Some(Self::Domain(address.domain().to_owned()))
    }

    /// Its kind.
    pub fn kind(&self) -> SuppressionKind {
        match self {
            Self::Address(_) => SuppressionKind::Address,
            Self::Domain(_) => SuppressionKind::Domain,
        }
    }

    /// The value stored in the list: the hash of the address, or the domain.
    pub fn entry(&self) -> String {
        match self {
            Self::Address(address) => Person::of(address).hash(),
            Self::Domain(domain) => ascii_domain(domain),
        }
    }
}

impl std::fmt::Debug for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.entry())
    }
}

impl Store {
    /// Adds an entry to the list. False if it is already on the list; it then stays unchanged.
    pub async fn suppress(&self, actor: &Actor, entry: &Suppressed, reason: &str) -> Result<bool> {
        let (now, mut transaction) = (self.now_millis(), self.database.begin().await?);
        let query = sqlx::query(
            "INSERT INTO suppression (entry, kind, reason, added_by, added_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (entry) DO NOTHING",
        );
        let added = query
            .bind(entry.entry())
            .bind(entry.kind().as_str())
            .bind(without_nul(reason))
            .bind(actor.as_str())
            .bind(now)
            .execute(&mut *transaction)
            .await?
            .rows_affected()
            == 1;
        if added {
            let detail = json!({ "entry": entry.entry(), "kind": entry.kind() });
            acts::append(&mut transaction, actor, now, ActKind::SuppressionAdded, &detail).await?;
        }
        transaction.commit().await?;
        Ok(added)
    }

    /// Removes an entry from the list, by the domain or the hash of the address. False if it is not on the
    /// list. The removed entry is saved with the actor, the reason and the time of its
    /// removal.
    pub async fn unsuppress(&self, actor: &Actor, entry: &str, reason: &str) -> Result<bool> {
        let (entry, now) = (without_nul(entry), self.now_millis());
        // Entries of older versions are in Unicode.
        let unicode = unicode_domain(&entry);
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO suppression_removal \
             (entry, kind, reason, added_by, added_at, removed_by, removal, removed_at) \
             SELECT entry, kind, reason, added_by, added_at, $3, $4, $5 FROM suppression WHERE entry IN ($1, $2) \
             ON CONFLICT (entry, added_at, removed_at) DO NOTHING",
        )
        .bind(&entry)
        .bind(&unicode)
        .bind(actor.as_str())
        .bind(without_nul(reason))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let query = sqlx::query("DELETE FROM suppression WHERE entry IN ($1, $2)");
        let removed = query.bind(&entry).bind(&unicode).execute(&mut *transaction).await?.rows_affected() > 0;
        if removed {
            let detail = json!({ "entry": entry });
            acts::append(&mut transaction, actor, now, ActKind::SuppressionRemoved, &detail).await?;
        }
        transaction.commit().await?;
        Ok(removed)
    }

    /// The newest `limit` entries before a cursor, newest first.
    pub async fn suppressions(&self, before: Option<&Cursor>, limit: u32) -> Result<Vec<Suppression>> {
        let (at, entry) = Cursor::before(before);
        let query = sqlx::query(
            "SELECT * FROM suppression WHERE (added_at, entry) < ($1, $2) ORDER BY added_at DESC, entry DESC LIMIT $3",
        );
        let rows = self.rows(query.bind(at).bind(entry).bind(i64::from(limit))).await?;
        rows.iter().map(|row| read(row, None)).collect()
    }

    /// The newest `limit` removed entries before a cursor, the last removed first. The cursor refers to the
    /// time of removal.
    pub async fn removed_suppressions(
        &self,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Vec<Suppression>> {
        let (at, entry) = Cursor::before(before);
        let query = sqlx::query(
            "SELECT * FROM suppression_removal WHERE (removed_at, entry) < ($1, $2) \
             ORDER BY removed_at DESC, entry DESC LIMIT $3",
        );
        let rows = self.rows(query.bind(at).bind(entry).bind(i64::from(limit))).await?;
        rows.iter()
            .map(|row| {
                let removal = Removal {
                    removed_by: row.id("removed_by")?,
                    removed_because: row.text("removal")?,
                    removed_at: row.time("removed_at")?,
                };
                read(row, Some(removal))
            })
            .collect()
    }

    /// The kind of entry that matches an address, its domain or a parent domain; none if it is not
    /// suppressed.
    pub async fn suppressed(&self, email: &EmailAddress) -> Result<Option<SuppressionKind>> {
        let mut connection = self.database.pool().acquire().await?;
        suppressed_in(&mut connection, email).await
    }
}

pub(crate) async fn suppressed_in(
    connection: &mut Connection,
    email: &EmailAddress,
) -> Result<Option<SuppressionKind>> {
    Ok(suppressed_all(connection, std::slice::from_ref(email)).await?.pop().flatten())
}

/// The kind of entry that matches each address, in their order.
pub(crate) async fn suppressed_all(
    connection: &mut Connection,
    emails: &[EmailAddress],
) -> Result<Vec<Option<SuppressionKind>>> {
    let entries: Vec<_> = emails.iter().map(entries_for).collect();
    let mut rows = Rows::new(["entry"]);
    for entry in entries.iter().flatten().collect::<BTreeSet<_>>() {
        rows.push([entry.as_str().into()]);
    }
    let statement = "SELECT s.entry, s.kind FROM given JOIN suppression s ON s.entry = given.entry";
    let mut kinds = HashMap::new();
    for row in rows.fetch_all(connection, statement).await? {
        kinds.insert(row.text("entry")?, row.word("kind", SuppressionKind::parse)?);
    }
    Ok(entries.iter().map(|entries| entries.iter().find_map(|entry| kinds.get(entry).copied())).collect())
}

/// Every entry that would suppress an address: its hashes, and its domain and parent domains, in A-labels
/// and, as in entries of older versions, in Unicode.
fn entries_for(email: &EmailAddress) -> Vec<String> {
    let person = Person::of(email);
    let mut entries = Vec::from(person.hashes());
    let (ascii, unicode) = (person.domain(), unicode_domain(person.domain()));
    for domain in [ascii, unicode.as_str(), email.domain()] {
        let mut rest = Some(domain);
        while let Some(domain) = rest.filter(|domain| domain.contains('.')) {
            entries.push(domain.to_owned());
            rest = domain.split_once('.').map(|(_, above)| above);
        }
    }
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(entry.clone()));
    entries
}

fn read(row: &AnyRow, removal: Option<Removal>) -> Result<Suppression> {
    Ok(Suppression {
        entry: row.text("entry")?,
        kind: row.word("kind", SuppressionKind::parse)?,
        reason: row.text("reason")?,
        added_by: row.id("added_by")?,
        added_at: row.time("added_at")?,
        removal,
    })
}
