//! Classification of `HubSpot`'s error replies, by a table of status and category.

use std::time::Duration;

use http_client::Reply;
use jiff::Timestamp;
use lead::{Cause, Failure, FailureClass};
use serde_json::Value;

use super::DEPENDENCY;

mod invalid;

pub(super) use self::invalid::{Invalid, Reason};

/// The classification of one kind of error reply. See [`FailureClass`] for the effect of each class.
struct Row {
    /// The first and the last status.
    status: (u16, u16),
    /// The `category` of the body, or its `policyName` for 429. Empty matches any.
    category: &'static str,
    class: FailureClass,
    code: &'static str,
    /// The wait in seconds if the reply has no `Retry-After`.
    wait: Option<u64>,
    message: &'static str,
    cause: Cause,
}

/// The classification of error replies. The first matching row applies.
///
/// A refusal that affects every lead (credentials, scopes, a missing property) is a deferral: leads wait for
/// an administrator instead of being dead-lettered.
const TABLE: &[Row] = &[
    row(300, 399, "", FailureClass::Deferral, "crm_moved", Some(300), "HubSpot's API is not at this address"),
    row(
        401,
        401,
        "",
        FailureClass::Deferral,
        "crm_credentials_refused",
        Some(300),
        "HubSpot does not accept the credentials",
    )
    .because(Cause::CredentialsRefused),
    row(
        403,
        403,
        "",
        FailureClass::Deferral,
        "crm_credentials_refused",
        Some(300),
        "HubSpot does not let the app do this: a scope is missing",
    )
    .because(Cause::CredentialsRefused),
    row(404, 404, "", FailureClass::Permanent, "crm_record_missing", None, "HubSpot has no such record"),
    row(
        409,
        409,
        "",
        FailureClass::Transient,
        "crm_conflict",
        None,
        "another record already has a unique value",
    )
    .because(Cause::Record),
    row(408, 408, "", FailureClass::Transient, "crm_unavailable", None, "HubSpot did not answer in time"),
    row(
        423,
        423,
        "",
        FailureClass::Transient,
        "crm_locked",
        None,
        "HubSpot has locked the record temporarily",
    )
    .because(Cause::Record),
    // HubSpot is migrating the account between data centres, which takes up to a day.
    row(477, 477, "", FailureClass::Deferral, "crm_migrating", Some(600), "HubSpot is moving the account"),
    row(
        429,
        429,
        "DAILY",
        FailureClass::Deferral,
        DAILY_QUOTA,
        None,
        "the account's daily call quota is used up",
    ),
    row(
        429,
        429,
        "SECONDLY",
        FailureClass::Deferral,
        "crm_rate_limited",
        Some(1),
        "too many searches a second",
    ),
    row(429, 429, "", FailureClass::Deferral, "crm_rate_limited", Some(10), "too many calls in ten seconds"),
    row(500, 599, "", FailureClass::Transient, "crm_unavailable", None, "HubSpot has an internal error"),
    row(400, 400, VALIDATION, FailureClass::Permanent, INVALID, None, "HubSpot does not accept the values"),
    row(
        400,
        499,
        "",
        FailureClass::Permanent,
        "crm_request_refused",
        None,
        "HubSpot does not accept the request",
    ),
];

/// A request, or one row of a batch, that `HubSpot` refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) kind: RefusalKind,
    /// The id of the record that already has a unique value, if the reply names it.
    pub(super) conflicting_id: Option<String>,
    /// The properties that the refusal names.
    pub(super) invalid: Vec<Invalid>,
}

/// The kinds of refusal that callers handle differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalKind {
    /// The account's daily call quota is used up.
    DailyQuota,
    /// Too many calls or searches in a short time.
    RateLimit,
    /// Another record already has a unique value. Resolving the plan again finds it.
    Conflict,
    /// Values or properties are invalid.
    Invalid,
    /// The record does not exist.
    Missing,
    /// Any other refusal.
    Other,
}

impl Refusal {
    /// The properties that may be left out because of the refusal.
    pub(super) fn removable(&self) -> &[Invalid] {
        if self.kind == RefusalKind::Invalid { &self.invalid } else { &[] }
    }
}

impl RefusalKind {
    /// Whether the refusal of a batch may be about one of its rows.
    pub(super) fn may_concern_one_row(self) -> bool {
        matches!(self, Self::Conflict | Self::Invalid | Self::Missing)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, kind: RefusalKind::Other, conflicting_id: None, invalid: Vec::new() }
    }
}

impl From<Refusal> for Failure {
    fn from(refused: Refusal) -> Self {
        refused.failure
    }
}

/// The failure code for a used-up daily quota.
const DAILY_QUOTA: &str = "crm_daily_quota";

/// The category of invalid values.
const VALIDATION: &str = "VALIDATION_ERROR";

/// The failure code for invalid values.
const INVALID: &str = "crm_values_refused";

/// The failure code for a batch row that is refused with an unknown category.
const ROW_REFUSED: &str = "crm_row_refused";

/// The failure code for a batch row without a result in the reply.
const ROW_UNANSWERED: &str = "crm_row_unanswered";

const fn row(
    from: u16,
    to: u16,
    category: &'static str,
    class: FailureClass,
    code: &'static str,
    wait: Option<u64>,
    message: &'static str,
) -> Row {
    Row { status: (from, to), category, class, code, wait, message, cause: Cause::Other }
}

/// Classifies an error reply. The failure's message quotes only identifiers from the body, which hold no
/// personal data.
pub(super) fn refusal_of(reply: &Reply, now: Timestamp) -> Refusal {
    let body: Value = reply.json().unwrap_or_default();
    of_body(reply.status.as_u16(), &body, reply.retry_after(now))
}

/// The id of the contact that already has an address. `HubSpot` gives it only in the text of the message.
fn conflicting_id(body: &Value) -> Option<String> {
    let (_, rest) = body["message"].as_str()?.split_once("Existing ID: ")?;
    let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!id.is_empty()).then_some(id)
}

/// Classifies a refused row of a batch. Rows have no status, so the category stands for it.
///
/// The set of categories is open. An unknown one is a record-level error, since `HubSpot` answered the call.
pub(super) fn of_row(error: &Value) -> Refusal {
    let category = category(error);
    let status = match category.as_str() {
        "CONFLICT" | "OBJECT_ALREADY_EXISTS" => 409,
        "OBJECT_NOT_FOUND" => 404,
        "VALIDATION_ERROR" => 400,
        "RATE_LIMITS" => 429,
        "MISSING_SCOPES" => 403,
        _ if !invalid::of_body(error).is_empty() => 400,
        unknown => {
            let name = Some(unknown).filter(|name| invalid::is_name(name)).unwrap_or("no category");
            let message = format!("HubSpot refused this record: {name}");
            return record_failure(ROW_REFUSED, message).into();
        }
    };
    of_body(status, error, None)
}

/// A failure of one record, in an answer of an account that works.
fn record_failure(code: &'static str, message: impl Into<String>) -> Failure {
    Failure::transient(code, message).on(DEPENDENCY).because(Cause::Record)
}

/// The refusal for a row that is missing from the reply to its batch.
pub(super) fn unanswered_row() -> Refusal {
    record_failure(ROW_UNANSWERED, "HubSpot's reply has no result for a record of the batch").into()
}

fn of_body(status: u16, body: &Value, wait: Option<Duration>) -> Refusal {
    let invalid = invalid::of_body(body);
    let category = match status {
        429 => text(&body["policyName"]),
        // The set of categories is open. A refusal that names properties is about those properties.
        400 if !invalid.is_empty() => VALIDATION.to_owned(),
        _ => category(body),
    };
    let matches =
        |row: &&Row| (row.status.0..=row.status.1).contains(&status) && row.matches_category(&category);
    let Some(row) = TABLE.iter().find(matches) else {
        let message = format!("HubSpot answered {status}");
        return Failure::transient("crm_unavailable", message).on(DEPENDENCY).into();
    };
    let names = names(body, &invalid);
    let message = if names.is_empty() {
        format!("{} ({status})", row.message)
    } else {
        format!("{} ({status}): {}", row.message, names.join(", "))
    };
    let wait = wait.or(row.wait.map(Duration::from_secs));
    // A unique value is taken: another writer created the record in the meantime.
    let is_taken =
        row.kind() == RefusalKind::Invalid && invalid.iter().any(|one| one.reason == Reason::Taken);
    let (failure, kind) = if is_taken {
        (record_failure("crm_conflict", message), RefusalKind::Conflict)
    } else {
        let failure = match row.class {
            FailureClass::Transient => Failure::transient(row.code, message).on(DEPENDENCY),
            FailureClass::Permanent => Failure::permanent(row.code, message).on(DEPENDENCY),
            FailureClass::Deferral => Failure::deferral(DEPENDENCY, row.code, message, wait),
        };
        (failure.because(row.cause), row.kind())
    };
    Refusal { failure, kind, conflicting_id: conflicting_id(body), invalid }
}

impl Row {
    const fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    fn matches_category(&self, category: &str) -> bool {
        self.category.is_empty() || self.category == category
    }

    fn kind(&self) -> RefusalKind {
        match (self.status.0, self.category) {
            (429, "DAILY") => RefusalKind::DailyQuota,
            (429, _) => RefusalKind::RateLimit,
            (409, _) => RefusalKind::Conflict,
            (404, _) => RefusalKind::Missing,
            (400, VALIDATION) => RefusalKind::Invalid,
            _ => RefusalKind::Other,
        }
    }
}

fn category(body: &Value) -> String {
    text(&body["category"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The properties with their error codes and the scopes that an error names; its category if it names
/// neither.
fn names(body: &Value, invalid: &[Invalid]) -> Vec<String> {
    let mut names: Vec<String> = invalid.iter().map(|one| format!("{} {}", one.property, one.code)).collect();
    for error in body["errors"].as_array().into_iter().flatten().take(invalid::MAX_NAMED) {
        names.extend(invalid::names_in(&error["context"]["requiredGranularScopes"]));
    }
    let category = body["category"].as_str().filter(|name| invalid::is_name(name) && names.is_empty());
    names.extend(category.map(str::to_owned));
    names
}

#[cfg(test)]
mod tests;
