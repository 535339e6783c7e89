use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::path::Path;
use std::process::ExitCode;

use analysis::ModelAnalyst;
use database::{Backend, Database};
use enrichment::Fixtures;
use intake::{Authenticator, MIN_SECRET_CHARS};
use lead::Clock as _;
use runtime::{AiProvider, Config, ConfigError, Variables};
use secrecy::{ExposeSecret as _, SecretString};

use super::words::{age, count};
use super::{existing, failed_if};
use crate::app::App;
use crate::output::{self, Advice};

/// A secret with fewer different characters than this was not drawn at random.
const MIN_DISTINCT_CHARS: usize = 8;

/// Checks the configuration and everything that it points to, one line each. Creates nothing.
///
/// A failure ends no check but those that rest on it. Fails when any check did.
pub(crate) async fn run(config: Result<Config, ConfigError>) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    if let Some((mut config, as_asked)) = configuration(&mut report, config) {
        profile(&mut report, &mut config);
        let app = database(&mut report, &config).await;
        queue(&mut report, app.as_ref()).await;
        analyst(&mut report, &config).await;
        enrichment(&mut report, app.as_ref()).await;
        crm(&mut report, app.as_ref()).await;
        if as_asked {
            exposure(&mut report, &config);
            secrets(&mut report, &config);
        } else {
            report.skip("exposure", "needs a configuration without failures");
            report.skip("secrets", "need a configuration without failures");
        }
        if let Some(app) = app {
            app.store.database().close().await;
        }
    }
    output::note(&match report.failed {
        0 => "nothing failed".to_owned(),
        failed => format!("{failed} of {} failed", count(report.checks, "check", "checks")),
    });
    Ok(failed_if(report.failed > 0))
}

/// What was found so far.
#[derive(Default)]
struct Report {
    checks: usize,
    failed: usize,
}

impl Report {
    fn ok(&mut self, check: &str, found: impl AsRef<str>) {
        self.tell(&console::style("ok  ").green(), check, found.as_ref());
    }

    /// Works, and yet somebody should look.
    fn warn(&mut self, check: &str, found: impl AsRef<str>, hint: &str) {
        let found = format!("{}; hint: {hint}", found.as_ref());
        self.tell(&console::style("warn").yellow(), check, &found);
    }

    fn fail(&mut self, check: &str, error: &anyhow::Error) {
        self.failed += 1;
        let hint = output::hint_of(error).map(|hint| format!("; hint: {hint}")).unwrap_or_default();
        let found = format!("{}{hint}", output::one_line(error));
        self.tell(&console::style("FAIL").red().bold(), check, &found);
    }

    fn skip(&mut self, check: &str, why: &str) {
        self.tell(&console::style("skip").dim(), check, why);
    }

    /// `outcome` is coloured where the terminal shows colours, which `console` finds out.
    fn tell(&mut self, outcome: &impl Display, check: &str, found: &str) {
        self.checks += 1;
        output::line(&format!("{outcome}  {check:<14} {found}"));
    }
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

/// A profile that cannot be read is left out of the checks that follow: it is not their fault.
fn profile(report: &mut Report, config: &mut Config) {
    let source = config.icp_file.as_deref().map_or("built in".to_owned(), |file| file.display().to_string());
    match assembly::icp(config) {
        Ok(icp) => report.ok("icp", format!("version {}, {source}", icp.version())),
        Err(error) => {
            report.fail("icp", &error);
            config.icp_file = None;
        }
    }
}

async fn database(report: &mut Report, config: &Config) -> Option<App> {
    const CHECK: &str = "database";
    if let Some(file) = existing::missing_file(&config.database_url) {
        let folder = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        if folder.is_dir() {
            let found = format!("sqlite, {} does not exist yet", file.display());
            report.warn(CHECK, found, "`revenueflow` and `revenueflow migrate` create it");
        } else {
            let found = format!("DATABASE_URL: there is no folder {}", folder.display());
            report.fail(
                CHECK,
                &Advice::new(found, "a missing file is created, a missing folder is not").into(),
            );
        }
        return None;
    }
    let database = match Database::connect(&config.database_url, 1).await {
        Ok(database) => database,
        Err(error) => {
            report.fail(CHECK, &existing::cannot_open(&error, &config.database_url).into());
            return None;
        }
    };
    let backend = match database.backend() {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    };
    let is_migrated = database.is_migrated().await;
    database.close().await;
    match is_migrated {
        Ok(true) => report.ok(CHECK, format!("{backend}, schema up to date")),
        Ok(false) => {
            let found = format!("{backend}: the schema is older than this program");
            report.fail(CHECK, &Advice::new(found, "`revenueflow migrate` brings it up to date").into());
            return None;
        }
        Err(error) => {
            report.fail(CHECK, &error.into());
            return None;
        }
    }
    match App::assemble(config).await {
        Ok(app) => Some(app),
        Err(error) => {
            report.fail(CHECK, &error);
            None
        }
    }
}

async fn queue(report: &mut Report, app: Option<&App>) {
    const CHECK: &str = "queue";
    let Some(app) = app else { return report.skip(CHECK, "needs the database") };
    let look = async {
        let depth = app.queue.depth().await?;
        let pauses = app.queue.pauses().await?;
        let dead = app.store.count_dead_letters().await?;
        anyhow::Ok((depth, pauses, dead))
    };
    let (depth, pauses, dead) = match look.await {
        Ok(found) => found,
        Err(error) => return report.fail(CHECK, &error),
    };
    let now = app.clock.now();
    let mut found =
        format!("{}, {} waiting", app.queue.backend(), depth.messages - depth.in_flight.min(depth.messages));
    if depth.in_flight > 0 {
        let _ = write!(found, ", {} being worked on", depth.in_flight);
    }
    if depth.messages > 0 {
        let _ = write!(found, ", the oldest for {}", age(now - depth.oldest_age, now));
    }
    if let Some(pause) = pauses.first() {
        let (dependency, since) = (&pause.dependency, age(pause.since, now));
        report.warn(
            CHECK,
            format!("{found}; paused for {since}, because of {dependency}: {}", pause.reason),
            "it goes on by itself when the probe succeeds",
        );
    } else if dead > 0 {
        let dead = count(usize::try_from(dead).unwrap_or_default(), "dead letter", "dead letters");
        report.warn(CHECK, format!("{found}, {dead}"), "`revenueflow dead-letters list` says why");
    } else {
        report.ok(CHECK, format!("{found}, no dead letters"));
    }
}

/// A call of a few tokens to each AI: it shows that the key and the model are good. Asks whatever the breaker says.
async fn analyst(report: &mut Report, config: &Config) {
    let providers = [("ai", Some(config.ai.provider)), ("ai fallback", config.ai.second)];
    let analyst = match assembly::icp(config).and_then(|icp| assembly::analyst(config, &icp)) {
        Ok(analyst) => analyst,
        Err(error) => return report.fail("ai", &error),
    };
    for (check, provider) in providers {
        let Some(provider) = provider else { continue };
        if provider == AiProvider::Rules {
            report.ok(check, "rules, offline");
            continue;
        }
        let model = match assembly::ai_model(config, provider) {
            Ok(model) => model,
            Err(error) => return report.fail(check, &error),
        };
        let found = format!("{}, {}, answers", provider.as_str(), model.id);
        match (analyst.probe(&ModelAnalyst::dependency(provider.as_str())).await, model.retires) {
            (Err(failure), _) => {
                report.fail(check, &Advice::new(failure.to_string(), "docs/ai.md says what to do").into());
            }
            (Ok(()), Some(day)) => report.warn(check, found, &format!("it is turned off on {day}")),
            (Ok(()), None) => report.ok(check, found),
        }
    }
}

/// Tries the providers' credentials where that is free. The others are not tried: a question costs a credit.
async fn enrichment(report: &mut Report, app: Option<&App>) {
    const CHECK: &str = "enrichment";
    let Some(app) = app else { return report.skip(CHECK, "needs the database") };
    let now = app.clock.now();
    for state in app.pipeline.enrichment.states().await {
        let name = state.name;
        let left_alone = state.left_alone.filter(|open| now < open.retry_at);
        match (state.check, left_alone) {
            (Err(failure), _) => {
                let hint = "docs/enrichment.md says what each provider needs";
                report.fail(CHECK, &Advice::new(format!("{name}: {failure}"), hint).into());
            }
            (Ok(_), Some(open)) => {
                let found = format!("{name} is left alone until {}: {}", open.retry_at, open.reason);
                report.warn(CHECK, found, "it is asked again by itself; the others are asked meanwhile");
            }
            (Ok(Some(works)), None) => report.ok(CHECK, format!("{name}, {works}")),
            (Ok(None), None) if name == "fixtures" => {
                let companies = Fixtures::built_in().domains().count();
                report.ok(CHECK, format!("fixtures, {companies} companies, offline"));
            }
            (Ok(None), None) => {
                report.ok(CHECK, format!("{name}, key not tried, since a question costs a credit"));
            }
        }
    }
}

async fn crm(report: &mut Report, app: Option<&App>) {
    const CHECK: &str = "crm";
    let Some(app) = app else { return report.skip(CHECK, "needs the database") };
    let provider = app.pipeline.guard.provider();
    match app.pipeline.guard.probe().await {
        Ok(()) => report.ok(CHECK, format!("{provider}, answers")),
        Err(failure) => return report.fail(CHECK, &anyhow::Error::new(failure).context(provider)),
    }
    mapping(report, app).await;
}

/// Whether the CRM has the fields that the mapping names, and lets us write them.
async fn mapping(report: &mut Report, app: &App) {
    const CHECK: &str = "crm mapping";
    let guard = &app.pipeline.guard;
    let problems = match guard.schema_problems().await {
        Ok(problems) => problems,
        Err(failure) => return report.fail(CHECK, &anyhow::Error::new(failure).context(guard.provider())),
    };
    for problem in &problems {
        let hint = "docs/crm.md says how to create the fields and change the mapping";
        if problem.blocks {
            report.fail(CHECK, &Advice::new(problem.message.clone(), hint).into());
        } else {
            report.warn(CHECK, format!("{}; it is left out", problem.message), hint);
        }
    }
    if problems.is_empty() {
        let mapping = guard.mapping();
        let rules: usize = mapping.objects().map(|(_, object)| object.rules().len()).sum();
        report.ok(CHECK, format!("version {}, {rules} fields, the CRM has them all", mapping.version()));
    }
}

/// That a public address has its secrets is checked by the configuration itself.
fn exposure(report: &mut Report, config: &Config) {
    let listen = config.listen;
    match (config.is_loopback(), config.webhook_secrets.is_empty()) {
        (true, true) => report.ok("exposure", format!("{listen}, this machine only, anyone on it may post")),
        (true, false) => report.ok("exposure", format!("{listen}, this machine only")),
        (false, _) => report.ok("exposure", format!("{listen}, open to the network, secrets are required")),
    }
}

fn secrets(report: &mut Report, config: &Config) {
    const CHECK: &str = "secrets";
    const DRAW: &str = "`openssl rand -hex 32` draws a good one";
    let (webhook, admin) = (&config.webhook_secrets, config.admin_token.as_ref());
    if webhook.is_empty() && admin.is_none() {
        return report.ok(CHECK, "none, and none are needed on this machine");
    }
    if !webhook.is_empty()
        && let Err(error) = Authenticator::new(webhook.iter().cloned())
    {
        return report.fail(CHECK, &Advice::new(error.to_string(), DRAW).into());
    }
    if admin.is_some_and(|token| token.expose_secret().chars().count() < MIN_SECRET_CHARS) {
        let problem = format!("ADMIN_TOKEN is shorter than {MIN_SECRET_CHARS} characters");
        return report.fail(CHECK, &Advice::new(problem, DRAW).into());
    }
    if admin.is_some_and(|token| webhook.iter().any(|secret| secret.expose_secret() == token.expose_secret()))
    {
        let problem = "ADMIN_TOKEN is one of WEBHOOK_SECRETS: whoever posts leads could read them";
        return report.fail(CHECK, &Advice::new(problem, DRAW).into());
    }
    let guessable = (1..).zip(webhook).find(|(_, secret)| can_be_guessed(secret));
    if let Some((position, _)) = guessable {
        return report.warn(CHECK, format!("WEBHOOK_SECRETS: secret {position} can be guessed"), DRAW);
    }
    if admin.is_some_and(can_be_guessed) {
        return report.warn(CHECK, "ADMIN_TOKEN can be guessed", DRAW);
    }
    let webhook = count(webhook.len(), "webhook secret", "webhook secrets");
    let admin = if admin.is_some() { "an admin token" } else { "no admin token" };
    report.ok(CHECK, format!("{webhook}, {admin}, long enough"));
}

fn can_be_guessed(secret: &SecretString) -> bool {
    secret.expose_secret().chars().collect::<BTreeSet<_>>().len() < MIN_DISTINCT_CHARS
}
