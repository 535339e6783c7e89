//! Failures of leads: the error policy of the pipeline.
//!
//! A [`Failure`] says how one lead's failure is treated. It is created where the cause is known, by the
//! adapter of an outside system, by the store or by the queue, and every layer above decides on its types
//! alone:
//!
//! - [`FailureKind`] is the treatment. A *transient* failure counts as an attempt and is retried with
//!   backoff. A *deferral* counts as none: an outside system, or one of our own limits, does not admit the
//!   lead now. A *permanent* failure is dead-lettered at once.
//! - [`Scope`] and [`Until`] say of a deferral who waits and for how long. If all leads wait, consumption
//!   pauses.
//! - [`Cause`] names the few causes that some code above treats specially.
//! - [`Stage`] is the part of the pipeline that failed; attempts are counted for each stage.
//!
//! The code and the message are for people, logs and metrics. No decision depends on them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};

use crate::vocabulary;

/// The treatment of a failure: a retry, a deferral, or a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May succeed on retry (timeout, 5xx, lock). Counts as an attempt and is retried after a backoff.
    Transient,
    /// Processing cannot continue now (open circuit breaker, rate limit, quota). Does not count as an
    /// attempt. If the failure names a dependency, consumption pauses.
    Deferral,
    /// Fails again on every retry. Dead-lettered at once.
    Permanent,
}

vocabulary! {
    /// The processing stage at which an attempt failed. Attempts are counted for each stage, so that an
    /// outage at one stage does not use up the attempts of another. `storage` is our own database or queue,
    /// and counts at no stage.
    #[derive(Default)]
    Stage {
        /// Reading facts from the CRM.
        CrmRead = "crm_read",
        /// Analysis by the analyst.
        Analysis = "analysis",
        /// Writing the plan to the CRM.
        CrmWrite = "crm_write",
        /// Our own database or queue. Does not count as an attempt at any stage.
        Storage = "storage",
        /// Anything else, such as a panic.
        #[default]
        Other = "other",
    }
}

impl Stage {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_other(&self) -> bool {
        *self == Self::Other
    }
}

/// An outside system that processing depends on, by a short stable name such as `ai.gemini` or
/// `crm.salesforce`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Dependency(Cow<'static, str>);

impl Dependency {
    /// A dependency with a constant name.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A dependency with a name from a store or a request.
    pub fn named(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a failure is treated, with the details of a deferral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// May pass (timeout, 5xx, lock). Counts as an attempt, and is retried after a backoff.
    Transient,
    /// The lead is not admitted now. Counts as no attempt.
    Deferral {
        /// The leads that wait.
        scope: Scope,
        /// The end of the wait.
        until: Until,
    },
    /// No retry can succeed. Dead-lettered at once.
    Permanent,
}

/// The leads that wait because of a deferral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only the lead that failed.
    Lead,
    /// All leads, because they need this system. Consumption pauses.
    All(Dependency),
}

/// The end of a deferral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A probe of the system succeeds; the first one is made after this time, if it is known.
    Probe(Option<Duration>),
    /// This time is over. No probe is needed, since nothing failed that a probe could find restored.
    Elapsed(Duration),
}

/// A cause that code treats specially, whatever the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// Any other cause.
    #[default]
    Other,
    /// The request was sent and no reply arrived in time: the call may have had its effect, and may be
    /// charged for.
    Timeout,
    /// The reply was lost or incomplete: the call may have had its effect, and may be charged for.
    ReplyLost,
    /// The system has accepted the request and is still working on the answer.
    Pending,
    /// The system refused our credentials, so that they should be read again.
    CredentialsRefused,
    /// The system refuses to serve us until a person acts, other than because of credentials.
    Misconfigured,
    /// The system asked for fewer calls in a short time.
    RateLimited,
    /// A quota is used up for hours.
    QuotaExhausted,
    /// The failure concerns the record of one lead, and the system works.
    Record,
    /// Another worker has saved a result of the same step first: the work begins again from what is saved.
    Raced,
}

/// The reason why processing of one lead failed, and the treatment of the failure.
///
/// The message is stored, logged and shown to operators, so it never contains personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(from = "StoredFailure", into = "StoredFailure")]
#[error("{code}: {message}")]
pub struct Failure {
    /// The treatment.
    pub kind: FailureKind,
    /// A stable machine-readable reason, such as `crm_timeout`.
    pub code: Cow<'static, str>,
    /// One sentence for a person, without a final period.
    pub message: String,
    /// The outside system that failed, if any. [`dependency`](Self::dependency) also knows that of a
    /// deferral.
    pub system: Option<Dependency>,
    /// The processing stage that failed.
    pub stage: Stage,
    /// The cause, if code treats it specially. It is not stored.
    pub cause: Cause,
}

impl Failure {
    /// A failure that may succeed on retry.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Transient, code, message)
    }

    /// A failure that no retry can resolve.
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureKind::Permanent, code, message)
    }

    /// An outside system that is not available now: all leads wait until a probe succeeds, the first one
    /// after `retry_after` if it is known.
    pub fn deferral(
        dependency: Dependency,
        code: &'static str,
        message: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        let (scope, until) = (Scope::All(dependency), Until::Probe(retry_after));
        Self::new(FailureKind::Deferral { scope, until }, code, message)
    }

    /// A full limit of calls to an outside system: all leads wait for this time.
    pub fn limit(
        dependency: Dependency,
        code: &'static str,
        message: impl Into<String>,
        wait: Duration,
    ) -> Self {
        let (scope, until) = (Scope::All(dependency), Until::Elapsed(wait));
        Self::new(FailureKind::Deferral { scope, until }, code, message)
    }

    /// A deferral of one lead, which waits for this time.
    pub fn lead_deferral(code: &'static str, message: impl Into<String>, wait: Duration) -> Self {
        let (scope, until) = (Scope::Lead, Until::Elapsed(wait));
        Self::new(FailureKind::Deferral { scope, until }, code, message)
    }

    /// Sets the system that failed.
    #[must_use]
    pub fn on(mut self, dependency: Dependency) -> Self {
        match &mut self.kind {
            FailureKind::Deferral { scope: Scope::All(system), .. } => *system = dependency,
            _ => self.system = Some(dependency),
        }
        self
    }

    /// Sets the stage that failed, unless it is set already.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        if self.stage.is_other() {
            self.stage = stage;
        }
        self
    }

    /// Sets the time after which a deferral is probed. Other failures do not change.
    #[must_use]
    pub fn probed_after(mut self, wait: Duration) -> Self {
        if let FailureKind::Deferral { until, .. } = &mut self.kind {
            *until = Until::Probe(Some(wait));
        }
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// Sets the code, for a code that is not known at compile time.
    #[must_use]
    pub fn coded(self, code: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.into(), ..self }
    }

    /// The treatment without its details.
    pub fn class(&self) -> FailureClass {
        match self.kind {
            FailureKind::Transient => FailureClass::Transient,
            FailureKind::Deferral { .. } => FailureClass::Deferral,
            FailureKind::Permanent => FailureClass::Permanent,
        }
    }

    /// The system that failed, or that all leads wait for.
    pub fn dependency(&self) -> Option<&Dependency> {
        match &self.kind {
            FailureKind::Deferral { scope: Scope::All(system), .. } => Some(system),
            _ => self.system.as_ref(),
        }
    }

    /// The time that a deferral waits, if it is known. None for other failures.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            FailureKind::Deferral { until: Until::Elapsed(wait), .. } => Some(wait),
            FailureKind::Deferral { until: Until::Probe(wait), .. } => wait,
            FailureKind::Transient | FailureKind::Permanent => None,
        }
    }

    /// Whether this is a deferral that ends when its time is over. One lead may be deferred like this many
    /// times.
    pub fn ends_by_itself(&self) -> bool {
        matches!(self.kind, FailureKind::Deferral { until: Until::Elapsed(_), .. })
    }

    /// Whether this is a full limit that all leads wait for.
    pub fn is_limit_of_all(&self) -> bool {
        matches!(self.kind, FailureKind::Deferral { scope: Scope::All(_), until: Until::Elapsed(_) })
    }

    fn new(kind: FailureKind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: Cow::Borrowed(code),
            message: message.into(),
            system: None,
            stage: Stage::Other,
            cause: Cause::Other,
        }
    }
}

/// The reason of a failure.
// Its form in the database, in dead letters and in the HTTP interface.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
struct StoredFailure {
    class: FailureClass,
    /// The machine-readable, stable code.
    code: Cow<'static, str>,
    /// The message for a person.
    message: String,
    /// The system that failed, such as `crm.mock`. Of a deferral: present if all leads wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dependency: Option<Dependency>,
    /// The failed stage; attempts are counted for each stage.
    #[serde(default, skip_serializing_if = "Stage::is_other")]
    stage: Stage,
    /// The wait that the system asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<StoredDuration>)]
    retry_after: Option<Duration>,
    /// Whether a deferral ends after that time without a probe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ends_by_itself: bool,
}

/// A duration.
#[derive(utoipa::ToSchema)]
#[schema(as = Duration)]
#[expect(dead_code, reason = "only its schema is used")]
struct StoredDuration {
    secs: u64,
    nanos: u32,
}

impl utoipa::PartialSchema for Failure {
    fn schema() -> RefOr<Schema> {
        <StoredFailure as utoipa::PartialSchema>::schema()
    }
}

impl utoipa::ToSchema for Failure {
    fn name() -> Cow<'static, str> {
        "Failure".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        <StoredFailure as utoipa::ToSchema>::schemas(schemas);
    }
}

impl From<StoredFailure> for Failure {
    fn from(stored: StoredFailure) -> Self {
        let StoredFailure { class, code, message, dependency, stage, retry_after, ends_by_itself } = stored;
        let (kind, system) = match (class, dependency) {
            (FailureClass::Transient, system) => (FailureKind::Transient, system),
            (FailureClass::Permanent, system) => (FailureKind::Permanent, system),
            (FailureClass::Deferral, None) => {
                let until = Until::Elapsed(retry_after.unwrap_or_default());
                (FailureKind::Deferral { scope: Scope::Lead, until }, None)
            }
            (FailureClass::Deferral, Some(system)) => {
                let until = if ends_by_itself {
                    Until::Elapsed(retry_after.unwrap_or_default())
                } else {
                    Until::Probe(retry_after)
                };
                (FailureKind::Deferral { scope: Scope::All(system), until }, None)
            }
        };
        Self { kind, code, message, system, stage, cause: Cause::Other }
    }
}

impl From<Failure> for StoredFailure {
    fn from(failure: Failure) -> Self {
        let is_of_one_lead = matches!(failure.kind, FailureKind::Deferral { scope: Scope::Lead, .. });
        Self {
            class: failure.class(),
            dependency: failure.dependency().filter(|_| !is_of_one_lead).cloned(),
            retry_after: failure.retry_after(),
            ends_by_itself: failure.ends_by_itself() && !is_of_one_lead,
            code: failure.code,
            message: failure.message,
            stage: failure.stage,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CRM: Dependency = Dependency::new("crm.test");

    #[test]
    fn stored_failure_is_read_back() {
        let wait = Duration::from_secs(3);
        for failure in [
            Failure::transient("crm_timeout", "no answer").on(CRM).at(Stage::CrmWrite),
            Failure::permanent("crm_validation", "no last name"),
            Failure::deferral(CRM, "breaker_open", "open", None),
            Failure::deferral(CRM, "crm_busy", "busy", Some(wait)),
            Failure::limit(CRM, "crm_rate_limit", "full", wait),
            Failure::lead_deferral("lead_rate_limit", "full", wait),
        ] {
            let stored = serde_json::to_string(&failure).unwrap();
            assert_eq!(serde_json::from_str::<Failure>(&stored).unwrap(), failure, "{stored}");
        }
    }

    #[test]
    fn stored_form_tells_the_deferrals_apart() {
        let wait = Duration::from_secs(3);
        let shown = |failure: Failure| {
            let stored = json!(failure);
            (
                stored["dependency"].clone(),
                stored["retry_after"]["secs"].clone(),
                stored["ends_by_itself"].clone(),
            )
        };
        let probed = Failure::deferral(CRM, "crm_busy", "busy", Some(wait));
        assert_eq!(shown(probed), (json!("crm.test"), json!(3), json!(null)));
        let limit = Failure::limit(CRM, "crm_rate_limit", "full", wait);
        assert_eq!(shown(limit), (json!("crm.test"), json!(3), json!(true)));
        let lead = Failure::lead_deferral("lead_rate_limit", "full", wait).on(CRM);
        assert_eq!(shown(lead), (json!(null), json!(3), json!(null)));
    }
}
