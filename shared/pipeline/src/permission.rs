//! Permission to query outside systems about a person, which the suppression list denies.

use lead::{EmailAddress, Failure};
use store::{Steps, SuppressionKind};

/// Proof that a person was not on the suppression list a moment ago.
///
/// Every function of this crate that queries an enrichment provider, an AI or the CRM's facts about a person
/// takes a permission, and only [`Permission::of`] creates one. Code that skips the suppression list
/// therefore does not compile. Callers get a new permission before each outside system, since the person may
/// be suppressed in between.
#[derive(Debug)]
pub(crate) struct Permission(());

/// The reason why outside systems may not be queried about a person.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The person's address or domain is on the suppression list.
    Suppressed(SuppressionKind),
    /// The suppression list could not be read.
    Failed(Failure),
}

impl Permission {
    /// Looks the person up on the suppression list.
    pub(crate) async fn of(steps: &Steps, person: &EmailAddress) -> Result<Self, Denied> {
        match steps.suppressed(person).await {
            Ok(None) => Ok(Self(())),
            Ok(Some(by)) => Err(Denied::Suppressed(by)),
            Err(error) => Err(Denied::Failed(error.into())),
        }
    }
}
