//! The tables of the configuration file.

use grounding::{FieldPath, Namespace};
use serde::Deserialize;

use crate::label::has_command;
use crate::text::{Pattern, Term};

/// The maximum number of words in a handle, such as `jane.doe.ceo`.
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
    /// An industry or a technology, with its aliases.
    Named { name: Term, points: u8, #[serde(default)] aliases: Vec<Term> }

    /// A range of employee numbers, both ends included.
    SizeBand { name: Term, min: u64, max: Option<u64>, points: u8 }

    /// Countries with the same number of points.
    Geo { name: Term, countries: Vec<String>, points: u8 }

    /// Penalties on the fit for mailboxes that do not belong to an employer.
    Mailboxes { private_penalty: u8, disposable_penalty: u8 }

    /// The lowest intent scores of the levels MEDIUM and HIGH.
    IntentLevels { medium_from: u8, high_from: u8 }

    /// How to read the engagement score of the marketing platform.
    Engagement {
        field: Term,
        medium_from: u32,
        high_from: u32,
        medium_points: u8,
        high_points: u8,
        believable_up_to: u32,
    }

    /// An action of a person.
    Signal { name: Term, fields: Vec<BehaviourField>, values: Vec<Term>, points: u8 }

    /// Campaigns with the same number of points.
    Campaign { tier: Term, ids: Vec<Pattern>, high_value: bool, points: u8 }

    /// Job titles of one level.
    Title { level: Term, phrases: Vec<Term>, points: u8 }

    /// Words that exclude a title from every level.
    TitleExclusions { words: Vec<Term> }

    /// The sender's facts that a model may see.
    VisibleFacts {
        /// The maximum length of a text, in words.
        max_words: u8,
        fields: Vec<SentField>,
    }

    /// Executives who use a private mailbox.
    Stealth { handles: Vec<Term>, fit_points: u8, intent_points: u8 }
}

/// A path under `marketo.` or `product.`, the sources that may support a claim about behaviour.
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

/// A path under `marketo.`, `product.` or `salesforce.`: a fact that a sender may set.
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
    /// Whether the folded text is the name or one of the aliases.
    pub(crate) fn is_called(&self, folded: &str) -> bool {
        self.name.folded() == folded || self.aliases.iter().any(|alias| alias.folded() == folded)
    }
}

impl Stealth {
    /// Whether a word of an address's local part is an executive handle. A local part with many words, or
    /// with a word of command, is a sentence and not a handle. Text after a `+` is the sender's own note and
    /// is ignored.
    pub(crate) fn is_authority(&self, local_part: &str) -> bool {
        let name = local_part.split('+').next().unwrap_or_default();
        let words: Vec<&str> =
            name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        words.len() <= MAX_HANDLE_WORDS
            && !has_command(&words.join(" "))
            && words.iter().any(|word| self.handles.iter().any(|handle| handle.folded() == *word))
    }
}
