use lead::{Fit, FitScore};
use serde::{Deserialize, Serialize};

/// The widest intent band, from LOW to HIGH: no restriction.
const NO_INTENT_BAND: u8 = 2;
/// The latest version.
const LATEST: u32 = 4;

/// The configurable part of the contract. Missing settings keep their defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Settings")]
pub struct Contract {
    /// The version of the rules, from 1 to 4. The rules of a version never change, so that stored judgements
    /// stay reproducible. Every verdict records it.
    pub version: u32,
    /// The lowest score of a HIGH fit.
    pub fit_high_from: FitScore,
    /// The lowest score of a MEDIUM fit.
    pub fit_medium_from: FitScore,
    /// The maximum distance of a score from `computed.baseline_score`, in points, 0 to 100.
    pub score_band: u8,
    /// The maximum number of levels of an intent above `computed.intent_level`: 0, 1, or 2 for no limit.
    pub intent_band: u8,
    /// Whether a call by sales requires that the computed fit and intent alone justify one. From version 3
    /// on.
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
    /// The version does not exist.
    #[error("version must be from 1 to {LATEST}")]
    Version,
    /// The setting needs a later version.
    #[error("intent_band needs version 2 or later")]
    IntentBandVersion,
    /// The setting needs a later version.
    #[error("call_needs_facts needs version 3 or later")]
    CallNeedsFactsVersion,
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
        } else if !(1..=LATEST).contains(&self.version) {
            Err(ContractError::Version)
        } else if self.version < 2 && self.intent_band != NO_INTENT_BAND {
            Err(ContractError::IntentBandVersion)
        } else if self.version < 3 && self.call_needs_facts {
            Err(ContractError::CallNeedsFactsVersion)
        } else {
            Ok(())
        }
    }

    /// The same thresholds under another version. Settings that the version adds have their defaults.
    pub fn of_version(self, version: u32) -> Result<Self, ContractError> {
        let default = Self::default();
        let intent_band = match (version < 2, self.version < 2) {
            (true, _) => NO_INTENT_BAND,
            (false, true) => default.intent_band,
            (false, false) => self.intent_band,
        };
        let call_needs_facts = match (version < 3, self.version < 3) {
            (true, _) => false,
            (false, true) => default.call_needs_facts,
            (false, false) => self.call_needs_facts,
        };
        let contract = Self { version, intent_band, call_needs_facts, ..self };
        contract.validate().map(|()| contract)
    }

    /// Whether answers and claims may use alternative spellings of the truth. From version 4 on.
    pub(crate) fn is_lenient(&self) -> bool {
        self.version >= 4
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
            version: LATEST,
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
    intent_band: Option<u8>,
    call_needs_facts: Option<bool>,
}

impl Default for Settings {
    fn default() -> Self {
        let Contract { version, fit_high_from, fit_medium_from, score_band, .. } = Contract::default();
        Self {
            version,
            fit_high_from,
            fit_medium_from,
            score_band,
            intent_band: None,
            call_needs_facts: None,
        }
    }
}

impl TryFrom<Settings> for Contract {
    type Error = ContractError;

    fn try_from(settings: Settings) -> Result<Self, Self::Error> {
        let Settings { version, fit_high_from, fit_medium_from, score_band, .. } = settings;
        // Settings that a version does not have are absent, so that stored judgements stay reproducible.
        let intent_band = if version < 2 { NO_INTENT_BAND } else { Self::default().intent_band };
        let intent_band = settings.intent_band.unwrap_or(intent_band);
        let call_needs_facts = settings.call_needs_facts.unwrap_or(version >= 3);
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
    fn version_1_has_no_intent_band() {
        assert_eq!(read(r#"{"version":1}"#).unwrap().intent_band, NO_INTENT_BAND);
        assert_eq!(read(r#"{"version":2}"#).unwrap().intent_band, 1);
    }

    #[test]
    fn call_needs_no_facts_before_version_3() {
        for (version, needs) in [(1, false), (2, false), (3, true), (4, true)] {
            let contract = read(&format!(r#"{{"version":{version}}}"#)).unwrap();
            assert_eq!(contract.call_needs_facts, needs, "{version}");
            let stored = serde_json::to_string(&contract).unwrap();
            assert_eq!(read(&stored).unwrap(), contract, "as stored with a judgement");
        }
        assert!(!read(r#"{"version":3,"call_needs_facts":false}"#).unwrap().call_needs_facts);
    }

    #[test]
    fn other_version_keeps_thresholds_and_has_its_own_rules() {
        let strict = Contract { score_band: 5, intent_band: 0, ..Contract::default() };
        let first = strict.clone().of_version(1).unwrap();
        assert_eq!((first.score_band, first.intent_band, first.call_needs_facts), (5, NO_INTENT_BAND, false));
        let second = strict.clone().of_version(2).unwrap();
        assert_eq!((second.intent_band, second.call_needs_facts), (0, false));
        assert_eq!(strict.clone().of_version(3).unwrap(), Contract { version: 3, ..strict.clone() });
        assert_eq!(strict.clone().of_version(4).unwrap(), strict);
        assert_eq!(first.of_version(4).unwrap(), Contract { score_band: 5, ..Contract::default() });
        assert_eq!(strict.of_version(5), Err(ContractError::Version));
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
            r#"{"version":0}"#,
            r#"{"version":5}"#,
            r#"{"version":1,"intent_band":1}"#,
            r#"{"version":2,"call_needs_facts":true}"#,
            r#"{"score_bend":10}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
