use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a failure is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May pass by itself (timeout, 5xx, lock): counts as an attempt, tried again after a backoff.
    Transient,
    /// The outside system cannot be used now (breaker, quota): counts as no attempt, consumption pauses.
    Deferral,
    /// Will fail again whatever happens: dead-lettered at once.
    Permanent,
}

/// The stage of a lead's way at which an attempt failed. Each stage has attempts of its own, so that an outage at one of them
/// cannot use up those of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The CRM is asked what it knows.
    CrmRead,
    /// The analyst judges.
    Analysis,
    /// The plan is written to the CRM.
    CrmWrite,
    /// Our own database or queue: no attempt at any stage of the lead's.
    Storage,
    /// Anything else, such as a panic.
    #[default]
    Other,
}

impl Stage {
    /// Every stage.
    pub const ALL: &[Self] = &[Self::CrmRead, Self::Analysis, Self::CrmWrite, Self::Storage, Self::Other];

    /// As it is stored and shown.
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

/// An outside system that processing depends on, by a short stable name such as `ai.gemini` or `crm.salesforce`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency(Cow<'static, str>);

impl Dependency {
    /// A dependency whose name is known at compile time.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A dependency by a name read back from a store.
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

/// Why one lead could not be taken further, and what is to be done about it.
///
/// Built where the cause is known. The message is stored, logged and shown to operators: it never holds personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// What to do.
    pub class: FailureClass,
    /// A stable machine-readable reason, such as `crm_timeout`.
    pub code: Cow<'static, str>,
    /// One sentence for a person, without a final period.
    pub message: String,
    /// The system that failed, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<Dependency>,
    /// Where on the lead's way it failed.
    #[serde(default, skip_serializing_if = "Stage::is_other")]
    pub stage: Stage,
    /// For a deferral, how long the system asked us to stay away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// For a deferral, whether its time is all it takes: nobody has to ask the system first, as after an outage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_by_itself: bool,
}

impl Failure {
    /// A failure that may pass by itself.
    pub fn transient(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Transient, code, message)
    }

    /// A failure that will not pass.
    pub fn permanent(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Permanent, code, message)
    }

    /// An outside system that cannot be used now, and for how long, where that is known.
    pub fn deferral(
        dependency: Dependency,
        code: &'static str,
        message: impl Into<String>,
        retry_after: Option<Duration>,
    ) -> Self {
        Self { dependency: Some(dependency), retry_after, ..Self::new(FailureClass::Deferral, code, message) }
    }

    /// Names the system that failed.
    #[must_use]
    pub fn on(mut self, dependency: Dependency) -> Self {
        self.dependency = Some(dependency);
        self
    }

    /// Says at which stage it failed, where that is not known yet.
    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        if self.stage.is_other() {
            self.stage = stage;
        }
        self
    }

    /// Says of a deferral that its time is all it takes.
    #[must_use]
    pub fn ending_by_itself(self) -> Self {
        Self { ends_by_itself: true, ..self }
    }

    /// Whether it says only that a limit of our own is full: nothing failed, and one lead may hear it many times.
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
