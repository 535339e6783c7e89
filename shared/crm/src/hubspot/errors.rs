//! What an answer of `HubSpot` means for a lead: the table, and how it is read.

use std::time::Duration;

use jiff::Timestamp;
use lead::{Failure, FailureClass};
use outbound::Reply;
use serde_json::Value;

use super::DEPENDENCY;

mod invalid;

pub(super) use self::invalid::{Invalid, Reason};

/// One kind of refusal. A deferral pauses consumption and costs no attempt; see [`FailureClass`].
struct Row {
    /// The first and the last status.
    status: (u16, u16),
    /// The `category` of the body, or for 429 its `policyName`; any where empty.
    category: &'static str,
    class: FailureClass,
    code: &'static str,
    /// How long to stay away, in seconds, where the answer does not say.
    wait: Option<u64>,
    meaning: &'static str,
}

/// The first row that fits counts.
///
/// A refusal that concerns every lead alike (credentials, scopes, a missing property) is a deferral: leads wait for a
/// person to put it right, and none is given up.
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
    ),
    row(
        403,
        403,
        "",
        FailureClass::Deferral,
        "crm_credentials_refused",
        Some(300),
        "HubSpot does not let the app do this: a scope is missing",
    ),
    row(404, 404, "", FailureClass::Permanent, "crm_record_missing", None, "HubSpot has no such record"),
    row(
        409,
        409,
        "",
        FailureClass::Transient,
        "crm_conflict",
        None,
        "another record has a value that is unique",
    ),
    row(408, 408, "", FailureClass::Transient, "crm_unavailable", None, "HubSpot did not answer in time"),
    row(
        423,
        423,
        "",
        FailureClass::Transient,
        "crm_locked",
        None,
        "HubSpot has locked the record for a moment",
    ),
    // HubSpot moves an account between data centres, for up to a day.
    row(477, 477, "", FailureClass::Deferral, "crm_migrating", Some(600), "HubSpot is moving the account"),
    row(
        429,
        429,
        "DAILY",
        FailureClass::Deferral,
        DAILY_QUOTA,
        None,
        "the account's calls of the day are used up",
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
    row(500, 599, "", FailureClass::Transient, "crm_unavailable", None, "HubSpot has an error of its own"),
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

/// What `HubSpot` refused.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) failure: Failure,
    pub(super) meaning: Meaning,
    /// The record that has what was to be unique, where the answer says so.
    pub(super) holder: Option<String>,
    /// The properties that are refused by name.
    pub(super) invalid: Vec<Invalid>,
}

/// What a refusal asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The account's calls of the day are used up.
    DailyQuota,
    /// Too many calls or searches for a moment.
    RateLimit,
    /// Another record has a unique value: look it up.
    Conflict,
    /// Values or properties are refused.
    Invalid,
    /// The record is not there.
    Missing,
    /// Nothing but the failure.
    Other,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, meaning: Meaning::Other, holder: None, invalid: Vec::new() }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        refused.failure
    }
}

/// The code of a day's limit that is reached.
const DAILY_QUOTA: &str = "crm_daily_quota";

/// The category of refused values.
const VALIDATION: &str = "VALIDATION_ERROR";

/// The code of values that are refused.
const INVALID: &str = "crm_values_refused";

/// The code of a record that is refused alone, for a reason that is not known.
const ROW_REFUSED: &str = "crm_row_refused";

/// The code of a record of which an answer says nothing.
const ROW_UNANSWERED: &str = "crm_row_unanswered";

const fn row(
    from: u16,
    to: u16,
    category: &'static str,
    class: FailureClass,
    code: &'static str,
    wait: Option<u64>,
    meaning: &'static str,
) -> Row {
    Row { status: (from, to), category, class, code, wait, meaning }
}

/// What an answer that is no success means. Nothing of the body is quoted but names that cannot be personal.
pub(super) fn refused(reply: &Reply, now: Timestamp) -> Refused {
    let body: Value = reply.json().unwrap_or_default();
    of_body(reply.status.as_u16(), &body, reply.retry_after(now))
}

/// The contact that has an address already. Its id is told in words and nowhere else.
fn holder(body: &Value) -> Option<String> {
    let (_, rest) = body["message"].as_str()?.split_once("Existing ID: ")?;
    let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!id.is_empty()).then_some(id)
}

/// What a refused row of a batch means: its status is not told, so it follows from the category.
///
/// The categories are an open set. One that is not known is a failure of that record: `HubSpot` answered the call.
pub(super) fn of_row(error: &Value) -> Refused {
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
            let message = format!("HubSpot refused this record alone: {name}");
            return Failure::transient(ROW_REFUSED, message).on(DEPENDENCY).into();
        }
    };
    of_body(status, error, None)
}

/// A row of a batch of which an answer says nothing.
pub(super) fn unanswered_row() -> Refused {
    Failure::transient(ROW_UNANSWERED, "HubSpot left a record of a batch unanswered").on(DEPENDENCY).into()
}

fn of_body(status: u16, body: &Value, wait: Option<Duration>) -> Refused {
    let invalid = invalid::of_body(body);
    let category = match status {
        429 => text(&body["policyName"]),
        // The categories are an open set: a refusal that names properties is about those properties.
        400 if !invalid.is_empty() => VALIDATION.to_owned(),
        _ => category(body),
    };
    let fits = |row: &&Row| (row.status.0..=row.status.1).contains(&status) && row.category_fits(&category);
    let Some(row) = TABLE.iter().find(fits) else {
        let message = format!("HubSpot answered {status}");
        return Failure::transient("crm_unavailable", message).on(DEPENDENCY).into();
    };
    let names = names(body, &invalid);
    let message = if names.is_empty() {
        format!("{} ({status})", row.meaning)
    } else {
        format!("{} ({status}): {}", row.meaning, names.join(", "))
    };
    let wait = wait.or(row.wait.map(Duration::from_secs));
    // Two unique properties, one of them taken: somebody else was quicker.
    let is_taken = row.code == INVALID && invalid.iter().any(|one| one.reason == Reason::Taken);
    let (failure, meaning) = if is_taken {
        (Failure::transient("crm_conflict", message).on(DEPENDENCY), Meaning::Conflict)
    } else {
        let failure = match row.class {
            FailureClass::Transient => Failure::transient(row.code, message).on(DEPENDENCY),
            FailureClass::Permanent => Failure::permanent(row.code, message).on(DEPENDENCY),
            FailureClass::Deferral => Failure::deferral(DEPENDENCY, row.code, message, wait),
        };
        (failure, row.asks())
    };
    Refused { failure, meaning, holder: holder(body), invalid }
}

impl Row {
    fn category_fits(&self, category: &str) -> bool {
        self.category.is_empty() || self.category == category
    }

    fn asks(&self) -> Meaning {
        match (self.status.0, self.category) {
            (429, "DAILY") => Meaning::DailyQuota,
            (429, _) => Meaning::RateLimit,
            (409, _) => Meaning::Conflict,
            (404, _) => Meaning::Missing,
            (400, VALIDATION) => Meaning::Invalid,
            _ => Meaning::Other,
        }
    }
}

fn category(body: &Value) -> String {
    text(&body["category"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The properties and error codes that an error names, the scopes that it asks for, else its category.
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
