//! The tables of the configuration file, as they are written there.

use grounding::{FieldPath, Namespace};
use serde::Deserialize;

use crate::label::has_order;
use crate::text::{Pattern, Term};

/// The most words of a handle, such as `jane.doe.ceo`.
const MAX_HANDLE_WORDS: usize = 4;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(crate) struct $name { $($(#[$attr])* pub(crate) $field: $type),+ }
        )+
    };
}

tables! {
    /// An industry or a technology, with the other names it goes by.
    Named { name: Term, points: u8, #[serde(default)] aliases: Vec<Term> }

    /// Numbers of employees, both ends included.
    SizeBand { name: Term, min: u64, max: Option<u64>, points: u8 }

    /// Countries that are worth the same.
    Geo { name: Term, countries: Vec<String>, points: u8 }

    /// What a mailbox that is not an employer's takes off the fit.
    Mailboxes { private_penalty: u8, disposable_penalty: u8 }

    /// From which intent score which level counts.
    IntentLevels { medium_from: u8, high_from: u8 }

    /// How the marketing platform's engagement score is read.
    Engagement {
        field: Term,
        medium_from: u32,
        high_from: u32,
        medium_points: u8,
        high_points: u8,
        believable_up_to: u32,
    }

    /// Something a person did.
    Signal { name: Term, fields: Vec<BehaviourField>, values: Vec<Term>, points: u8 }

    /// Campaigns that are worth the same.
    Campaign { tier: Term, ids: Vec<Pattern>, high_value: bool, points: u8 }

    /// Job titles of one level.
    Title { level: Term, phrases: Vec<Term>, points: u8 }

    /// Words that take a title its level.
    TitleExclusions { words: Vec<Term> }

    /// What a model is shown of the facts that senders pass on.
    Shown {
        /// The longest text, in words.
        max_words: u8,
        fields: Vec<SentField>,
    }

    /// Authority behind a private mailbox.
    Stealth { handles: Vec<Term>, fit_points: u8, intent_points: u8 }
}

/// A fact about what a person did: under `marketo.` or `product.`, the sources that may support such a claim.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct BehaviourField(FieldPath);

impl BehaviourField {
    pub(crate) fn path(&self) -> &FieldPath {
        &self.0
    }
}

impl TryFrom<String> for BehaviourField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match FieldPath::parse(&text) {
            Ok(path) if matches!(path.namespace(), Namespace::Marketo | Namespace::Product) => Ok(Self(path)),
            _ => Err(format!("{text:?} is not the path of a field under \"marketo.\" or \"product.\"")),
        }
    }
}

/// A fact that a sender may pass on: under `marketo.`, `product.` or `salesforce.`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct SentField(FieldPath);

impl SentField {
    pub(crate) fn path(&self) -> &FieldPath {
        &self.0
    }
}

impl TryFrom<String> for SentField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match FieldPath::parse(&text) {
            Ok(path) if !matches!(path.namespace(), Namespace::Enrichment | Namespace::Computed) => {
                Ok(Self(path))
            }
            _ => Err(format!(
                "{text:?} is not the path of a field under \"marketo.\", \"product.\" or \"salesforce.\""
            )),
        }
    }
}

impl Named {
    /// Whether the folded text is this thing's name or one of its aliases.
    pub(crate) fn is_called(&self, folded: &str) -> bool {
        self.name.folded() == folded || self.aliases.iter().any(|alias| alias.folded() == folded)
    }
}

impl Stealth {
    /// Whether a word of the local part of an address is a handle of authority. A local part of many words, or with one that
    /// orders something, is a sentence and no handle; what follows a `+` is the sender's own note.
    pub(crate) fn is_authority(&self, local_part: &str) -> bool {
        let name = local_part.split('+').next().unwrap_or_default();
        let words: Vec<&str> =
            name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        words.len() <= MAX_HANDLE_WORDS
            && !has_order(&words.join(" "))
            && words.iter().any(|word| self.handles.iter().any(|handle| handle.folded() == *word))
    }
}
