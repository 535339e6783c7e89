use lead::{Fit, FitScore};
use serde::{Deserialize, Serialize};

/// From LOW to HIGH.
const NO_INTENT_BAND: u8 = 2;

/// The part of the contract that a deployment may set. What is not given keeps its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Settings")]
pub struct Contract {
    /// Written into every verdict; raise it with every change, so that a stored verdict says what it was judged by.
    pub version: u32,
    /// From this score on the fit is HIGH.
    pub fit_high_from: FitScore,
    /// From this score on the fit is MEDIUM.
    pub fit_medium_from: FitScore,
    /// How far a score may lie from `computed.baseline_score`, in points, 0 to 100.
    pub score_band: u8,
    /// How many levels an intent may lie above `computed.intent_level`: 0, 1, or 2 for no bound.
    pub intent_band: u8,
}

/// Why settings do not make a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// There would be no LOW fit, or no MEDIUM.
    #[error("fit thresholds must keep 1 <= fit_medium_from < fit_high_from <= 100")]
    Thresholds,
    /// The band is wider than the scores.
    #[error("score_band must be at most 100")]
    Band,
    /// There are three levels of intent, so at most two steps between them.
    #[error("intent_band must be at most 2")]
    IntentBand,
}

impl Contract {
    /// Checks what the types do not.
    pub fn validate(&self) -> Result<(), ContractError> {
        if self.fit_medium_from.get() < 1 || self.fit_medium_from >= self.fit_high_from {
            Err(ContractError::Thresholds)
        } else if self.score_band > 100 {
            Err(ContractError::Band)
        } else if self.intent_band > NO_INTENT_BAND {
            Err(ContractError::IntentBand)
        } else {
            Ok(())
        }
    }

    /// The level of fit that a score amounts to.
    pub fn fit(&self, score: FitScore) -> Fit {
        if score >= self.fit_high_from {
            Fit::High
        } else if score >= self.fit_medium_from {
            Fit::Medium
        } else {
            Fit::Low
        }
    }
}

impl Default for Contract {
    fn default() -> Self {
        Self {
            version: 2,
            fit_high_from: FitScore::clamped(80),
            fit_medium_from: FitScore::clamped(50),
            score_band: 30,
            intent_band: 1,
        }
    }
}

/// The contract as it is written down, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    version: u32,
    fit_high_from: FitScore,
    fit_medium_from: FitScore,
    score_band: u8,
    intent_band: Option<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        let Contract { version, fit_high_from, fit_medium_from, score_band, .. } = Contract::default();
        Self { version, fit_high_from, fit_medium_from, score_band, intent_band: None }
    }
}

impl TryFrom<Settings> for Contract {
    type Error = ContractError;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let Settings { version, fit_high_from, fit_medium_from, score_band, intent_band } = settings;
        // Version 1 knew no such band: what was judged by it is judged by it again.
        let default = if version < 2 { NO_INTENT_BAND } else { Self::default().intent_band };
        let intent_band = intent_band.unwrap_or(default);
        let contract = Self { version, fit_high_from, fit_medium_from, score_band, intent_band };
        contract.validate().map(|()| contract)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Contract, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn the_levels_begin_at_their_thresholds() {
        let contract = Contract::default();
        for (score, fit) in [
            (0, Fit::Low),
            (49, Fit::Low),
            (50, Fit::Medium),
            (79, Fit::Medium),
            (80, Fit::High),
            (100, Fit::High),
        ] {
            assert_eq!(contract.fit(FitScore::new(score).unwrap()), fit, "{score}");
        }
    }

    #[test]
    fn what_is_not_given_keeps_its_default() {
        assert_eq!(read("{}").unwrap(), Contract::default());
        assert_eq!(read(r#"{"score_band":10}"#).unwrap(), Contract { score_band: 10, ..Contract::default() });
    }

    #[test]
    fn a_contract_of_version_1_has_no_band_on_intent() {
        assert_eq!(read(r#"{"version":1}"#).unwrap().intent_band, NO_INTENT_BAND);
        assert_eq!(read(r#"{"version":1,"intent_band":1}"#).unwrap().intent_band, 1);
        assert_eq!(read(r#"{"version":2}"#).unwrap().intent_band, 1);
    }

    #[test]
    fn wrong_settings_are_refused() {
        for wrong in [
            r#"{"fit_high_from":50}"#,
            r#"{"fit_medium_from":80}"#,
            r#"{"fit_medium_from":0}"#,
            r#"{"fit_high_from":101}"#,
            r#"{"score_band":101}"#,
            r#"{"intent_band":3}"#,
            r#"{"score_bend":10}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
