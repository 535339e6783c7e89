use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Namespace;

/// One fact that the model cites as evidence, in the model's own words: untrusted text.
// Its `Debug` shows only words of the contract's vocabulary.
#[derive(Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Claim {
    /// `SALESFORCE`, `MARKETO`, `PRODUCT`, `ENRICHMENT` or `COMPUTED`; anything else is a breach.
    pub source: String,
    /// The claimed path in the fact sheet, e.g. `enrichment.industry`.
    pub field_path: String,
    /// The claimed value; as the source wrote it, if the claim passed.
    pub value: Value,
    /// `FIRMOGRAPHIC`, `BEHAVIOR`, `PIPELINE` or `SCORE`; anything else is a breach.
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

/// The subject of a claim. It determines the permitted sources and the conclusions that the claim supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimType {
    /// The company: industry, size, place. Supports fit.
    Firmographic,
    /// The actions of the person. Supports intent.
    Behavior,
    /// The stage of a deal. Supports neither fit nor intent.
    Pipeline,
    /// A computed number. Supports both.
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

    /// Parses the name of a type, ignoring ASCII case.
    pub fn parse(text: &str) -> Option<Self> {
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
    fn debug_output_repeats_nothing_of_the_model() {
        let claim = Claim {
            source: "Ann".into(),
            field_path: "marketo.ann_smith".into(),
            value: json!("ann@example.com"),
            claim_type: "BEHAVIOR".into(),
        };
        assert_eq!(format!("{claim:?}"), "Claim { source: None, claim_type: Some(Behavior), .. }");
    }
}
