//! `revenueflow erase`: removal of a person on request.

use std::process::ExitCode;

use assembly::Config;
use lead::EmailAddress;
use operations::Certificate;

use super::arguments::Format;
use super::format::{count, short, utc};
use super::{existing, table};
use crate::output;

#[derive(clap::Args)]
pub(crate) struct EraseOptions {
    /// The person's address
    #[arg(value_parser = EmailAddress::parse)]
    email: EmailAddress,
    /// Erase the listed data; without it nothing is changed
    #[arg(long)]
    yes: bool,
    /// Also add the person to the suppression list, so that a new post is neither judged nor written to the
    /// CRM
    #[arg(long)]
    suppress: bool,
    /// How to print the certificate
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Erases a person and prints the certificate or, without `--yes`, lists the data to erase.
pub(crate) async fn run(config: &Config, options: EraseOptions) -> anyhow::Result<ExitCode> {
    let operations = existing::operations(config).await?;
    let actor = existing::actor();
    let certificate = operations.erase(&actor, &options.email, options.yes, options.suppress).await?;
    match options.format {
        Format::Json => output::json(&certificate)?,
        Format::Table => print(&certificate),
    }
    if !options.yes {
        output::note("nothing was changed; --yes removes it");
    } else if !certificate.erasure.on_suppression_list {
        output::note(
            "hint: a new post of this person is a new lead; `revenueflow erase ADDRESS --yes --suppress` adds them to the suppression list",
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print(certificate: &Certificate) {
    let erasure = &certificate.erasure;
    let title = if erasure.applied { "Certificate of erasure" } else { "What an erasure would remove" };
    output::line(title);
    output::line(&format!("  person   SHA-256 of the address: {}", erasure.email_sha256));
    output::line(&format!("  time     {}", utc(erasure.at)));
    let leads: Vec<_> = erasure.leads.iter().map(|lead| short(lead.as_str())).collect();
    output::line(&format!(
        "  leads    {}",
        if leads.is_empty() { "none".to_owned() } else { leads.join(", ") }
    ));
    output::line("");
    if erasure.found.is_empty() {
        output::line("Nothing was found.");
    } else {
        let becomes =
            |becomes: &str| if erasure.applied { becomes.to_owned() } else { format!("to be {becomes}") };
        let rows = erasure
            .found
            .iter()
            .map(|found| [format!("  {}", found.place), found.count.to_string(), becomes(found.becomes)]);
        table::print(["  DATA", "FOUND", "OUTCOME"], &[], rows.collect());
    }
    if erasure.on_suppression_list {
        output::line("The suppression list keeps the hash of the address.");
    }
    if erasure.in_work > 0 {
        let leads = count(erasure.in_work, "lead was", "leads were");
        output::line(&format!("{leads} being worked on: run it again in a minute."));
    }
    output::line("");
    output::line("To be done by hand");
    for record in &erasure.by_hand {
        let (provider, written_by, id) = (&record.provider, &record.written_by, &record.record_id);
        output::line(&format!("  - delete record {id} in {provider} (written by {written_by})"));
    }
    for remains in &certificate.remains {
        output::line(&format!("  - {remains}"));
    }
}
