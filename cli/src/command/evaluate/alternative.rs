//! The alternative configuration of an evaluation, and the estimated cost of its AI calls.

use std::collections::BTreeMap;
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
#[derive(Clone)]
pub(super) struct With {
    /// The setting as given.
    pub(super) text: String,
    change: Change,
}

#[derive(Clone)]
enum Change {
    Icp(PathBuf),
    FitHighFrom(i64),
    FitMediumFrom(i64),
    ScoreBand(u8),
    IntentBand(u8),
    CallNeedsFacts(bool),
    Provider(String),
    Model(String),
    Prompt(String),
}

impl FromStr for With {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (what, value) = text.split_once('=').ok_or("must be SETTING=VALUE")?;
        if value.is_empty() {
            return Err(format!("{what} needs a value"));
        }
        let number = || value.parse::<u8>().map_err(|_| format!("{what} must be a number from 0 to 100"));
        let change = match what {
            "icp" => Change::Icp(value.into()),
            "fit_high_from" => Change::FitHighFrom(number()?.into()),
            "fit_medium_from" => Change::FitMediumFrom(number()?.into()),
            "score_band" => Change::ScoreBand(number()?),
            "intent_band" => Change::IntentBand(number()?),
            "call_needs_facts" => {
                Change::CallNeedsFacts(value.parse().map_err(|_| "call_needs_facts must be true or false")?)
            }
            "provider" => Change::Provider(value.to_owned()),
            "model" => Change::Model(value.to_owned()),
            "prompt" => Change::Prompt(value.to_owned()),
            _ => {
                return Err(
                    "icp, fit_high_from, fit_medium_from, score_band, intent_band, call_needs_facts, \
                     provider, model and prompt can be changed"
                        .to_owned(),
                );
            }
        };
        Ok(Self { text: text.to_owned(), change })
    }
}

/// Applies `changes` to the present configuration. Also returns the analyst to call, if the changes name one.
pub(super) async fn read(
    config: &Config,
    changes: &[With],
) -> anyhow::Result<(Alternative, Option<Candidate>)> {
    let mut icp = assembly::icp(config)?;
    for with in changes {
        if let Change::Icp(file) = &with.change {
            icp = read_icp(file)?;
        }
    }
    // Thresholds override the file that contains them, in any order of the options.
    let score = |number: i64| FitScore::new(number).context("--with: a threshold is from 0 to 100");
    for with in changes {
        match &with.change {
            Change::FitHighFrom(number) => icp.contract.fit_high_from = score(*number)?,
            Change::FitMediumFrom(number) => icp.contract.fit_medium_from = score(*number)?,
            Change::ScoreBand(points) => icp.contract.score_band = *points,
            Change::IntentBand(levels) => icp.contract.intent_band = *levels,
            Change::CallNeedsFacts(needs) => icp.contract.call_needs_facts = *needs,
            Change::Icp(_) | Change::Provider(_) | Change::Model(_) | Change::Prompt(_) => {}
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
        for with in changes {
            match &with.change {
                Change::Provider(name) => {
                    overrides.insert("AI_PROVIDER", name.clone());
                }
                Change::Prompt(file) => {
                    overrides.insert("PROMPT_FILE", file.clone());
                    is_for_a_model = true;
                }
                Change::Model(name) => {
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
