use std::ops::Range;

use jiff::civil::Date;
use serde::{Deserialize, Deserializer};

use crate::service::Tokens;

/// Prefixes of Bedrock's regional inference profiles.
const REGIONAL: [&str; 6] = ["us.", "eu.", "apac.", "us-gov.", "jp.", "au."];
const GLOBAL: &str = "global.";

/// Number of tokens that a price refers to.
const TOKENS_PER_PRICE: u128 = 1_000_000;

/// The supported models, from `config/models.toml`, which documents every key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    models: Vec<ModelEntry>,
}

/// The reason why a model list is invalid. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelsError {
    /// Not TOML, an unknown or missing key, or a value of the wrong kind.
    #[error("line {line}: {problem}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// A model without prices, or with prices out of order.
    #[error("{id}: needs prices, the earliest first")]
    Prices {
        /// The model.
        id: String,
    },
    /// The model is not in the list.
    #[error("{provider} has no model {id:?} in the list of models; it has {known}")]
    Unknown {
        /// The provider.
        provider: String,
        /// The model.
        id: String,
        /// The listed models of the provider.
        known: String,
    },
}

/// How a request specifies the shape of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputMode {
    /// With the structured output of the service.
    JsonSchema,
    /// With a tool that the model must call.
    Tool,
    /// With the schema in the text of the prompt.
    Prompt,
}

/// A model with its capabilities and prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The id for requests, with the prefix of an inference profile if there is one.
    pub id: String,
    /// How a request specifies the shape of the answer.
    pub output: OutputMode,
    /// The maximum number of tokens of an answer, reasoning included.
    pub max_output_tokens: u32,
    /// The thinking level for requests; none for models without thinking.
    pub thinking: Option<String>,
    /// Whether requests mark the fixed part of the prompt as cacheable.
    pub cache_point: bool,
    /// The day on which the provider retires the model, if known.
    pub retires: Option<Date>,
    prices: Vec<Price>,
    /// Factor on the prices, in percent: at least 100.
    price_percent: u32,
}

/// Prices of a million tokens from a day on, in millionths of a US dollar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    from: Date,
    #[serde(deserialize_with = "dollars")]
    input: u64,
    #[serde(default, deserialize_with = "optional_dollars")]
    cached_input: Option<u64>,
    #[serde(default, deserialize_with = "optional_dollars")]
    cache_write: Option<u64>,
    #[serde(deserialize_with = "dollars")]
    output: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    provider: String,
    id: String,
    output: OutputMode,
    max_output_tokens: u32,
    thinking: Option<String>,
    #[serde(default)]
    cache_point: bool,
    #[serde(default)]
    regional_percent: u8,
    retires: Option<Date>,
    prices: Vec<Price>,
}

impl Models {
    /// Reads a list of models.
    pub fn parse(toml: &str) -> Result<Self, ModelsError> {
        let models: Self = toml::from_str(toml).map_err(|error| ModelsError::Syntax {
            line: line_of(toml, error.span()),
            problem: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        match models.models.iter().find(|entry| {
            entry.prices.is_empty() || !entry.prices.is_sorted_by(|one, next| one.from < next.from)
        }) {
            Some(entry) => Err(ModelsError::Prices { id: entry.id.clone() }),
            None => Ok(models),
        }
    }

    /// The embedded `config/models.toml`.
    ///
    /// # Panics
    ///
    /// Never: a test parses the same file.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../../../config/models.toml"))
            .expect("the built-in list is checked by a test")
    }

    /// The ids of a provider's models, without the prefix of an inference profile.
    pub fn ids(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.models.iter().filter(move |entry| entry.provider == provider).map(|entry| entry.id.as_str())
    }

    /// Looks up a model by its provider and its id, which may have the prefix of an inference profile.
    ///
    /// # Errors
    ///
    /// [`ModelsError::Unknown`] if the list does not contain the model.
    pub fn model(&self, provider: &str, id: &str) -> Result<Model, ModelsError> {
        let prefix = REGIONAL.into_iter().chain([GLOBAL]).find(|prefix| id.starts_with(prefix));
        let base = prefix.map_or(id, |prefix| &id[prefix.len()..]);
        let mut entries = self.models.iter().filter(|entry| entry.provider == provider);
        let Some(entry) = entries.clone().find(|entry| entry.id == id || entry.id == base) else {
            let known: Vec<_> = entries.by_ref().map(|entry| entry.id.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(ModelsError::Unknown { provider: provider.to_owned(), id: id.to_owned(), known });
        };
        let is_regional = prefix.is_some_and(|prefix| prefix != GLOBAL);
        Ok(Model {
            id: id.to_owned(),
            output: entry.output,
            max_output_tokens: entry.max_output_tokens.max(1),
            thinking: entry.thinking.clone(),
            cache_point: entry.cache_point,
            retires: entry.retires,
            prices: entry.prices.clone(),
            price_percent: 100 + if is_regional { u32::from(entry.regional_percent) } else { 0 },
        })
    }
}

impl Model {
    /// The cost of tokens on a day, in millionths of a US dollar, rounded up.
    pub fn cost(&self, tokens: &Tokens, on: Date) -> u64 {
        let price = self.prices.iter().rev().find(|price| price.from <= on).or(self.prices.first());
        let Some(price) = price else { return 0 };
        let billed = [
            (tokens.input, price.input),
            (tokens.cached, price.cached_input.unwrap_or(price.input)),
            (tokens.cache_write, price.cache_write.unwrap_or(price.input)),
            (tokens.output, price.output),
        ];
        let sum: u128 = billed.iter().map(|(count, price)| u128::from(*count) * u128::from(*price)).sum();
        let sum = (sum * u128::from(self.price_percent)).div_ceil(100 * TOKENS_PER_PRICE);
        u64::try_from(sum).unwrap_or(u64::MAX)
    }

    /// The highest cost of a question of `bytes` bytes, in millionths of a US dollar. No tokenizer produces
    /// more than one token per byte.
    pub fn worst_case(&self, bytes: usize, on: Date) -> u64 {
        let (bytes, output) = (bytes as u64, u64::from(self.max_output_tokens));
        let read = Tokens { input: bytes, output, ..Tokens::default() };
        let written = Tokens { cache_write: bytes, output, ..Tokens::default() };
        self.cost(&read, on).max(self.cost(&written, on))
    }

    /// The highest [`worst_case`](Self::worst_case) on `from` or any later day, as far as prices are known.
    pub fn worst_case_from(&self, bytes: usize, from: Date) -> u64 {
        let later = self.prices.iter().map(|price| price.from).filter(|day| *day > from);
        let costs = later.chain([from]).map(|day| self.worst_case(bytes, day));
        costs.max().unwrap_or_default()
    }
}

/// Reads a price in US dollars as millionths.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let dollars = f64::deserialize(deserializer)?;
    if !(0.0..=100_000.0).contains(&dollars) {
        return Err(serde::de::Error::custom("a price is from 0 to 100000 US dollars"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 100,000 million"
    )]
    Ok((dollars * 1e6).round() as u64)
}

fn optional_dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    dollars(deserializer).map(Some)
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    before.matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    const BUILT_IN: &str = include_str!("../../../config/models.toml");

    #[test]
    fn built_in_list_has_the_default_models() {
        let models = Models::built_in();
        assert!(models.model("gemini", "gemini-3.8-flash").is_ok());
        let claude = models.model("bedrock", "global.anthropic.claude-haiku-5-5").unwrap();
        assert_eq!(claude.id, "global.anthropic.claude-haiku-5-5");
        assert!(claude.cache_point);
        let error = models.model("gemini", "gemini-2.0-flash").unwrap_err().to_string();
        assert!(error.contains("gemini-3.8-flash") && !error.contains("claude"), "{error}");
    }

    #[test]
    fn price_counts_from_its_day_on() {
        let model = Models::built_in().model("gemini", "gemini-3.8-flash").unwrap();
        let tokens = Tokens { input: 3_000, cached: 1_000, cache_write: 0, output: 500 };
        assert_eq!(model.cost(&tokens, date(2026, 12, 31)), 2_250 + 75 + 1_875);
        assert_eq!(model.cost(&tokens, date(2027, 1, 1)), 4_500 + 150 + 3_750);
        assert_eq!(model.cost(&tokens, date(2020, 1, 1)), 2_250 + 75 + 1_875, "before all: the first");
        let one = Tokens { input: 1, ..Tokens::default() };
        assert_eq!(model.cost(&one, date(2026, 12, 1)), 1, "rounded up");
    }

    #[test]
    fn regional_profile_costs_the_listed_surcharge() {
        let models = Models::built_in();
        let tokens = Tokens { input: 1_000_000, ..Tokens::default() };
        let cost = |id: &str| models.model("bedrock", id).unwrap().cost(&tokens, date(2026, 11, 1));
        assert_eq!(cost("global.anthropic.claude-haiku-5-5"), 100_000);
        assert_eq!(cost("eu.anthropic.claude-haiku-5-5"), 110_000);
        assert_eq!(cost("us.amazon.nova-2-lite-v1:0"), 300_000);
    }

    #[test]
    fn worst_case_is_no_less_than_any_answer_costs() {
        let model = Models::built_in().model("bedrock", "global.anthropic.claude-haiku-5-5").unwrap();
        let day = date(2026, 11, 1);
        let most = Tokens { cache_write: 4_000, output: 2_048, ..Tokens::default() };
        assert!(model.worst_case(4_000, day) >= model.cost(&most, day));
    }

    #[test]
    fn error_is_one_line_that_names_the_problem() {
        for (from, to, expected) in [
            ("output = \"json_schema\"", "output = \"magic\"", "magic"),
            ("max_output_tokens = 8192", "max_tokens = 8192", "unknown field `max_tokens`"),
            ("input = 0.75", "input = -1", "price"),
            ("from = \"2027-01-01\"", "from = \"2026-01-01\"", "gemini-3.8-flash"),
        ] {
            let broken = BUILT_IN.replacen(from, to, 1);
            assert_ne!(broken, BUILT_IN, "{from}");
            let error = Models::parse(&broken).expect_err(to).to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{to}: {error}");
        }
    }
}
