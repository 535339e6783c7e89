use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The treatment of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// The processing stage at which an attempt failed. Attempts are counted for each stage, so that an outage at
/// one stage does not use up the attempts of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading facts from the CRM.
    CrmRead,
    /// Analysis by the analyst.
    Analysis,
    /// Writing the plan to the CRM.
    CrmWrite,
    /// Our own database or queue. Does not count as an attempt at any stage.
    Storage,
    /// Anything else, such as a panic.
    #[default]
    Other,
}

impl Stage {
    /// Every stage.
    pub const ALL: &[Self] = &[Self::CrmRead, Self::Analysis, Self::CrmWrite, Self::Storage, Self::Other];

    /// The stored and displayed value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrmRead => "crm_read",
            Self::Analysis => "analysis",
            Self::CrmWrite => "crm_write",
            Self::Storage => "storage",
            Self::Other => "other",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_other(&self) -> bool {
        *self == Self::Other
    }
}

/// An outside system that processing depends on, by a short stable name such as `ai.gemini` or
/// `crm.salesforce`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

/// The reason why processing of one lead failed, and the treatment of the failure.
///
/// Created by the code that knows the cause. The message is stored, logged and shown to operators, so it
/// never contains personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// The treatment.
    pub class: FailureClass,
    /// A stable machine-readable reason, such as `crm_timeout`.
    pub code: Cow<'static, str>,
    /// One sentence for a person, without a final period.
    pub message: String,
    /// The outside system that failed, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<Dependency>,
    /// The processing stage that failed.
    #[serde(default, skip_serializing_if = "Stage::is_other")]
    pub stage: Stage,
    /// For a deferral, the time to wait, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// For a deferral, whether it ends when its time is over, without the probe that an outage needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_by_itself: bool,
}

impl Failure {
    /// A failure that may succeed on retry.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, code, message)
    }

    /// A failure that no retry can resolve.
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, code, message)
    }

    /// An outside system that is not available now, with the time to wait if it is known.
    pub fn deferral(
        dependency: Dependency,
        code: &'static str,
        message: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self { dependency: Some(dependency), retry_after, ..Self::new(FailureClass::Deferral, code, message) }
    }

    /// Sets the system that failed.
    #[must_use]
    pub fn on(mut self, dependency: Dependency) -> Self {
        self.dependency = Some(dependency);
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

    /// Marks a deferral as one that ends when its time is over, without a probe.
    #[must_use]
    pub fn ending_by_itself(self) -> Self {
        Self { ends_by_itself: true, ..self }
    }

    /// Whether this is a deferral by one of our own limits. Nothing failed, and one lead may be deferred like
    /// this many times.
    pub fn is_full_limit(&self) -> bool {
        self.class == FailureClass::Deferral && (self.ends_by_itself || self.dependency.is_none())
    }

    fn new(class: FailureClass, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            class,
            code: Cow::Borrowed(code),
            message: message.into(),
            dependency: None,
            stage: Stage::Other,
            retry_after: None,
            ends_by_itself: false,
        }
    }
}
