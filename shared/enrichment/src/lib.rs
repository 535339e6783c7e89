//! Firmographics: facts about the company behind the e-mail domain of a lead.
//!
//! [`Waterfall::enrich`] is the entry point of the pipeline. It queries one [`EnrichmentProvider`] after
//! another, keeps the first known value of each field, and records its provider and time, so that evidence
//! can quote its source. A provider that fails, hangs or panics costs the lead that provider's facts only:
//! the result is always an [`Enrichment`], with the failures in [`Enrichment::errors`].
//!
//! Private and disposable mailboxes say nothing about an employer. [`Mailbox`] recognises them, and no
//! provider is queried.
//!
//! [`Fixtures`] is the provider without network and key. The other providers are in `providers`, one module
//! each. Processes share their answers in a [`Cache`], so that no answer is paid for twice, and concurrent
//! leads of one company share a single request.

mod cache;
mod country;
mod domain;
mod firmographics;
mod fixtures;
mod mailbox;
mod numbers;
mod outcome;
mod provider;
mod providers;
mod settings;
mod single_flight;
mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod waterfall;

pub use cache::{Answer, Cache, Kept};
pub use firmographics::{Firmographics, Range};
pub use fixtures::Fixtures;
pub use mailbox::Mailbox;
pub use outcome::{Enrichment, EnrichmentStatus, Provenance, ProviderError};
pub use provider::EnrichmentProvider;
pub use providers::{Access, Apollo, Clearbit, Hunter, PeopleDataLabs, ZoomInfo, ZoomInfoAccess};
pub use settings::{ProviderAccess, ProviderSettings, Settings};
pub use source::{SharedState, Terms};
pub use waterfall::{ProviderState, Waterfall};
