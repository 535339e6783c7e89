use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lead::Clock;

use super::HubSpot;
use super::associations::Associations;
use super::limits::Usage;
use super::objects::Objects;
use super::properties::Properties;
use crate::serve::FailingRow;

/// The behaviour of an account. Default limits are those of the Professional edition.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The private app's token.
    pub token: String,
    /// The OAuth client's id.
    pub client_id: String,
    /// The OAuth client's secret.
    pub client_secret: String,
    /// The refresh token of the app's installation.
    pub refresh_token: String,
    /// The lifetime of OAuth tokens: `expires_in`.
    pub token_lifetime: Duration,
    /// The limit of requests per token in ten seconds.
    pub burst: usize,
    /// The limit of requests per account and day, in the account's time zone.
    pub daily: usize,
    /// The limit of searches per token and second.
    pub searches: usize,
    /// The delay until search sees a write.
    pub index_lag: Duration,
    /// The account's offset from UTC, in minutes.
    pub utc_offset_minutes: i64,
    /// The time of a clock change, and the offset from UTC in minutes from then on.
    pub offset_change: Option<(Timestamp, i64)>,
    /// The ids of the owners to which records can be assigned.
    pub owners: Vec<String>,
    /// The ids of archived owners: listed on request, and no record can be assigned to them.
    pub archived_owners: Vec<String>,
    /// Whether a contact is found by its secondary addresses, which a merge creates.
    pub finds_further_addresses: bool,
    /// Whether an invalid property refuses its own input of a batch (207) instead of the whole call (400).
    pub invalid_inputs_fail_alone: bool,
    /// Rows of batches to refuse while the other rows of the batch succeed.
    pub row_faults: Vec<RowFault>,
}

/// A batch row that is refused alone, which makes the answer a 207.
#[derive(Clone, Debug)]
pub struct RowFault {
    /// Rows whose id contains this.
    pub id: String,
    /// The error's category, such as `INTERNAL_ERROR`.
    pub category: String,
    /// The number of refusals.
    pub times: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: HubSpot::TOKEN.to_owned(),
            client_id: "sandbox-client".to_owned(),
            client_secret: "sandbox-client-secret".to_owned(),
            refresh_token: "sandbox-refresh-token".to_owned(),
            token_lifetime: Duration::from_mins(30),
            burst: 190,
            daily: 625_000,
            searches: 5,
            index_lag: Duration::from_secs(5),
            utc_offset_minutes: -5 * 60,
            offset_change: None,
            owners: vec![HubSpot::OWNER.to_owned()],
            archived_owners: Vec::new(),
            finds_further_addresses: true,
            invalid_inputs_fail_alone: false,
            row_faults: Vec::new(),
        }
    }
}

impl Settings {
    /// The account's offset from UTC at a time, in minutes.
    pub(super) fn utc_offset_at(&self, now: Timestamp) -> i64 {
        self.offset_change.filter(|(at, _)| *at <= now).map_or(self.utc_offset_minutes, |(_, offset)| offset)
    }
}

/// The complete state of an account.
pub(super) struct Account {
    pub(super) settings: Settings,
    pub(super) objects: Objects,
    pub(super) properties: Properties,
    pub(super) associations: Associations,
    pub(super) usage: Usage,
    /// OAuth tokens and their expiry.
    pub(super) tokens: BTreeMap<String, Timestamp>,
    pub(super) requests: u64,
    /// The row of the current request that is to be refused.
    pub(super) failing_row: Option<FailingRow>,
    clock: Arc<dyn Clock>,
}

impl Account {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            settings: Settings::default(),
            objects: Objects::default(),
            properties: Properties::standard(),
            associations: Associations::default(),
            usage: Usage::default(),
            tokens: BTreeMap::new(),
            requests: 0,
            failing_row: None,
            clock,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn expire_tokens(&mut self) {
        let now = self.now();
        self.tokens.values_mut().for_each(|expires| *expires = now);
    }

    /// The category with which this row is to be refused, if it is.
    pub(super) fn row_fault(&mut self, id: &str) -> Option<String> {
        if let Some(category) = FailingRow::next(&mut self.failing_row) {
            return Some(category);
        }
        let fault =
            self.settings.row_faults.iter_mut().find(|fault| fault.times > 0 && id.contains(&fault.id))?;
        fault.times -= 1;
        Some(fault.category.clone())
    }
}

/// A duration in jiff's type, capped at its maximum.
pub(super) fn span(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}
