use lead::{Fit, FitScore};
use serde::{Deserialize, Serialize};

/// The widest intent band, from LOW to HIGH: no restriction.
const NO_INTENT_BAND: u8 = 2;
/// The version of the rules that this crate implements.
const VERSION: u32 = 4;

/// The configurable part of the contract. Missing settings keep their defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Settings")]
pub struct Contract {
    /// The version of the rules. The rules of a version never change, so that stored judgements stay
    /// reproducible: every verdict records its version, and a contract of any other version is refused.
    pub version: u32,
    /// The lowest score of a HIGH fit.
    pub fit_high_from: FitScore,
    /// The lowest score of a MEDIUM fit.
    pub fit_medium_from: FitScore,
    /// The maximum distance of a score from `computed.baseline_score`, in points, 0 to 100.
    pub score_band: u8,
    /// The maximum number of levels of an intent above `computed.intent_level`: 0, 1, or 2 for no limit.
    pub intent_band: u8,
    /// Whether a call by sales requires that the computed fit and intent alone justify one.
    pub call_needs_facts: bool,
}

/// The reason why settings are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The thresholds leave no room for a LOW or a MEDIUM fit.
    #[error("fit thresholds must keep 1 <= fit_medium_from < fit_high_from <= 100")]
    Thresholds,
    /// The band is wider than the range of scores.
    #[error("score_band must be at most 100")]
    Band,
    /// The band is wider than the three levels of intent.
    #[error("intent_band must be at most 2")]
    IntentBand,
    /// The version is not the one that this crate implements.
    #[error("contract version {0} is unknown; this program checks version {VERSION}")]
    Version(u32),
}

impl Contract {
    /// Checks the rules that the types cannot express.
    pub fn validate(&self) -> Result<(), ContractError> {
        if self.fit_medium_from.get() < 1 || self.fit_medium_from >= self.fit_high_from {
            Err(ContractError::Thresholds)
        } else if self.score_band > 100 {
            Err(ContractError::Band)
        } else if self.intent_band > NO_INTENT_BAND {
            Err(ContractError::IntentBand)
        } else if self.version != VERSION {
            Err(ContractError::Version(self.version))
        } else {
            Ok(())
        }
    }

    /// The level of fit of a score.
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
            version: VERSION,
            fit_high_from: FitScore::clamped(80),
            fit_medium_from: FitScore::clamped(50),
            score_band: 30,
            intent_band: 1,
            call_needs_facts: true,
        }
    }
}

/// The settings before validation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    version: u32,
    fit_high_from: FitScore,
    fit_medium_from: FitScore,
    score_band: u8,
    intent_band: u8,
    call_needs_facts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let Contract { version, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts } =
            Contract::default();
        Self { version, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts }
    }
}

impl TryFrom<Settings> for Contract {
    type Error = ContractError;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let Settings { version, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts } =
            settings;
        let contract =
            Self { version, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts };
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
    fn levels_begin_at_their_thresholds() {
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
    fn missing_settings_keep_their_defaults() {
        assert_eq!(read("{}").unwrap(), Contract::default());
        assert_eq!(read(r#"{"score_band":10}"#).unwrap(), Contract { score_band: 10, ..Contract::default() });
    }

    #[test]
    fn stored_contract_is_read_back() {
        let contract = Contract { score_band: 5, call_needs_facts: false, ..Contract::default() };
        assert_eq!(read(&serde_json::to_string(&contract).unwrap()).unwrap(), contract);
    }

    #[test]
    fn other_version_is_refused_by_its_number() {
        for version in [0, 3, 5] {
            let expected = format!("contract version {version} is unknown; this program checks version 4");
            assert_eq!(read(&format!(r#"{{"version":{version}}}"#)), Err(expected));
        }
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
