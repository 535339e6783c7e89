mod tables;
mod validate;

use std::ops::Range;

use grounding::Contract;
use serde::Deserialize;

pub(crate) use tables::{BehaviourField, Engagement, Signal};
use tables::{
    Campaign, Geo, IntentLevels, Mailboxes, Named, SizeBand, Stealth, Title, TitleExclusions, VisibleFacts,
};

use crate::text::Term;

/// The ideal customer profile: the companies that we sell to, and the signs that a person is ready to buy.
///
/// A versioned TOML file, read once at startup. `config/icp.toml` is the default and documents every key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Icp {
    pub(crate) version: Term,
    pub(crate) technology_max_points: u8,
    pub(crate) industries: Vec<Named>,
    pub(crate) size_bands: Vec<SizeBand>,
    pub(crate) geos: Vec<Geo>,
    pub(crate) technologies: Vec<Named>,
    pub(crate) mailbox: Mailboxes,
    pub(crate) intent: IntentLevels,
    pub(crate) engagement: Engagement,
    pub(crate) signals: Vec<Signal>,
    pub(crate) campaigns: Vec<Campaign>,
    pub(crate) titles: Vec<Title>,
    pub(crate) title_exclusions: TitleExclusions,
    pub(crate) executive_stealth: Stealth,
    /// Without this table the one of the built-in profile applies.
    #[serde(rename = "facts", default = "built_in_facts")]
    pub(crate) visible: VisibleFacts,
    /// The thresholds of the grounding contract, from the table `grounding`. One file configures every
    /// judgement.
    #[serde(rename = "grounding")]
    pub contract: Contract,
}

/// The reason why a profile is invalid. Its text is one line that names the problem and its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IcpError {
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("icp configuration, line {line}: {problem}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// The problem; names the key or value.
        problem: String,
    },
    /// A value that contradicts another one or is out of range.
    #[error("icp configuration, {key}: {problem}")]
    Value {
        /// The key, such as `size_bands[2].max`; tables of a list are counted from 1.
        key: String,
        /// The problem.
        problem: String,
    },
}

impl Icp {
    /// Reads and checks a profile.
    pub fn parse(toml: &str) -> Result<Self, IcpError> {
        let icp: Self = toml::from_str(toml).map_err(|error| IcpError::Syntax {
            line: line_of(toml, error.span()),
            problem: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        icp.validate()?;
        Ok(icp)
    }

    /// The embedded profile, `config/icp.toml`.
    ///
    /// # Panics
    ///
    /// Never: a test parses the same file.
    pub fn default_config() -> Self {
        Self::parse(include_str!("../../../config/icp.toml"))
            .expect("the built-in profile is checked by a test")
    }

    /// The version from the file.
    pub fn version(&self) -> &str {
        self.version.text()
    }
}

/// The table `facts` of the built-in profile.
fn built_in_facts() -> VisibleFacts {
    #[derive(Deserialize)]
    struct Profile {
        facts: VisibleFacts,
    }
    let profile: Profile = toml::from_str(include_str!("../../../config/icp.toml"))
        .expect("the built-in profile is checked by a test");
    profile.facts
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    before.matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = include_str!("../../../config/icp.toml");

    #[test]
    fn built_in_profile_is_valid() {
        let icp = Icp::default_config();
        assert_eq!(icp.contract, Contract::default());
        assert!(!icp.version().is_empty());
    }

    #[test]
    fn error_is_one_line_that_names_the_key_or_value() {
        for (from, to, expected) in [
            ("technology_max_points", "tecnology_max_points", "unknown field `tecnology_max_points`"),
            ("private_penalty = 10", "private_penalty = \"ten\"", "\"ten\""),
            ("private_penalty = 10", "private_penalty = 300", "300"),
            ("private_penalty = 10", "", "private_penalty"),
            ("private_penalty = 10", "private_penalty = 101", "mailbox.private_penalty"),
            ("name = \"Fintech\"", "name = \"\"", "letter or digit"),
            ("name = \"Fintech\"", "name = \"software\"", "industries[2].name"),
            ("min = 51", "min = 40", "size_bands[2].min"),
            ("max = 200\n", "max = 20\n", "size_bands[2].max"),
            ("countries = [\"US\"", "countries = [\"us\"", "geos[1].countries"),
            ("high_from = 60", "high_from = 20", "intent.high_from"),
            ("high_from = 70", "high_from = 40", "engagement.high_from"),
            ("believable_up_to = 1000", "believable_up_to = 50", "engagement.believable_up_to"),
            ("\"product.activation_state\"]", "\"lead.activation_state\"]", "lead.activation_state"),
            ("\"product.activation_state\"]", "\"computed.title_level\"]", "computed.title_level"),
            ("\"product.plan\"", "\"enrichment.plan\"", "enrichment.plan"),
            ("max_words = 6", "max_words = 0", "facts.max_words"),
            ("tier = \"standard\"", "tier = \"high value\"", "campaigns[2].tier"),
            ("level = \"director\"", "level = \"executive\"", "titles[3].level"),
            ("\"chairman\"", "\"co founder\"", "co founder"),
            ("score_band = 30", "score_band = 130", "score_band"),
            ("fit_high_from = 80", "fit_high_from = 101", "between 0 and 100"),
            ("fit_high_from = 80", "fit_high_from = 30", "fit_medium_from"),
            ("ids = [\"*\"]", "ids = [\"a*b\"]", "a*b"),
            ("version = \"2026-11-2\"", "version = ", "line"),
        ] {
            let broken = DEFAULT.replacen(from, to, 1);
            assert_ne!(broken, DEFAULT, "{from}");
            let error = Icp::parse(&broken).expect_err(to).to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{to}: {error}");
        }
    }

    #[test]
    fn profile_without_facts_table_uses_the_built_in_one() {
        let (before, rest) = DEFAULT.split_once("[facts]").unwrap();
        let after = rest.split_once("[grounding]").unwrap().1;
        let icp = Icp::parse(&format!("{before}[grounding]{after}")).unwrap();
        assert_eq!(icp.visible.fields.len(), Icp::default_config().visible.fields.len());
    }

    #[test]
    fn syntax_error_names_its_line() {
        let error = Icp::parse("version = \"1\"\n\nnonsense = 3\n").unwrap_err();
        assert!(matches!(error, IcpError::Syntax { line: 3, .. }), "{error}");
    }
}
