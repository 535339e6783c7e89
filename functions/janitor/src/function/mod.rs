mod overflow;
mod probes;
mod switch;

pub(crate) use overflow::take;
pub(crate) use probes::probes;
pub(crate) use switch::switch;
