//! The clients of the providers, one module each. `docs/enrichment.md` describes their APIs.

mod apollo;
mod clearbit;
mod client;
mod company;
mod hunter;
mod pdl;
mod zoominfo;

pub use apollo::Apollo;
pub use clearbit::Clearbit;
pub use client::Access;
pub use hunter::Hunter;
pub use pdl::PeopleDataLabs;
pub use zoominfo::{ZoomInfo, ZoomInfoAccess};
