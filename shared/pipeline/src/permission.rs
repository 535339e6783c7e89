//! Leave to ask outside systems about a person.

use lead::{EmailAddress, Failure};
use store::{Store, SuppressionKind};

/// Proof that a person was not on the suppression list a moment ago.
///
/// Everything of this crate that asks an enrichment provider or an AI about a person, or the CRM for facts, takes one, and
/// [`Permission::of`] is the only place that gives it: what does not ask the list does not compile. It is asked for again
/// before each outside system, since the person may come onto the list in between.
#[derive(Debug)]
pub(crate) struct Permission(());

/// Why nothing may be asked about a person.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The person is on the suppression list, by their address or their domain.
    Suppressed(SuppressionKind),
    /// The list could not be read.
    Failed(Failure),
}

impl Permission {
    /// Looks the person up on the suppression list.
    pub(crate) async fn of(store: &Store, person: &EmailAddress) -> Result<Self, Denied> {
        match store.suppressed(person).await {
            Ok(None) => Ok(Self(())),
            Ok(Some(by)) => Err(Denied::Suppressed(by)),
            Err(error) => Err(Denied::Failed(error.into())),
        }
    }
}
