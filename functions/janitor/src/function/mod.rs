mod chaser;
mod drain;
mod overflow;
mod probes;
mod switch;

pub(crate) use chaser::{chaser, enricher};
pub(crate) use drain::Drained;
pub(crate) use overflow::take;
pub(crate) use probes::probes;
pub(crate) use switch::switch;
