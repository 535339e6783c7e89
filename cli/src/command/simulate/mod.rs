//! `revenueflow simulate`: posts a realistic campaign of invented leads to a running server, and measures its
//! answers.

mod body;
mod campaign;
mod lead;
mod sender;
mod summary;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::lead::{CampaignId, LeadId};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Url;
use reqwest::header::HeaderValue;
use runtime::Variables;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::campaign::{Campaign, Kind, Post, Settings};
use self::sender::{Fatal, Outcome, Sender};
use self::summary::Tally;
use super::arguments::Format;
use super::failed_if;
use crate::output::{self, Advice};

#[derive(clap::Args)]
pub(crate) struct SimulateOptions {
    /// How many leads
    #[arg(default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    leads: u32,
    /// Posts a second; 0 is as fast as the server answers
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Maximum number of concurrent posts (Marketo keeps at most 20)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// Percentage of leads that are posted twice
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    duplicates: u32,
    /// Percentage of leads that are followed by a revision
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    revisions: u32,
    /// The same seed gives the same leads
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The campaign's id; the ids of the leads follow from it
    #[arg(long, value_name = "ID", default_value = "launch_simulated")]
    campaign: String,
    /// The server's address, without /leads
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    url: String,
    /// Retry unacknowledged posts for this many seconds (for a server that is being restarted)
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    retry_for: u64,
    /// Write the ids of acknowledged leads to a file, one id a line
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// How to print the summary
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Posts the campaign and prints its summary. The exit code is 1 if a post was not made or was not
/// acknowledged.
pub(crate) async fn run(options: SimulateOptions) -> anyhow::Result<ExitCode> {
    let campaign = CampaignId::parse(&options.campaign).context("--campaign")?;
    let campaign = Campaign::new(Settings {
        leads: options.leads,
        duplicates: options.duplicates,
        revisions: options.revisions,
        seed: options.seed,
        campaign,
    })
    .await;
    let stop = CancellationToken::new();
    let sender = Sender::new(
        leads_url(&options.url)?,
        token()?,
        options.connections as usize,
        Duration::from_secs(options.retry_for),
        stop.clone(),
    )?;
    let ids = options.ids.as_deref().map(File::create).transpose().context("--ids")?.map(BufWriter::new);
    let posts = campaign.posts();
    let bar = ProgressBar::new(posts);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} posts, {eta} left{msg}")?);

    let began = Instant::now();
    let mut run = Run { stop, bar, ids, tally: Tally::default(), fatal: None };
    let was_interrupted = run.post(campaign, Arc::new(sender), &options).await?;
    run.bar.finish_and_clear();
    if let Some(mut ids) = run.ids {
        ids.flush().context("--ids")?;
    }
    if let Some(fatal) = run.fatal
        && run.tally.leads_acknowledged == 0
    {
        return Err(advice(fatal, &options).into());
    }
    let summary = run.tally.summary(options.leads, posts, began.elapsed(), options.rate > 0);
    match options.format {
        Format::Json => output::json(&summary)?,
        Format::Table => summary.print(),
    }
    match run.fatal {
        Some(fatal) => Err(advice(fatal, &options).into()),
        None if was_interrupted => anyhow::bail!("interrupted"),
        None => Ok(failed_if(!summary.is_complete())),
    }
}

/// The state of a running campaign.
struct Run {
    stop: CancellationToken,
    bar: ProgressBar,
    ids: Option<BufWriter<File>>,
    tally: Tally,
    fatal: Option<Fatal>,
}

/// A finished post.
struct Ended {
    lead_id: LeadId,
    kind: Kind,
    outcome: Outcome,
    latency: Duration,
}

impl Run {
    /// Makes every post when it is due, with a bounded number of concurrent posts. Returns whether Ctrl-C
    /// interrupted it.
    async fn post(
        &mut self,
        campaign: Campaign,
        sender: Arc<Sender>,
        options: &SimulateOptions,
    ) -> anyhow::Result<bool> {
        let connections = Arc::new(Semaphore::new(options.connections as usize));
        let stop = self.stop.clone();
        let mut interrupted = Box::pin(tokio::signal::ctrl_c());
        let mut was_interrupted = false;
        let mut posts = JoinSet::new();
        let start = Instant::now();
        for (number, post) in (0_u32..).zip(campaign) {
            let due = (options.rate > 0).then(|| start + Duration::from_secs(1) * number / options.rate);
            let turn = async {
                if let Some(due) = due {
                    tokio::time::sleep_until(due.into()).await;
                }
                Arc::clone(&connections).acquire_owned().await
            };
            let connection = tokio::select! {
                connection = turn => connection?,
                _ = &mut interrupted => {
                    was_interrupted = true;
                    stop.cancel();
                    break;
                }
                () = stop.cancelled() => break,
            };
            let sender = Arc::clone(&sender);
            posts.spawn(async move {
                let ended = post_in_order(&sender, post, due).await;
                drop(connection);
                ended
            });
            while let Some(ended) = posts.try_join_next() {
                self.count(ended?)?;
            }
        }
        loop {
            tokio::select! {
                ended = posts.join_next() => match ended {
                    Some(ended) => self.count(ended?)?,
                    None => return Ok(was_interrupted),
                },
                _ = &mut interrupted, if !was_interrupted => {
                    was_interrupted = true;
                    stop.cancel();
                }
            }
        }
    }

    fn count(&mut self, ended: Ended) -> anyhow::Result<()> {
        if let Some(fatal) = ended.outcome.fatal {
            self.fatal = self.fatal.or(Some(fatal));
            self.stop.cancel();
        }
        if let Some(ids) = &mut self.ids
            && ended.kind == Kind::First
            && ended.outcome.is_acknowledged
        {
            writeln!(ids, "{}", ended.lead_id).context("--ids")?;
        }
        self.tally.add(ended.kind, ended.outcome, ended.latency);
        self.bar.inc(1);
        let (again, lost) = (self.tally.retries, self.tally.not_acknowledged);
        if again > 0 || lost > 0 {
            self.bar.set_message(format!(", {again} posted again, {lost} not acknowledged"));
        }
        Ok(())
    }
}

/// Waits for the previous post of the lead, posts, and releases the next one.
async fn post_in_order(sender: &Sender, mut post: Post, due: Option<Instant>) -> Ended {
    let mut since = due.unwrap_or_else(Instant::now);
    if let Some(before) = post.after.take() {
        // Resolves when the sender half is dropped. The wait for the order is not part of the server's
        // latency.
        let waited = Instant::now();
        let _ = before.await;
        if waited.elapsed() > Duration::from_millis(1) {
            since = since.max(Instant::now());
        }
    }
    let (lead_id, kind, done) = (post.lead_id.clone(), post.kind, post.done.take());
    let outcome = sender.post(post).await;
    drop(done);
    Ended { lead_id, kind, outcome, latency: since.elapsed() }
}

/// The URL to post to, derived from the server's address.
fn leads_url(url: &str) -> anyhow::Result<Url> {
    let wrong = || {
        Advice::new("--url: is not the address of a server", "use an address such as http://127.0.0.1:3000")
    };
    let mut url = Url::parse(url).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong().into());
    }
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with("/leads") { path.to_owned() } else { format!("{path}/leads") };
    url.set_path(&path);
    Ok(url)
}

/// The first static token of `WEBHOOK_SECRETS`, or `None` if the variable is not set.
fn token() -> anyhow::Result<Option<HeaderValue>> {
    let secrets = Variables::of_process().list("WEBHOOK_SECRETS");
    let Some(token) = secrets.iter().find(|secret| !secret.starts_with("whsec_")) else {
        if secrets.is_empty() {
            return Ok(None);
        }
        let problem = "WEBHOOK_SECRETS holds signing keys only, and simulate does not sign";
        return Err(Advice::new(problem, "add a static token to the list, for the server as well").into());
    };
    let mut token = HeaderValue::from_str(token)
        .map_err(|_| anyhow::anyhow!("WEBHOOK_SECRETS: the first static token cannot be sent in a header"))?;
    token.set_sensitive(true);
    Ok(Some(token))
}

fn advice(fatal: Fatal, options: &SimulateOptions) -> Advice {
    let url = &options.url;
    match fatal {
        Fatal::Unreachable if options.retry_for > 0 => Advice::new(
            format!("{url} could not be reached within {} s", options.retry_for),
            "run the same command again: it posts everything again, and leads acknowledged before are then duplicates",
        ),
        Fatal::Unreachable => Advice::new(
            format!("{url} cannot be reached"),
            "start the server with `revenueflow`, or name another with --url; --retry-for waits for one",
        ),
        Fatal::Unauthorized => Advice::new(
            format!("{url} does not accept our token"),
            "set WEBHOOK_SECRETS to the server's value; its first static token is sent",
        ),
        Fatal::WrongServer => Advice::new(
            format!("{url} accepts no leads"),
            "check that it is a RevenueFlow server, and that it was not started with --worker-only",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_posted_below_the_server_address() {
        for (given, posted) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/leads"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/leads"),
            ("https://api.example.com/prod", "https://api.example.com/prod/leads"),
            ("https://api.example.com/prod/leads", "https://api.example.com/prod/leads"),
        ] {
            assert_eq!(leads_url(given).unwrap().as_str(), posted);
        }
        for wrong in ["127.0.0.1:3000", "ftp://example.com", "", "leads"] {
            assert!(leads_url(wrong).is_err(), "{wrong}");
        }
    }
}
