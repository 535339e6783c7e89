//! Posts a realistic campaign of invented leads to a running server, and measures how it is answered.

mod body;
mod campaign;
mod lead;
mod sender;
mod summary;

use std::fs::File;
use std::io::{BufWriter, Write as _};
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
use super::failed_if;
use crate::args::{Format, SimulateOptions};
use crate::output::{self, Advice};

/// Posts the campaign, and prints what it came to. Fails when any post was not acknowledged in the end.
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
        address(&options.url)?,
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

/// A campaign under way.
struct Run {
    stop: CancellationToken,
    bar: ProgressBar,
    ids: Option<BufWriter<File>>,
    tally: Tally,
    fatal: Option<Fatal>,
}

/// A post that has ended.
struct Ended {
    lead_id: LeadId,
    kind: Kind,
    outcome: Outcome,
    latency: Duration,
}

impl Run {
    /// Makes every post when it is due, with a bounded number under way. True where a person ended it.
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
        for (place, post) in (0_u32..).zip(campaign) {
            let due = (options.rate > 0).then(|| start + Duration::from_secs(1) * place / options.rate);
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
                let ended = take_turn(&sender, post, due).await;
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

/// Waits for the lead's post before this one, posts, and lets the next one go.
async fn take_turn(sender: &Sender, mut post: Post, due: Option<Instant>) -> Ended {
    let mut since = due.unwrap_or_else(Instant::now);
    if let Some(before) = post.after.take() {
        // Ends when the other side is dropped. To keep the order is our doing, and not the server's time.
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

/// Where to post, from the server's address.
fn address(url: &str) -> anyhow::Result<Url> {
    let wrong = || Advice::new("--url: is not the address of a server", "such as http://127.0.0.1:3000");
    let mut url = Url::parse(url).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong().into());
    }
    let path = url.path().trim_end_matches('/');
    let path = if path.ends_with("/leads") { path.to_owned() } else { format!("{path}/leads") };
    url.set_path(&path);
    Ok(url)
}

/// The first static token of `WEBHOOK_SECRETS`; none where the variable is not set.
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
        Fatal::Gone if options.retry_for > 0 => Advice::new(
            format!("{url} did not come back within {} s", options.retry_for),
            "the same command posts everything again; what was acknowledged before is then a duplicate",
        ),
        Fatal::Gone => Advice::new(
            format!("{url} cannot be reached"),
            "start the server with `revenueflow`, or name another with --url; --retry-for waits for one",
        ),
        Fatal::Unauthorized => Advice::new(
            format!("{url} does not accept our token"),
            "set WEBHOOK_SECRETS to what the server has; its first static token is sent",
        ),
        Fatal::WrongServer => Advice::new(
            format!("{url} takes in no leads"),
            "is it a RevenueFlow server, and not one started with --worker-only?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_posted_below_the_servers_address() {
        for (given, posted) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000/leads"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000/leads"),
            ("https://api.example.com/prod", "https://api.example.com/prod/leads"),
            ("https://api.example.com/prod/leads", "https://api.example.com/prod/leads"),
        ] {
            assert_eq!(address(given).unwrap().as_str(), posted);
        }
        for wrong in ["127.0.0.1:3000", "ftp://example.com", "", "leads"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
