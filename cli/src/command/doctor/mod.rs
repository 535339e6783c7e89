//! `revenueflow doctor`: checks of the configuration and everything that it points to, with one line for
//! each.

mod ai;
mod crm;
mod operators;
mod report;
mod secrets;
mod setup;
mod transport;
mod work;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use assembly::Config;
use runtime::{ConfigError, Variables};
use variables::ConfigFile;

use self::report::Report;
use super::failed_if;
use super::format::count;
use crate::output;

/// Checks the configuration and everything that it points to. Leaves nothing behind.
///
/// A failure skips only the checks that depend on it. The exit code is 1 if any check failed.
pub(crate) async fn run(config: Result<Config, ConfigError>) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    if let Some((mut config, is_complete)) = configuration(&mut report, config) {
        let mapping_is_readable = files(&mut report, &mut config);
        let aws = setup::aws(&mut report, &mut config).await;
        ai::analyst(&mut report, &mut config, aws.as_ref()).await;
        dependencies(&mut report, &mut config, mapping_is_readable).await?;
        if is_complete {
            secrets::exposure(&mut report, &config);
            secrets::secrets(&mut report, &config);
            secrets::sources(&mut report, &config);
            operators::operators(&mut report, &config);
            transport::transport(&mut report, &config);
            work::retention(&mut report, &config);
        } else {
            report.skip("exposure", "needs a configuration without failures");
            report.skip("secrets", "need a configuration without failures");
            report.skip("operators", "need a configuration without failures");
            report.skip("transport", "needs a configuration without failures");
        }
    }
    output::note(&match report.failed {
        0 => "nothing failed".to_owned(),
        failed => format!("{failed} of {} failed", count(report.checks, "check", "checks")),
    });
    Ok(failed_if(report.failed > 0))
}

/// Reports every invalid variable, not just the first, and continues without them. The returned flag says
/// whether the configuration is complete, without a variable left out.
fn configuration(report: &mut Report, mut config: Result<Config, ConfigError>) -> Option<(Config, bool)> {
    let mut left_out = BTreeSet::new();
    loop {
        let error = match config {
            Ok(config) => {
                if left_out.is_empty() {
                    report.ok("configuration", "every variable can be read");
                }
                return Some((config, left_out.is_empty()));
            }
            Err(error) => error,
        };
        if left_out.insert(error.variable) {
            report.fail("configuration", error);
        } else if !left_out.insert("HOST") {
            return None;
        }
        // Leaving out a variable that is missing changes nothing. The variable that requires it is HOST, and
        // is left out in turn.
        let remaining = |name: &str| if left_out.contains(name) { None } else { std::env::var(name).ok() };
        config = Config::read(&Variables::from_fn(remaining));
    }
}

/// Checks the configured files. Later checks use the built-in default in place of an unreadable file. Returns
/// whether the CRM mapping is readable.
fn files(report: &mut Report, config: &mut Config) -> bool {
    let named = |file: Option<&ConfigFile>| {
        file.map_or("built in".to_owned(), |file| file.path().display().to_string())
    };
    match assembly::icp(config) {
        Ok(icp) => {
            report.ok("icp", format!("version {}, {}", icp.version(), named(config.icp_file.as_ref())));
        }
        Err(error) => {
            report.fail("icp", error);
            config.icp_file = None;
        }
    }
    match assembly::routing(config) {
        Ok(routing) => {
            let file = named(config.routing_file.as_ref());
            report.ok("routing", format!("version {}, {file}", routing.version()));
        }
        Err(error) => {
            report.fail("routing", error);
            config.routing_file = None;
        }
    }
    // The CRM check compares the mapping with the CRM, and reports its success.
    let Err(error) = config.crm.mapping() else { return true };
    report.fail("crm mapping", error);
    config.crm.mapping_file = None;
    false
}

/// Checks the outside systems: the database, the queue, the providers, the CRM.
async fn dependencies(
    report: &mut Report,
    config: &mut Config,
    mapping_is_readable: bool,
) -> anyhow::Result<()> {
    let database = setup::database(report, config).await;
    let has_database = report.attempt(setup::DATABASE, database);
    // With a temporary database, keys and credentials can be checked before the first start.
    let folder = tempfile::tempdir().context("temporary folder")?;
    if !has_database {
        config.database_url = format!("sqlite://{}", folder.path().join("empty.db").display());
    }
    let is_database = config.queue.backend.is_database();
    let Some(app) = setup::assemble(report, config).await else {
        report.skip("the rest", "needs a setup without failures");
        return Ok(());
    };
    if config.queue.backend.is_database() == is_database {
        if is_database && !has_database {
            report.skip("queue", "needs the database");
        } else {
            work::queue(report, &app.operations).await;
        }
    } // else its failure has been reported
    work::spool(report, config);
    work::enrichment(report, &app.operations).await;
    crm::crm(report, &app.operations, mapping_is_readable).await;
    app.close().await;
    Ok(())
}
