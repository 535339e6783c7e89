//! `revenueflow sandbox`: fakes of the outside systems on this machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use sandbox::salesforce::{OrgChange, Salesforce, User};
use sandbox::{CATALOGUE, Entry, Exchange, Fake};
use tokio::task::JoinSet;

use super::format::quoted;
use super::or_interrupted;
use crate::output::{self, Advice};

/// The first line of a file that this command wrote, and may overwrite.
const HEADER: &str = "# Written by `revenueflow sandbox`: it leads to fakes on this machine.";
/// The only variable that takes a list of providers.
const WATERFALL: &str = "ENRICHMENT_PROVIDERS";

#[derive(clap::Args)]
pub(crate) struct SandboxOptions {
    /// Base port: each fake adds its own offset; 0 takes any free ports
    #[arg(long, value_name = "PORT", default_value_t = 4600, value_parser = clap::value_parser!(u16).range(..=65_000))]
    port_base: u16,
    /// Start only these fakes, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Also write the variables to a file
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Salesforce: enable State and Country/Territory picklists
    #[arg(long)]
    address_picklists: bool,
    /// Salesforce: ids of inactive users, separated by commas
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    inactive_users: Vec<String>,
    /// Print the requests that the fakes receive
    #[arg(long)]
    verbose: bool,
}

/// Serves the fakes of the outside systems until Ctrl-C.
pub(crate) async fn run(options: SandboxOptions) -> anyhow::Result<ExitCode> {
    let mut fakes = Vec::new();
    for entry in select_fakes(&options.only)? {
        let port = if options.port_base == 0 { 0 } else { options.port_base.saturating_add(entry.port) };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let router = if entry.name == "salesforce" { org(&options)?.router() } else { (entry.router)() };
        let fake = Fake::serve_on(entry.name, router, address).await.map_err(|error| {
            let problem = format!("{}: cannot listen on {address}: {error}", entry.name);
            Advice::new(problem, "--port-base moves the ports of all fakes; 0 takes any free ports")
        })?;
        fakes.push((entry, fake));
    }
    let variables = variables(&fakes);
    if let Some(file) = &options.env_file {
        write(file, &variables)?;
    }
    output::line(variables.trim_end());
    let mut followed = JoinSet::new();
    if options.verbose {
        for (entry, fake) in &fakes {
            let (name, mut exchanges) = (entry.name, fake.follow());
            followed.spawn(async move {
                while let Some(exchange) = exchanges.recv().await {
                    output::note(&request_line(name, &exchange));
                }
            });
        }
    }
    output::note(&format!("{} fakes are ready; Ctrl-C ends them", fakes.len()));
    // Ctrl-C is the regular end of a sandbox, not an error.
    let _ = or_interrupted(std::future::pending::<()>()).await;
    Ok(ExitCode::SUCCESS)
}

/// The Salesforce org that the options describe.
fn org(options: &SandboxOptions) -> anyhow::Result<Salesforce> {
    let salesforce = Salesforce::new();
    let inactive = |id: &String| User { id: id.clone(), active: false };
    let change = OrgChange {
        address_picklists: options.address_picklists,
        users: options.inactive_users.iter().map(inactive).collect(),
        ..OrgChange::default()
    };
    if !salesforce.org(|org| org.change(&change)) {
        let hint = "a user's id has 15 or 18 characters and begins with 005";
        return Err(Advice::new("--inactive-users: not the id of a user", hint).into());
    }
    Ok(salesforce)
}

fn select_fakes(only: &[String]) -> anyhow::Result<Vec<&'static Entry>> {
    if let Some(unknown) = only.iter().find(|name| CATALOGUE.iter().all(|entry| entry.name != **name)) {
        let names: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
        let hint = format!("there are {}", names.join(", "));
        return Err(Advice::new(format!("--only: there is no fake of {unknown:?}"), hint).into());
    }
    let is_wanted = |entry: &&Entry| only.is_empty() || only.iter().any(|name| name == entry.name);
    Ok(CATALOGUE.iter().filter(is_wanted).collect())
}

/// The variables that point to the fakes, in the format of a `.env` file. The variables that select them are
/// commented out.
fn variables(fakes: &[(&Entry, Fake)]) -> String {
    let mut text = format!("{HEADER}\n");
    let mut choices: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (entry, fake) in fakes {
        for (name, value) in entry.variables {
            let _ = writeln!(text, "{name}={}", quoted(&value.replace("{url}", &fake.url())));
        }
        let (variable, value) = entry.selected_by;
        choices.entry(variable).or_default().push(value);
    }
    text.push_str("# To use them:\n");
    for (variable, values) in choices {
        if variable == WATERFALL {
            let _ = writeln!(text, "# {variable}={}", values.join(","));
        } else {
            for value in values {
                let _ = writeln!(text, "# {variable}={value}");
            }
        }
    }
    text
}

/// Writes the variables. Does not overwrite a file that this command has not written.
fn write(file: &Path, variables: &str) -> anyhow::Result<()> {
    match fs::read_to_string(file) {
        Ok(text) if !text.starts_with(HEADER) => {
            let problem =
                format!("--env-file: {} exists and was not written by `revenueflow sandbox`", file.display());
            return Err(Advice::new(problem, "name another file, or remove it").into());
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("--env-file: {}", file.display()));
        }
        _ => {}
    }
    fs::write(file, variables).with_context(|| format!("--env-file: {}", file.display()))
}

fn request_line(name: &str, exchange: &Exchange) -> String {
    let outcome =
        exchange.status.map_or("connection aborted".to_owned(), |status| status.as_u16().to_string());
    output::visible(&format!("{name:<12} {} {} {outcome}", exchange.method, exchange.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fake_is_named() {
        assert!(select_fakes(&["apollo".to_owned()]).is_ok_and(|chosen| chosen.len() == 1));
        assert!(select_fakes(&["apolo".to_owned()]).is_err_and(|error| error.to_string().contains("apolo")));
    }
}
