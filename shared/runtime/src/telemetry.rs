use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{ConfigError, Metrics, Variables};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The crates of this workspace that log, as the compiler writes their names. The lines of every other crate are left
/// out beyond [`FOREIGN_LEVEL`], whatever `RUST_LOG` asks for.
const OWN: [&str; 28] = [
    "analysis",
    "api",
    "assembly",
    "breaker",
    "cloud",
    "crm",
    "database",
    "dead_letter",
    "e2e",
    "enrich",
    "enrichment",
    "grounding",
    "ingest",
    "intake",
    "janitor",
    "lead",
    "migrate",
    "outbound",
    "pipeline",
    "queue",
    "revenueflow",
    "routing",
    "runtime",
    "sandbox",
    "store",
    "trace",
    "console",
    "operations",
];

/// The most that a crate of others may log. Beyond it, clients write down what they send and receive: the AWS SDK logs
/// whole bodies of SQS messages at `trace`, and with them names and addresses.
const FOREIGN_LEVEL: Level = Level::INFO;

/// Sends log lines to a writer, as `RUST_LOG` asks (default `info`). Only the first call of a process counts.
///
/// Logs go to standard error; standard output is for data.
///
/// # Errors
///
/// When `RUST_LOG` is no filter.
pub fn init_logs<W>(variables: &Variables<'_>, format: LogFormat, writer: W) -> Result<(), ConfigError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let may_be = filter_fn(|line| may_be_written(*line.level(), line.target()));
    let filter = log_filter(variables)?.and(may_be.with_max_level_hint(LevelFilter::TRACE));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).compact().boxed(),
        // All spans, the outermost first: Lambda's has the request, a message's the lead.
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A second subscriber is refused; the first goes on.
    let _ = Registry::default().with(lines.with_filter(filter)).try_init();
    Ok(())
}

/// `RUST_LOG`. A word without a level has to be a level: taken for a module's name, as the syntax has it, a misspelt one
/// would switch every line off.
///
/// The filter that also knows spans and fields brings an engine for patterns with it: a tenth of the smallest function.
pub(crate) fn log_filter(variables: &Variables<'_>) -> Result<Targets, ConfigError> {
    let text = variables.text("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    let is_clear = |item: &str| match item.split_once('=') {
        Some((module, _)) => !module.is_empty(),
        None => !item.is_empty() && item.parse::<LevelFilter>().is_ok(),
    };
    let items: Vec<_> = text.split(',').map(str::trim).collect();
    let is_clear = items.iter().all(|item| is_clear(item));
    let filter = is_clear.then(|| items.join(",").parse().ok()).flatten();
    filter.ok_or_else(|| {
        let problem = "must be error, warn, info, debug, trace or off, or a filter such as info,queue=debug";
        ConfigError::new("RUST_LOG", format!("{problem}, not {text:?}"))
    })
}

/// Whether a line may be written at all: one of ours at any level, one of another crate up to [`FOREIGN_LEVEL`].
fn may_be_written(level: Level, target: &str) -> bool {
    level <= FOREIGN_LEVEL || OWN.contains(&target.split("::").next().unwrap_or(target))
}

/// Starts collecting metrics; the handle renders them in Prometheus' text format. None when already started.
pub fn init_metrics() -> Option<Metrics> {
    const SECONDS: &[f64] = &[
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        10.0, 30.0,
    ];
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS);
    builder.ok()?.install_recorder().ok()
}

/// Makes panics log lines that say where, and nothing else: a panic's message may quote a lead. Whoever catches a panic
/// keeps nothing of its message either.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<String, ConfigError> {
        let variables = Variables::from_fn(|name| (name == "RUST_LOG").then(|| text.to_owned()));
        log_filter(&variables).map(|filter| filter.to_string())
    }

    #[test]
    fn a_filter_is_what_it_says_and_info_where_nothing_is_said() {
        assert_eq!(read("").unwrap(), "info");
        assert_eq!(read("WARN").unwrap(), "warn");
        assert_eq!(read("off").unwrap(), "off");
        assert_eq!(read("info,queue=debug").unwrap(), "queue=debug,info");
    }

    #[test]
    fn no_crate_of_others_logs_what_it_sends_or_receives() {
        for target in
            ["aws_smithy_runtime::client", "aws_sdk_sqs", "sqlx::query", "hyper::proto", "storefront"]
        {
            assert!(may_be_written(Level::WARN, target) && may_be_written(Level::INFO, target), "{target}");
            assert!(
                !may_be_written(Level::DEBUG, target) && !may_be_written(Level::TRACE, target),
                "{target}"
            );
        }
        for target in ["store", "queue::redis", "revenueflow::serve"] {
            assert!(may_be_written(Level::TRACE, target), "{target}");
        }
    }

    #[test]
    fn every_crate_of_the_workspace_is_known() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for folder in ["shared", "functions"] {
            for member in std::fs::read_dir(root.join(folder)).unwrap() {
                let member = member.unwrap();
                if member.path().join("Cargo.toml").exists() {
                    let name = member.file_name().to_string_lossy().replace('-', "_");
                    assert!(OWN.contains(&name.as_str()), "add {name} to OWN, or its debug lines are lost");
                }
            }
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_and_does_not_silence_the_log() {
        for wrong in ["inof", "queue=loud", "info,queue", "info,,warn", "=,"] {
            assert_eq!(read(wrong).unwrap_err().variable, "RUST_LOG", "{wrong}");
        }
    }
}
