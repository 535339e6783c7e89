use std::collections::BTreeMap;

use database::from_millis;
use jiff::Timestamp;
use serde::Serialize;

/// A kind of data that retention removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredKind {
    /// Finished leads, with everything that belongs to them.
    Leads,
    /// Leads that waited for a decision of a person, with everything that belongs to them.
    HeldLeads,
    /// Contents of superseded deliveries.
    Contents,
    /// Raw answers of analysts.
    Answers,
    /// Field changes in the ledger, with the CRM's old values.
    CrmValues,
    /// Dead letters.
    DeadLetters,
}

impl ExpiredKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Leads, Self::HeldLeads, Self::Contents, Self::Answers, Self::CrmValues, Self::DeadLetters];

    /// The name in JSON, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leads => "leads",
            Self::HeldLeads => "held_leads",
            Self::Contents => "contents",
            Self::Answers => "answers",
            Self::CrmValues => "crm_values",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// The expired data of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Findings {
    /// The number of rows.
    pub count: u64,
    /// The time of the oldest one.
    pub oldest: Timestamp,
}

/// Expired data by kind. Kinds without any are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired(BTreeMap<ExpiredKind, Findings>);

impl Expired {
    /// Expired data of one kind, if there is any.
    pub fn found(kind: ExpiredKind, count: u64, oldest: Option<Timestamp>) -> Self {
        let found = oldest.filter(|_| count > 0).map(|oldest| (kind, Findings { count, oldest }));
        Self(found.into_iter().collect())
    }

    /// The expired data of one kind; none if there is none.
    pub fn of(&self, kind: ExpiredKind) -> Option<Findings> {
        self.0.get(&kind).copied()
    }

    /// The number of rows of one kind.
    pub fn count(&self, kind: ExpiredKind) -> u64 {
        self.of(kind).map_or(0, |found| found.count)
    }

    /// Whether nothing has expired.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one row, with its time in milliseconds.
    pub(crate) fn add(&mut self, kind: ExpiredKind, at: i64) {
        self.add_all(kind, Findings { count: 1, oldest: from_millis(at) });
    }

    /// Adds everything that another reading has found.
    pub fn merge(&mut self, other: &Self) {
        for (kind, found) in &other.0 {
            self.add_all(*kind, *found);
        }
    }

    fn add_all(&mut self, kind: ExpiredKind, found: Findings) {
        let known = self.0.entry(kind).or_insert(Findings { count: 0, ..found });
        known.count += found.count;
        known.oldest = known.oldest.min(found.oldest);
    }
}
