use std::fmt;

use serde::{Deserialize, Serialize};

use crate::vocabulary;

/// The match between a company and the ideal customer profile, 0 to 100.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[schema(minimum = 0, maximum = 100)]
pub struct FitScore(u8);

impl FitScore {
    /// The highest score.
    pub const MAX: Self = Self(100);

    /// The neutral score of a fallback verdict, always combined with a manual review.
    pub const FALLBACK: Self = Self(50);

    /// A score. `None` if the number is outside 0 to 100.
    pub fn new(score: i64) -> Option<Self> {
        u8::try_from(score).ok().filter(|score| *score <= 100).map(Self)
    }

    /// The nearest score to a number.
    pub fn clamped(score: i64) -> Self {
        u8::try_from(score.clamp(0, 100)).map_or(Self::MAX, Self)
    }

    /// The score as a number.
    pub fn get(self) -> i64 {
        self.0.into()
    }
}

impl fmt::Display for FitScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<i64> for FitScore {
    type Error = &'static str;

    fn try_from(score: i64) -> Result<Self, Self::Error> {
        Self::new(score).ok_or("a fit score is between 0 and 100")
    }
}

impl From<FitScore> for i64 {
    fn from(score: FitScore) -> Self {
        score.get()
    }
}

vocabulary! {
    /// The level of fit of a score, by configured thresholds. Ordered from weakest to strongest.
    Fit {
        /// The company does not match the profile.
        Low = "LOW",
        /// The company may match the profile.
        Medium = "MEDIUM",
        /// The company matches the profile.
        High = "HIGH",
    }
}

vocabulary! {
    /// The readiness of the person to buy. Ordered from weakest to strongest.
    Intent {
        /// No sign of interest.
        Low = "LOW",
        /// Some signs of interest.
        Medium = "MEDIUM",
        /// Ready to buy.
        High = "HIGH",
    }
}

vocabulary! {
    /// The next action for a lead. Ordered by strength: the amount of a salesperson's time that it costs.
    Decision {
        /// No action.
        Ignore = "IGNORE",
        /// Marketing stays in contact.
        Nurture = "NURTURE",
        /// A person decides. Also the decision of a fallback verdict.
        ManualReview = "MANUAL_REVIEW",
        /// A sales representative calls at once.
        RouteToSdr = "ROUTE_TO_SDR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_is_between_0_and_100() {
        assert_eq!(FitScore::new(100), Some(FitScore::MAX));
        assert_eq!(FitScore::new(101), None);
        assert_eq!(FitScore::new(-1), None);
        assert_eq!(FitScore::clamped(-5).get(), 0);
        assert_eq!(FitScore::clamped(i64::MAX).get(), 100);
        assert!(serde_json::from_str::<FitScore>("101").is_err());
    }

    #[test]
    fn values_survive_a_round_trip() {
        for decision in Decision::ALL {
            assert_eq!(Decision::parse(decision.as_str()), Some(*decision));
            assert_eq!(serde_json::to_string(decision).unwrap(), format!("\"{decision}\""));
        }
        assert_eq!(Intent::parse("high"), None);
    }
}
