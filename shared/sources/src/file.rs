//! The sources file as it is written, before validation.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::policy::{CallNeed, Limits};
use crate::signature::Scheme;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) source: Vec<Block>,
}

/// The keys of a source. A preset has the same keys.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Block {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) preset: Option<Spanned<String>>,
    pub(crate) path: Option<Spanned<String>>,
    pub(crate) url: Option<Spanned<String>>,
    pub(crate) secrets: Option<Spanned<String>>,
    pub(crate) token: Option<Spanned<TokenPlace>>,
    pub(crate) signature: Option<Spanned<Signature>>,
    pub(crate) facts: Option<Spanned<Vec<String>>>,
    pub(crate) form_facts: Option<Spanned<bool>>,
    pub(crate) template: Option<Spanned<String>>,
    pub(crate) campaign: Option<Spanned<String>>,
    pub(crate) keep: Option<Spanned<Keep>>,
    pub(crate) lift: Option<Spanned<Vec<String>>>,
    pub(crate) pairs: Option<Spanned<Vec<PairsEntry>>>,
    #[serde(default)]
    pub(crate) map: BTreeMap<String, Spanned<From>>,
    pub(crate) only: Option<Spanned<BTreeMap<String, OneOrMore>>>,
    pub(crate) status: Option<Spanned<u16>>,
    pub(crate) id: Option<Spanned<String>>,
    pub(crate) email_verified: Option<Spanned<Truth>>,
    pub(crate) call_needs: Option<Spanned<Vec<CallNeed>>>,
    pub(crate) limits: Option<Spanned<Limits>>,
}

/// Where a static token is sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TokenPlace {
    Header(String),
    /// A parameter of the URL, for senders that cannot set headers.
    Query(String),
}

/// A signature by the name of a preset, or described.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Signature {
    Named(String),
    Described(Scheme),
}

/// What happens to top-level fields that no other part of the mapping uses.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    All,
    Mapped,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PairsEntry {
    pub(crate) list: String,
    pub(crate) name: OneOrMore,
    pub(crate) value: OneOrMore,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// The origins of a field: a path, several in order of precedence, or a fixed value.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum From {
    One(String),
    More(Vec<String>),
    Fixed(Fixed),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fixed {
    pub(crate) value: serde_json::Value,
}

/// A fixed truth, or the path to one in the payload.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Truth {
    Always(bool),
    At(String),
}

impl OneOrMore {
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::More(texts) => texts,
        }
    }
}

/// The source's own value or the preset's, with the place to name in an error: that of the value, or that of
/// the source's name for a preset's value.
pub(crate) fn own_or<T>(
    own: Option<Spanned<T>>,
    preset: Option<Spanned<T>>,
    block: &Range<usize>,
) -> Option<(T, Range<usize>)> {
    let with_span = |value: Spanned<T>| {
        let span = value.span();
        (value.into_inner(), span)
    };
    own.map(with_span).or_else(|| preset.map(|value| (value.into_inner(), block.clone())))
}
