use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Namespace;

/// One thing the model says it rests its judgement on, in its own words: untrusted text.
///
/// Its `Debug` shows only words of the contract's own vocabulary.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Who is said to have said it, e.g. `ENRICHMENT`.
    pub source: String,
    /// Where in the fact sheet it is said to stand, e.g. `enrichment.industry`.
    pub field_path: String,
    /// What the fact is said to be.
    pub value: Value,
    /// What it is said to be about: a [`ClaimType`] by name.
    pub claim_type: String,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("source", &Namespace::from_source(&self.source))
            .field("claim_type", &ClaimType::parse(&self.claim_type))
            .finish_non_exhaustive()
    }
}

/// What a claim is about, which decides who may support it and what it may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimType {
    /// The company: industry, size, place. Carries fit.
    Firmographic,
    /// What the person did. Carries intent.
    Behavior,
    /// Where a deal stands. Carries neither fit nor intent.
    Pipeline,
    /// A number we computed. Carries both.
    Score,
}

impl ClaimType {
    /// Every claim type.
    pub const ALL: [Self; 4] = [Self::Firmographic, Self::Behavior, Self::Pipeline, Self::Score];

    /// The type as a claim names it, e.g. `FIRMOGRAPHIC`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firmographic => "FIRMOGRAPHIC",
            Self::Behavior => "BEHAVIOR",
            Self::Pipeline => "PIPELINE",
            Self::Score => "SCORE",
        }
    }

    /// Reads the type a claim names; exact, case included.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim_type| claim_type.as_str() == text)
    }

    /// Reads the type a claim names, in any case of its ASCII letters.
    pub fn parse_in_any_case(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|claim_type| claim_type.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether facts of a source may support claims of this type.
    pub fn may_rest_on(self, source: Namespace) -> bool {
        match self {
            Self::Firmographic => source == Namespace::Enrichment,
            Self::Behavior => matches!(source, Namespace::Marketo | Namespace::Product),
            Self::Pipeline => matches!(source, Namespace::Salesforce | Namespace::Computed),
            Self::Score => source == Namespace::Computed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn debug_output_repeats_nothing_the_model_wrote() {
        let claim = Claim {
            source: "Ann".into(),
            field_path: "marketo.ann_smith".into(),
            value: json!("ann@example.com"),
            claim_type: "BEHAVIOR".into(),
        };
        assert_eq!(format!("{claim:?}"), "Claim { source: None, claim_type: Some(Behavior), .. }");
    }
}
