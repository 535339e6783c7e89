//! `revenueflow review`: decisions about held leads, and recording of responses.

use std::process::ExitCode;

use assembly::Config;
use clap::Subcommand;
use operations::{Operations, ReviewAnswer, Verdict};

use super::arguments::Paging;
use super::existing;
use super::format::{short, utc};
use crate::output;

#[derive(Subcommand)]
pub(crate) enum ReviewCommand {
    /// List held leads with the reasons, newest first
    List(Paging),
    /// Write a held lead to the CRM, without anything from its analysis
    Approve(Decision),
    /// Have a held lead judged again
    Rejudge(Decision),
    /// Dismiss a held lead; nothing is written
    Dismiss {
        #[command(flatten)]
        decision: Decision,
        /// Why; nothing personal about the lead
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Record a response to a lead, which ends its response deadline
    Responded {
        #[command(flatten)]
        decision: Decision,
        /// Name of the person who responded
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
}

#[derive(clap::Args)]
pub(crate) struct Decision {
    /// The lead's id, or the beginning of it
    id: String,
}

/// Lists held leads, or decides about one.
pub(crate) async fn run(config: &Config, command: ReviewCommand) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    match command {
        ReviewCommand::List(paging) => list(&operations, &paging).await?,
        ReviewCommand::Approve(decision) => decide(&operations, &decision, Verdict::Approve, None).await?,
        ReviewCommand::Rejudge(decision) => decide(&operations, &decision, Verdict::Rejudge, None).await?,
        ReviewCommand::Dismiss { decision, reason } => {
            decide(&operations, &decision, Verdict::Dismiss, Some(&reason)).await?;
        }
        ReviewCommand::Responded { decision, by } => {
            let id = operations.resolve(&decision.id).await?;
            let is_first = operations.responded(&existing::actor(), &id, by.as_deref()).await?;
            output::note(if is_first {
                "responded"
            } else {
                "a response was recorded before; nothing has changed"
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(operations: &Operations, paging: &Paging) -> anyhow::Result<()> {
    let page = operations.held(paging.cursor.as_ref(), paging.limit).await?;
    let columns = (["ID", "HELD SINCE", "EMAIL", "CAMPAIGN", "WHY"], &[2, 4][..]);
    paging.print(page, "review list", "no lead is held", columns, |held| {
        let why: Vec<_> = held.reasons.iter().map(|reason| reason.message.clone()).collect();
        let email = held.lead.email.into_exposed();
        [
            short(held.lead.lead_id.as_str()),
            utc(held.lead.updated_at),
            email,
            held.lead.campaign_id,
            why.join("; "),
        ]
    })
}

async fn decide(
    operations: &Operations,
    decision: &Decision,
    verdict: Verdict,
    reason: Option<&str>,
) -> anyhow::Result<()> {
    let id = operations.resolve(&decision.id).await?;
    let answer = operations.review(&existing::actor(), &id, verdict, reason).await?;
    output::note(match (answer, verdict) {
        (ReviewAnswer::Dismissed, _) => "dismissed; nothing is written",
        (ReviewAnswer::Queued, Verdict::Approve) => {
            "queued: it goes to the CRM without anything from its analysis"
        }
        (ReviewAnswer::Queued, _) => "queued: it is judged again",
    });
    Ok(())
}
