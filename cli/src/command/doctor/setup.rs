//! The checks of the database, of AWS credentials, and of the assembly of all parts.

use std::path::Path;

use analysis::AiProvider;
use assembly::{Backend, Config};
use runtime::ConfigError;
use runtime::aws::AwsConfig;

use super::report::Report;
use crate::aws;
use crate::command::existing;
use crate::output::Advice;
use crate::serve::App;

/// The name of the check of the database.
pub(super) const DATABASE: &str = "database";

/// Checks that the configured database exists and is up to date. Creates none. Returns whether it is usable.
pub(super) async fn database(report: &mut Report, config: &Config) -> anyhow::Result<bool> {
    if let Some(file) = existing::missing_file(&config.database_url) {
        let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let problem = format!("DATABASE_URL: there is no folder {}", folder.display());
            let hint = "create the folder: only a missing file is created automatically";
            return Err(Advice::new(problem, hint).into());
        }
        let found = format!("sqlite, {} does not exist yet", file.display());
        report.warn(DATABASE, found, "`revenueflow` and `revenueflow migrate` create it");
        return Ok(false);
    }
    let database = existing::connect(config).await?;
    let (backend, is_migrated) = (database.backend().as_str(), database.is_migrated().await);
    database.close().await;
    if !is_migrated? {
        let problem = format!("{backend}: the schema is older than this program");
        return Err(Advice::new(problem, "`revenueflow migrate` brings it up to date").into());
    }
    match widely_readable(&config.database_url) {
        None => report.ok(DATABASE, format!("{backend}, schema up to date")),
        Some(file) => {
            let found = format!("{backend}, schema up to date; other users of this machine can open {file}");
            report.warn(DATABASE, found, &format!("chmod 600 {file}*"));
        }
    }
    Ok(true)
}

/// The file of an SQLite database if users other than its owner can access it or its write-ahead log.
#[cfg(unix)]
fn widely_readable(url: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;

    let file = database::sqlite_file(url)?.display().to_string();
    let is_wide = |ending: &str| {
        let found = std::fs::metadata(format!("{file}{ending}"));
        found.is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
    };
    ["", "-wal", "-shm"].into_iter().any(is_wide).then_some(file)
}

#[cfg(not(unix))]
fn widely_readable(_url: &str) -> Option<String> {
    None
}

/// Checks the region and the credentials, if a part uses AWS. Without them, later checks leave out the parts
/// that need AWS.
pub(super) async fn aws(report: &mut Report, config: &mut Config) -> Option<AwsConfig> {
    match aws::config(config).await {
        Ok(aws) => {
            if let Some(region) = aws.as_ref().and_then(AwsConfig::region) {
                report.ok("aws", format!("credentials found, region {region}"));
            }
            aws
        }
        Err(error) => {
            report.fail("aws", error);
            if matches!(config.queue.backend, Backend::Sqs(_)) {
                config.queue.backend = Backend::Database;
            }
            if config.ai.provider == AiProvider::Bedrock {
                config.ai.provider = AiProvider::Rules;
            }
            config.ai.second = config.ai.second.filter(|second| *second != AiProvider::Bedrock);
            None
        }
    }
}

/// Assembles all parts. The variables, the database, the mapping and the analyst have been checked before, so
/// that the variable in the error names the failed part. Later checks leave out a queue that cannot be
/// opened.
pub(super) async fn assemble(report: &mut Report, config: &mut Config) -> Option<App> {
    let error = match App::assemble(config).await {
        Ok(app) => return Some(app),
        Err(error) => error,
    };
    let check = match error.downcast_ref::<ConfigError>().map(|error| error.variable) {
        Some("REDIS_URL") => "queue",
        Some("CRM_ALLOW_FILE") => "crm",
        _ => "setup",
    };
    report.fail(check, error);
    if check == "queue" && !config.queue.backend.is_database() {
        config.queue.backend = Backend::Database;
        return App::assemble(config).await.ok();
    }
    None
}
