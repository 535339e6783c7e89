//! The built-in presets: mappings of known senders, and signatures of known makers.

use std::collections::BTreeMap;

use crate::file::Block;
use crate::signature::Scheme;

macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        /// The presets with their texts, in the order of the documentation.
        const PRESETS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../presets/", $name, ".toml")))),+];
    };
}

presets![
    "marketo",
    "hubspot-form",
    "hubspot-workflow",
    "typeform",
    "webflow",
    "elementor",
    "meta-lead",
    "linkedin-lead",
    "calendly",
    "segment",
    "unbounce",
    "zapier",
    "generic",
];

/// The names of the presets, with the text of each.
pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
    PRESETS.iter().copied()
}

/// The keys of a preset.
pub(crate) fn preset(name: &str) -> Option<Block> {
    let (_, text) = presets().find(|(known, _)| *known == name)?;
    Some(toml::from_str(text).expect("a test parses every preset"))
}

/// The described signatures by name. `standard-webhooks` and `svix` are the built-in scheme of
/// [`intake::Authenticator`] and are not among them.
pub(crate) fn scheme(name: &str) -> Option<Scheme> {
    let mut schemes: BTreeMap<String, Scheme> =
        toml::from_str(include_str!("../presets/signatures.toml")).expect("a test parses every signature");
    schemes.remove(name)
}

/// The names of the signatures.
pub(crate) const SIGNATURES: &str =
    "standard-webhooks, svix, meta, typeform, hubspot-v3, calendly, segment or webflow";
