//! Firmographics: what providers know about the company behind a lead's e-mail domain.
//!
//! [`Waterfall::enrich`] is the whole of it for the pipeline. It asks one [`EnrichmentProvider`] after another, keeps for
//! each field the first value that anyone knew, and writes down who said it and when, so that evidence can
//! quote its source. A provider that fails, hangs or panics costs the lead nothing but that provider's facts: the
//! outcome is always an [`Enrichment`], with the trouble kept in [`Enrichment::errors`].
//!
//! Private and throw-away mailboxes say nothing about an employer: [`Mailbox`] knows them, and no provider is asked.
//!
//! [`Fixtures`] is the provider that needs neither a network nor a key. The others are one module a system, under
//! `providers`; what they said is remembered in a [`Cache`] that processes share, so that nobody pays twice for the
//! same answer, and leads of one company that come together ask once.

mod cache;
mod country;
mod domain;
mod firmographics;
mod fixtures;
mod flights;
mod mailbox;
mod numbers;
mod outcome;
mod provider;
mod providers;
mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod waterfall;

pub use cache::{Answer, Cache, Kept};
pub use firmographics::{Firmographics, Range};
pub use fixtures::Fixtures;
pub use mailbox::Mailbox;
pub use outcome::{Enrichment, EnrichmentStatus, Provenance, ProviderError};
pub use provider::{EnrichmentProvider, NOT_YET};
pub use providers::{Access, Apollo, Clearbit, Hunter, PeopleDataLabs, ZoomInfo, ZoomInfoAccess};
pub use source::{Memory, Terms};
pub use waterfall::{ProviderState, Waterfall};
