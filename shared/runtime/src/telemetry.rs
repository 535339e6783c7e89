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

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Pretty,
    /// One JSON object for each line.
    Json,
}

/// The crates of this workspace that log, by the crate names in log targets. Lines of every other crate
/// beyond [`FOREIGN_LEVEL`] are dropped, whatever `RUST_LOG` says.
const OWN: [&str; 33] = [
    "analysis",
    "api",
    "assembly",
    "batcher",
    "breaker",
    "cloud",
    "crm",
    "database",
    "dead_letter",
    "e2e",
    "testkit",
    "enrich",
    "enrichment",
    "grounding",
    "ingest",
    "intake",
    "janitor",
    "lead",
    "migrate",
    "http_client",
    "pipeline",
    "queue",
    "revenueflow",
    "routing",
    "runtime",
    "sandbox",
    "sources",
    "store",
    "trace",
    "variables",
    "console",
    "operations",
    "operators",
];

/// The most verbose level of third-party crates. At more verbose levels, clients log the data that they send
/// and receive: the AWS SDK logs complete SQS message bodies at `trace`, with names and addresses.
const FOREIGN_LEVEL: Level = Level::INFO;

/// Sends log lines to a writer, filtered by `RUST_LOG` (default `info`). Only the first call in a process has
/// an effect.
///
/// Logs go to standard error; standard output is for data.
///
/// # Errors
///
/// When `RUST_LOG` is not a valid filter.
pub fn init_logs<W>(variables: &Variables<'_>, format: LogFormat, writer: W) -> Result<(), ConfigError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let permitted = filter_fn(|line| may_be_logged(*line.level(), line.target()));
    let filter = log_filter(variables)?.and(permitted.with_max_level_hint(LevelFilter::TRACE));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).compact().boxed(),
        // All spans, outermost first: Lambda's span contains the request id, a message's span the lead id.
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    // A second subscriber is refused, and the first one stays active.
    let _ = Registry::default().with(lines.with_filter(filter)).try_init();
    Ok(())
}

/// Checks `RUST_LOG`, so that a program can refuse an invalid filter before it logs.
///
/// # Errors
///
/// When it is not a valid filter.
pub fn check_log_filter(variables: &Variables<'_>) -> Result<(), ConfigError> {
    log_filter(variables).map(drop)
}

/// Parses `RUST_LOG`. An item without `=` must be a level. The standard syntax also permits a module name
/// there, but then a misspelt level would disable all logs.
///
/// `EnvFilter`, which also filters by span and field, depends on a regular expression engine: a tenth of the
/// size of the smallest function.
fn log_filter(variables: &Variables<'_>) -> Result<Targets, ConfigError> {
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

/// Whether a line may be written at all: any level for our own crates, up to [`FOREIGN_LEVEL`] for others.
fn may_be_logged(level: Level, target: &str) -> bool {
    level <= FOREIGN_LEVEL || OWN.contains(&target.split("::").next().unwrap_or(target))
}

/// Starts the collection of metrics. The handle renders them in Prometheus' text format. `None` if already
/// started.
pub fn init_metrics() -> Option<Metrics> {
    const SECONDS: &[f64] = &[
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        10.0, 30.0,
    ];
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS);
    builder.ok()?.install_recorder().ok()
}

/// Logs panics with their source location only, since the message of a panic may quote a lead. Code that
/// catches a panic drops its message too.
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
    fn filter_is_parsed_and_defaults_to_info() {
        assert_eq!(read("").unwrap(), "info");
        assert_eq!(read("WARN").unwrap(), "warn");
        assert_eq!(read("off").unwrap(), "off");
        assert_eq!(read("info,queue=debug").unwrap(), "queue=debug,info");
    }

    #[test]
    fn third_party_crates_log_no_payloads() {
        for target in
            ["aws_smithy_runtime::client", "aws_sdk_sqs", "sqlx::query", "hyper::proto", "storefront"]
        {
            assert!(may_be_logged(Level::WARN, target) && may_be_logged(Level::INFO, target), "{target}");
            assert!(!may_be_logged(Level::DEBUG, target) && !may_be_logged(Level::TRACE, target), "{target}");
        }
        for target in ["store", "queue::redis", "revenueflow::serve"] {
            assert!(may_be_logged(Level::TRACE, target), "{target}");
        }
    }

    #[test]
    fn every_crate_of_the_workspace_is_listed() {
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
    fn invalid_filter_is_refused_and_does_not_silence_the_log() {
        for wrong in ["inof", "queue=loud", "info,queue", "info,,warn", "=,"] {
            assert_eq!(read(wrong).unwrap_err().variable, "RUST_LOG", "{wrong}");
        }
    }
}
