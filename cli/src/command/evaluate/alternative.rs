use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use analysis::{Analyst, Icp};
use anyhow::Context as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lead::FitScore;
use pipeline::Alternative;
use runtime::{AiProvider, Config, Variables};
use store::Store;

use super::dollars;
use crate::args::With;
use crate::output::Advice;

/// How long a question is taken to be where none has been asked yet, in bytes: a prompt and a rich lead.
const QUESTION_BYTES: usize = 16 * 1024;

/// What the leads are to be judged by: the present configuration, and what is changed in it. Who is asked for that, where
/// somebody is.
pub(super) async fn read(config: &Config, changes: &[With]) -> anyhow::Result<(Alternative, Option<Trial>)> {
    let mut icp = assembly::icp(config)?;
    for change in changes {
        if let With::Icp(file) = change {
            icp = read_icp(file)?;
        }
    }
    for change in changes {
        if let With::Contract(version) = change {
            icp.contract = icp.contract.of_version(u32::from(*version)).context("--with contract")?;
        }
    }
    // Thresholds after the file that they are in, in whatever order they were given.
    let score = |number: i64| FitScore::new(number).context("--with: a threshold is from 0 to 100");
    for change in changes {
        match change {
            With::FitHighFrom(number) => icp.contract.fit_high_from = score(*number)?,
            With::FitMediumFrom(number) => icp.contract.fit_medium_from = score(*number)?,
            With::ScoreBand(points) => icp.contract.score_band = *points,
            With::IntentBand(levels) => icp.contract.intent_band = *levels,
            With::CallNeedsFacts(needs) => icp.contract.call_needs_facts = *needs,
            With::Contract(_) | With::Icp(_) | With::Provider(_) | With::Model(_) | With::Prompt(_) => {}
        }
    }
    icp.contract.validate().context("--with")?;
    let trial = Trial::read(&icp, changes).await?;
    let analyst = trial.as_ref().map(|trial| Arc::clone(&trial.analyst));
    Ok((Alternative { icp, analyst }, trial))
}

fn read_icp(file: &Path) -> anyhow::Result<Icp> {
    let named = || format!("--with icp={}", file.display());
    let text = std::fs::read_to_string(file).with_context(named)?;
    Icp::parse(&text).with_context(named)
}

/// An analyst that is really asked.
pub(super) struct Trial {
    analyst: Arc<dyn Analyst>,
    /// The most that a question can cost, in millionths of a US dollar; none where it costs nothing.
    worst_case: Option<u64>,
}

impl Trial {
    /// Whoever the configuration names, with these things in place of its own; none where none of them is changed.
    async fn read(icp: &Icp, changes: &[With]) -> anyhow::Result<Option<Self>> {
        let mut instead = BTreeMap::new();
        let (mut model, mut is_for_a_model) = (None, false);
        for change in changes {
            match change {
                With::Provider(name) => {
                    instead.insert("AI_PROVIDER", name.clone());
                }
                With::Prompt(file) => {
                    instead.insert("PROMPT_FILE", file.display().to_string());
                    is_for_a_model = true;
                }
                With::Model(name) => {
                    model = Some(name.clone());
                    is_for_a_model = true;
                }
                _ => {}
            }
        }
        if instead.is_empty() && model.is_none() {
            return Ok(None);
        }
        // It is this one that is tried: nobody stands in for it.
        instead.insert("AI_FALLBACK_PROVIDER", String::new());
        if let Some(model) = model {
            // Only the one of the provider that is asked is read.
            instead.insert("GEMINI_MODEL", model.clone());
            instead.insert("BEDROCK_MODEL_ID", model);
        }
        let look_up = |name: &str| instead.get(name).cloned().or_else(|| std::env::var(name).ok());
        let config = Config::read(&Variables::from_fn(look_up)).context("--with")?;
        let provider = config.ai.provider;
        if provider == AiProvider::Rules && is_for_a_model {
            return Err(Advice::new(
                "--with: the rules have neither a model nor a prompt",
                "say who is asked as well: `--with provider=gemini` or `--with provider=bedrock`",
            )
            .into());
        }
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let worst_case = match provider {
            AiProvider::Rules => None,
            AiProvider::Gemini | AiProvider::Bedrock => {
                Some(assembly::ai_model(&config, provider)?.worst_case(QUESTION_BYTES, today))
            }
        };
        let aws = crate::aws::config(&config).await?;
        Ok(Some(Self { analyst: assembly::analyst(&config, icp, aws.as_ref())?, worst_case }))
    }

    /// Whether asking is paid for.
    pub(super) fn costs(&self) -> bool {
        self.worst_case.is_some()
    }

    /// What asking about so many leads will cost: by what the same model has cost until now, or else at the most.
    pub(super) async fn estimate(&self, store: &Store, leads: u64) -> anyhow::Result<String> {
        let (provider, model) = (self.analyst.provider(), self.analyst.model());
        let whom = format!("{provider} {model} is asked about {leads} leads");
        let Some(worst_case) = self.worst_case else { return Ok(format!("{whom}: it costs nothing")) };
        let all = |each: u64| dollars(u128::from(each) * u128::from(leads));
        let spent = store.spent_on(provider, model).await?;
        Ok(match spent.cost_microusd.checked_div(spent.judgements) {
            Some(each) => format!(
                "{whom}: about {} US dollars, by what its {} stored judgements have cost",
                all(each),
                spent.judgements
            ),
            None => format!("{whom}: at most {} US dollars, by its list price", all(worst_case)),
        })
    }
}
