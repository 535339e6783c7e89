//! The alternative configuration of an evaluation, and the estimated cost of its AI calls.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use analysis::{AiProvider, Analyst, Icp};
use anyhow::Context as _;
use assembly::Config;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lead::FitScore;
use operations::{Alternative, Operations};
use runtime::Variables;

use super::dollars;
use crate::output::Advice;

/// Assumed size of a request to the AI in bytes, for a model without stored judgements: a prompt and a lead
/// with many facts.
const REQUEST_BYTES: usize = 16 * 1024;

/// One setting that an evaluation changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum With {
    Icp(PathBuf),
    FitHighFrom(i64),
    FitMediumFrom(i64),
    ScoreBand(u8),
    IntentBand(u8),
    CallNeedsFacts(bool),
    Provider(String),
    Model(String),
    Prompt(PathBuf),
}

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icp(file) => write!(f, "icp={}", file.display()),
            Self::FitHighFrom(number) => write!(f, "fit_high_from={number}"),
            Self::FitMediumFrom(number) => write!(f, "fit_medium_from={number}"),
            Self::ScoreBand(number) => write!(f, "score_band={number}"),
            Self::IntentBand(number) => write!(f, "intent_band={number}"),
            Self::CallNeedsFacts(needs) => write!(f, "call_needs_facts={needs}"),
            Self::Provider(name) => write!(f, "provider={name}"),
            Self::Model(name) => write!(f, "model={name}"),
            Self::Prompt(file) => write!(f, "prompt={}", file.display()),
        }
    }
}

impl FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (what, value) = text.split_once('=').ok_or("must be SETTING=VALUE")?;
        if value.is_empty() {
            return Err(format!("{what} needs a value"));
        }
        let number = || value.parse::<u8>().map_err(|_| format!("{what} must be a number from 0 to 100"));
        Ok(match what {
            "icp" => Self::Icp(value.into()),
            "fit_high_from" => Self::FitHighFrom(number()?.into()),
            "fit_medium_from" => Self::FitMediumFrom(number()?.into()),
            "score_band" => Self::ScoreBand(number()?),
            "intent_band" => Self::IntentBand(number()?),
            "call_needs_facts" => {
                let needs = value.parse().map_err(|_| "call_needs_facts must be true or false".to_owned());
                Self::CallNeedsFacts(needs?)
            }
            "provider" => Self::Provider(value.to_owned()),
            "model" => Self::Model(value.to_owned()),
            "prompt" => Self::Prompt(value.into()),
            _ => {
                return Err(
                    "icp, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts, \
                            provider, model and prompt can be changed"
                        .to_owned(),
                );
            }
        })
    }
}

/// Applies `changes` to the present configuration. Also returns the analyst to call, if the changes name one.
pub(super) async fn read(
    config: &Config,
    changes: &[With],
) -> anyhow::Result<(Alternative, Option<Candidate>)> {
    let mut icp = assembly::icp(config)?;
    for change in changes {
        if let With::Icp(file) = change {
            icp = read_icp(file)?;
        }
    }
    // Thresholds override the file that contains them, in any order of the options.
    let score = |number: i64| FitScore::new(number).context("--with: a threshold is from 0 to 100");
    for change in changes {
        match change {
            With::FitHighFrom(number) => icp.contract.fit_high_from = score(*number)?,
            With::FitMediumFrom(number) => icp.contract.fit_medium_from = score(*number)?,
            With::ScoreBand(points) => icp.contract.score_band = *points,
            With::IntentBand(levels) => icp.contract.intent_band = *levels,
            With::CallNeedsFacts(needs) => icp.contract.call_needs_facts = *needs,
            With::Icp(_) | With::Provider(_) | With::Model(_) | With::Prompt(_) => {}
        }
    }
    icp.contract.validate().context("--with")?;
    let candidate = Candidate::read(&icp, changes).await?;
    let analyst = candidate.as_ref().map(|candidate| Arc::clone(&candidate.analyst));
    Ok((Alternative { icp, analyst }, candidate))
}

fn read_icp(file: &Path) -> anyhow::Result<Icp> {
    let named = || format!("--with icp={}", file.display());
    let text = std::fs::read_to_string(file).with_context(named)?;
    Icp::parse(&text).with_context(named)
}

/// An analyst that the evaluation calls for each lead.
pub(super) struct Candidate {
    analyst: Arc<dyn Analyst>,
    /// The maximum cost of a call, in millionths of a US dollar, or `None` if calls are free.
    worst_case: Option<u64>,
}

impl Candidate {
    /// Creates the configured analyst with the changed provider, model or prompt. Returns `None` if `changes`
    /// holds none of them.
    async fn read(icp: &Icp, changes: &[With]) -> anyhow::Result<Option<Self>> {
        let mut overrides = BTreeMap::new();
        let (mut model, mut is_for_a_model) = (None, false);
        for change in changes {
            match change {
                With::Provider(name) => {
                    overrides.insert("AI_PROVIDER", name.clone());
                }
                With::Prompt(file) => {
                    overrides.insert("PROMPT_FILE", file.display().to_string());
                    is_for_a_model = true;
                }
                With::Model(name) => {
                    model = Some(name.clone());
                    is_for_a_model = true;
                }
                _ => {}
            }
        }
        if overrides.is_empty() && model.is_none() {
            return Ok(None);
        }
        // The candidate itself is evaluated, without a fallback.
        overrides.insert("AI_FALLBACK_PROVIDER", String::new());
        if let Some(model) = model {
            // Only the variable of the selected provider is read.
            overrides.insert("GEMINI_MODEL", model.clone());
            overrides.insert("BEDROCK_MODEL_ID", model);
        }
        let look_up = |name: &str| overrides.get(name).cloned().or_else(|| std::env::var(name).ok());
        let config = Config::read(&Variables::from_fn(look_up)).context("--with")?;
        let provider = config.ai.provider;
        if provider == AiProvider::Rules && is_for_a_model {
            return Err(Advice::new(
                "--with: the rules have neither a model nor a prompt",
                "also name the provider: `--with provider=gemini` or `--with provider=bedrock`",
            )
            .into());
        }
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let worst_case = match provider {
            AiProvider::Rules => None,
            AiProvider::Gemini | AiProvider::Bedrock => {
                Some(config.ai.model(provider)?.worst_case(REQUEST_BYTES, today))
            }
        };
        let aws = crate::aws::config(&config).await?;
        Ok(Some(Self { analyst: assembly::analyst(&config.ai, icp, aws.as_ref())?, worst_case }))
    }

    /// Whether calls are charged.
    pub(super) fn costs(&self) -> bool {
        self.worst_case.is_some()
    }

    /// Describes the cost of calls for this many leads: an estimate from the stored judgements of the same
    /// model or, without any, the maximum by list price.
    pub(super) async fn estimate(&self, operations: &Operations, leads: u64) -> anyhow::Result<String> {
        let (provider, model) = (self.analyst.provider(), self.analyst.model());
        let calls = format!("{provider} {model} is called for {leads} leads");
        let Some(worst_case) = self.worst_case else { return Ok(format!("{calls}: it costs nothing")) };
        let all = |each: u64| dollars(u128::from(each) * u128::from(leads));
        let spent = operations.spent_on(provider, model).await?;
        Ok(match spent.cost_microusd.checked_div(spent.judgements) {
            Some(each) => format!(
                "{calls}: about {} US dollars, by the cost of its {} stored judgements",
                all(each),
                spent.judgements
            ),
            None => format!("{calls}: at most {} US dollars, by its list price", all(worst_case)),
        })
    }
}
