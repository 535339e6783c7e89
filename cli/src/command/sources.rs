//! `revenueflow sources`: the senders of the sources file, and a trial of their mappings.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use lead::{Lead, SenderName};
use runtime::Variables;
use serde_json::{Value, json};
use sources::{Source, Sources, Traced, presets};

use super::arguments::Format;
use super::{failed_if, table};
use crate::output::{self, Advice};

#[derive(Subcommand)]
pub(crate) enum SourcesCommand {
    /// List the sources, with the path and the variable of the secrets of each
    List(File),
    /// Show field by field what a payload would become; stores nothing
    ///
    /// The exit code is 1 when the payload would be rejected.
    #[command(after_help = "Example:\n  revenueflow sources test payload.json --source demo-form")]
    Test(TestOptions),
    /// List the presets, or print one to see its keys
    Presets {
        /// The preset to print
        name: Option<String>,
    },
}

#[derive(clap::Args)]
pub(crate) struct File {
    /// The sources file, instead of the one that SOURCES_FILE names
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct TestOptions {
    /// A file with the body of a request, as the sender posts it; - reads standard input
    payload: PathBuf,
    /// The name of the source
    #[arg(long, value_name = "NAME")]
    source: String,
    #[command(flatten)]
    sources: File,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(command: SourcesCommand) -> anyhow::Result<ExitCode> {
    match command {
        SourcesCommand::List(file) => list(&read(&file)?),
        SourcesCommand::Test(options) => return test(&options),
        SourcesCommand::Presets { name: None } => presets().for_each(|(name, _)| output::line(name)),
        SourcesCommand::Presets { name: Some(name) } => {
            let found = presets().find(|(known, _)| *known == name);
            let (_, text) = found.ok_or_else(|| {
                Advice::new("there is no preset of this name", "`revenueflow sources presets` lists them")
            })?;
            output::line(text.trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &File) -> anyhow::Result<Sources> {
    let Some(path) = &file.file else {
        let file = Variables::of_process().file("SOURCES_FILE");
        return Ok(file.map_or_else(|| Ok(Sources::unnamed()), |file| file.parse(Sources::parse))?);
    };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Sources::parse(&text).with_context(|| path.display().to_string())
}

fn list(sources: &Sources) {
    let row = |source: &Source| {
        [source.name().to_string(), format!("POST {}", source.path()), source.secrets().to_owned()]
    };
    table::print(["SOURCE", "PATH", "SECRETS"], &[], sources.iter().map(row).collect());
}

fn test(options: &TestOptions) -> anyhow::Result<ExitCode> {
    let sources = read(&options.sources)?;
    let source = SenderName::parse(&options.source).ok().and_then(|name| sources.get(&name).cloned());
    let source = source.ok_or_else(|| {
        Advice::new("there is no source of this name", "`revenueflow sources list` shows them")
    })?;
    let body = body(&options.payload)?;
    let traced = source.trace(&body).unwrap_or_default();
    let received = source.read(&body, None);
    if options.format == Format::Json {
        output::json(&match &received {
            Ok(None) => json!({ "ignored": true }),
            Ok(Some(received)) => json!({
                "lead_id": received.parsed.lead.id(),
                "sender": received.sender,
                "id": received.id,
                "fields": fields(&received.parsed.lead),
                "origins": origins(&traced),
                "notes": received.parsed.notes,
            }),
            Err(rejection) => json!({ "rejected": rejection, "origins": origins(&traced) }),
        })?;
        return Ok(failed_if(received.is_err()));
    }
    match received {
        Ok(None) => {
            output::note("ignored: the source takes no events of this kind; nothing would be stored");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Some(received)) => {
            let origins = origins(&traced);
            let row = |(field, value): (String, Value)| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let origin = origins.get(&field).cloned().flatten();
                [field, value, origin.unwrap_or_else(|| "the payload".to_owned())]
            };
            let rows = fields(&received.parsed.lead).into_iter().map(row).collect();
            table::print(["FIELD", "VALUE", "FROM"], &[1], rows);
            not_found(&traced);
            for note in &received.parsed.notes {
                output::note(&format!("note: {}: {}", note.field, note.issue));
            }
            if received.sender.email_verified {
                output::note("note: the sender says that the address is verified");
            }
            output::note(&format!("accepted: lead {}; nothing was stored", received.parsed.lead.id()));
            Ok(ExitCode::SUCCESS)
        }
        Err(rejection) => {
            not_found(&traced);
            Err(Advice::new(
                format!("rejected: {}", rejection.message),
                "correct `map` in the sources file; docs/senders.md describes the paths",
            )
            .into())
        }
    }
}

fn body(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).context("standard input")?;
        return Ok(body);
    }
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn origins(traced: &[Traced]) -> BTreeMap<String, Option<String>> {
    traced.iter().map(|traced| (traced.target.clone(), traced.origin.clone())).collect()
}

fn not_found(traced: &[Traced]) {
    for Traced { target, tried, .. } in traced.iter().filter(|traced| traced.origin.is_none()) {
        output::note(&format!("not found: {target}, looked at {}", tried.join(", ")));
    }
}

/// The fields of a lead with their paths, those of objects one by one.
fn fields(lead: &Lead) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    if let Ok(Value::Object(members)) = serde_json::to_value(lead) {
        flatten("", Value::Object(members), &mut fields);
    }
    fields
}

fn flatten(path: &str, value: Value, fields: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(&path, value, fields);
            }
        }
        Value::Null => {}
        value => fields.push((path.to_owned(), value)),
    }
}
