//! `revenueflow doctor`: the configuration and everything that it points to, one line each.

mod ai;
mod crm;
mod place;
mod report;
mod secrets;
mod transport;
mod work;

use std::collections::BTreeSet;
use std::process::ExitCode;

use runtime::{Config, ConfigError, QueueKind, Variables};

use self::place::ThrowAway;
use self::report::Report;
use super::failed_if;
use super::words::count;
use crate::output;

/// Checks the configuration and everything that it points to. Nothing is left behind.
///
/// A failure ends no check but those that rest on it. Fails when any check did.
pub(crate) async fn run(config: Result<Config, ConfigError>) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    if let Some((mut config, as_asked)) = configuration(&mut report, config) {
        let mapping_can_be_read = files(&mut report, &mut config);
        let aws = place::aws(&mut report, &mut config).await;
        ai::analyst(&mut report, &mut config, aws.as_ref()).await;
        outside(&mut report, &mut config, mapping_can_be_read).await?;
        if as_asked {
            secrets::exposure(&mut report, &config);
            secrets::secrets(&mut report, &config);
            transport::transport(&mut report, &config);
        } else {
            report.skip("exposure", "needs a configuration without failures");
            report.skip("secrets", "need a configuration without failures");
            report.skip("transport", "needs a configuration without failures");
        }
    }
    output::note(&match report.failed {
        0 => "nothing failed".to_owned(),
        failed => format!("{failed} of {} failed", count(report.checks, "check", "checks")),
    });
    Ok(failed_if(report.failed > 0))
}

/// Reports every variable that is wrong, not just the first, and goes on without them. Whether none had to be left out
/// comes with the configuration.
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
            report.fail("configuration", &error.into());
        } else if !left_out.insert("HOST") {
            return None;
        }
        // A variable that is missing stays missing when it is left out: what needs it has to go, which is the address.
        let others = |name: &str| if left_out.contains(name) { None } else { std::env::var(name).ok() };
        config = Config::read(&Variables::from_fn(others));
    }
}

/// The files that are named. One that cannot be read is left out of the checks that follow: it is not their fault. Says
/// whether the mapping was not.
fn files(report: &mut Report, config: &mut Config) -> bool {
    let named = |file: Option<&std::path::Path>| {
        file.map_or("built in".to_owned(), |file| file.display().to_string())
    };
    match assembly::icp(config) {
        Ok(icp) => {
            report.ok("icp", format!("version {}, {}", icp.version(), named(config.icp_file.as_deref())));
        }
        Err(error) => {
            report.fail("icp", &error);
            config.icp_file = None;
        }
    }
    match assembly::routing(config) {
        Ok(routing) => {
            let file = named(config.routing_file.as_deref());
            report.ok("routing", format!("version {}, {file}", routing.version()));
        }
        Err(error) => {
            report.fail("routing", &error);
            config.routing_file = None;
        }
    }
    // Held against the CRM further down, where that is what is said to be ok.
    let mapping = assembly::crm_mapping(&config.crm);
    if let Err(error) = &mapping {
        report.fail("crm mapping", error);
        config.crm.mapping_file = None;
    }
    mapping.is_ok()
}

/// What is asked: the database, the queue, the providers, the CRM.
async fn outside(report: &mut Report, config: &mut Config, mapping_can_be_read: bool) -> anyhow::Result<()> {
    let has_database = place::database(report, config).await;
    let throw_away = if has_database { None } else { Some(ThrowAway::new()?) };
    if let Some(throw_away) = &throw_away {
        config.database_url = throw_away.url();
    }
    let asked_for = config.queue;
    let Some(app) = place::assemble(report, config).await else {
        report.skip("the rest", "needs everything to be put together");
        return Ok(());
    };
    match (has_database, config.queue) {
        // Its failure was told.
        (_, queue) if queue != asked_for => {}
        (false, QueueKind::Database) => report.skip("queue", "needs the database"),
        _ => work::queue(report, &app).await,
    }
    work::spool(report, config);
    work::enrichment(report, &app).await;
    crm::crm(report, config, &app, mapping_can_be_read).await;
    app.store.database().close().await;
    Ok(())
}
