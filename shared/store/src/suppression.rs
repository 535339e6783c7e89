use database::Connection;
use jiff::Timestamp;
use lead::EmailAddress;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::codec::{Columns as _, parsed, without_nul};
use crate::{Cursor, Result, Store};

/// Somebody who is never written to the CRM: one address, or everybody of a domain and of the domains below it.
///
/// Of an address only the SHA-256 is kept. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub enum Suppressed {
    /// One address.
    Address(EmailAddress),
    /// A domain, lower case, such as `example.com`.
    Domain(String),
}

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionKind {
    /// One address.
    Address,
    /// Everybody of a domain.
    Domain,
}

/// An entry of the suppression list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppression {
    /// A domain, or the SHA-256 of an address.
    pub entry: String,
    /// Which of the two.
    pub kind: SuppressionKind,
    /// Why, in the words of who added it.
    pub reason: String,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
}

impl SuppressionKind {
    /// The word in the database and in answers.
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
    /// Reads an address, or a domain with or without an `@` before it. None where the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(address) = EmailAddress::parse(text) {
            return Some(Self::Address(address));
        }
        // A domain is sound where an address at it is.
        let domain = text.strip_prefix('@').unwrap_or(text);
        let address = EmailAddress::parse(&format!("a@{domain}")).ok()?;
        Some(Self::Domain(address.domain().to_owned()))
    }

    /// Which of the two it is.
    pub fn kind(&self) -> SuppressionKind {
        match self {
            Self::Address(_) => SuppressionKind::Address,
            Self::Domain(_) => SuppressionKind::Domain,
        }
    }

    /// As it is kept.
    pub fn entry(&self) -> String {
        match self {
            Self::Address(address) => email_hash(address),
            Self::Domain(domain) => domain.clone(),
        }
    }
}

impl std::fmt::Debug for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.entry())
    }
}

/// The SHA-256 of an address in its normal form, in hexadecimal digits: how a person is known once the address is not kept.
pub fn email_hash(email: &EmailAddress) -> String {
    use std::fmt::Write as _;
    Sha256::digest(email.expose()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
        hex
    })
}

impl Store {
    /// Adds to the list; false where it was on it already, and stays as it was.
    pub async fn suppress(&self, who: &Suppressed, reason: &str, by: &str) -> Result<bool> {
        let mut transaction = self.database.begin().await?;
        let added = sqlx::query(
            "INSERT INTO suppression (entry, kind, reason, added_by, added_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (entry) DO NOTHING",
        )
        .bind(who.entry())
        .bind(who.kind().as_str())
        .bind(without_nul(reason))
        .bind(without_nul(by))
        .bind(self.now_millis())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(added.rows_affected() == 1)
    }

    /// Takes an entry off the list, by the domain or the address's hash; false where it was not on it.
    pub async fn unsuppress(&self, entry: &str) -> Result<bool> {
        let mut transaction = self.database.begin().await?;
        let removed = sqlx::query("DELETE FROM suppression WHERE entry = $1")
            .bind(without_nul(entry))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(removed.rows_affected() == 1)
    }

    /// The newest `limit` entries before a cursor, newest first.
    pub async fn suppressions(&self, before: Option<&Cursor>, limit: u32) -> Result<Vec<Suppression>> {
        let (at, entry) = Cursor::before(before);
        let rows = sqlx::query(
            "SELECT * FROM suppression WHERE (added_at, entry) < ($1, $2) ORDER BY added_at DESC, entry DESC LIMIT $3",
        )
        .bind(at)
        .bind(entry)
        .bind(i64::from(limit))
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Suppression {
                    entry: row.text("entry")?,
                    kind: parsed("kind", SuppressionKind::parse(&row.text("kind")?))?,
                    reason: row.text("reason")?,
                    added_by: row.text("added_by")?,
                    added_at: row.time("added_at")?,
                })
            })
            .collect()
    }

    /// Whether a person is on the list, and by what: their address, their domain, or one above it.
    pub async fn suppressed(&self, email: &EmailAddress) -> Result<Option<SuppressionKind>> {
        let mut connection = self.database.pool().acquire().await?;
        suppressed_in(&mut connection, email).await
    }
}

pub(crate) async fn suppressed_in(
    connection: &mut Connection,
    email: &EmailAddress,
) -> Result<Option<SuppressionKind>> {
    let mut entry = email_hash(email);
    let mut rest = Some(email.domain());
    loop {
        let kind: Option<String> = sqlx::query_scalar("SELECT kind FROM suppression WHERE entry = $1")
            .bind(entry)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(kind) = kind {
            return parsed("kind", SuppressionKind::parse(&kind)).map(Some);
        }
        let Some(domain) = rest.filter(|domain| domain.contains('.')) else { return Ok(None) };
        entry = domain.to_owned();
        rest = domain.split_once('.').map(|(_, above)| above);
    }
}
