//! Calls to the CRM for each lead, as the fakes of the CRMs count them.

use std::time::Duration;

use axum::Router;
use sandbox::hubspot::HubSpot;
use sandbox::{CATALOGUE, Entry, Exchange, Fake};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::figures::{Column, Figure, Table};
use crate::load::saturate;
use crate::note;
use crate::servers::Servers;
use crate::system::{Instance, Running, System};

/// Leads that are posted one after another, each to an idle system.
const LONE: u64 = 5;

/// Leads that are posted at once.
const BURST: u64 = 200;

const LIMIT: Duration = Duration::from_mins(5);

/// Counts the calls of a lone lead and of a burst, with each CRM. Limits of the accounts and of the product
/// are lifted: they change the duration, not the number of calls.
pub(crate) async fn calls(servers: &Servers, table: &mut Table) -> anyhow::Result<()> {
    for (name, lone, burst) in [
        ("salesforce", Figure::SalesforceLone, Figure::SalesforceBurst),
        ("hubspot", Figure::HubSpotLone, Figure::HubSpotBurst),
    ] {
        note(&format!("calls to {name}"));
        let Some(entry) = CATALOGUE.iter().find(|entry| entry.name == name) else { continue };
        let fake = Fake::serve(entry.name, router(entry)).await?;
        let mut variables = variables_of(entry, &fake);
        variables.extend(without_limits());
        let instance = Instance::create(System::Sqlite, servers, &variables).await?;
        let processes = instance.start(Running::IntakeAndWork).await?;
        let mut exchanges = fake.follow();
        // The first lead pays for the login and for the schema.
        for number in 0..=LONE {
            saturate(processes.address()?, 1, number..number + 1).await?;
            instance.finished(number + 1, LIMIT).await?;
            if number == 0 {
                calls_so_far(&mut exchanges);
            }
        }
        table.record(Column::Sqlite, lone, calls_so_far(&mut exchanges) / LONE as f64);
        let first = LONE + 1;
        saturate(processes.address()?, 64, first..first + BURST).await?;
        instance.finished(first + BURST, LIMIT).await?;
        table.record(Column::Sqlite, burst, calls_so_far(&mut exchanges) / BURST as f64);
        processes.stop().await?;
    }
    Ok(())
}

/// The variables that select a fake.
pub(crate) fn variables_of(entry: &Entry, fake: &Fake) -> Vec<(String, String)> {
    let given = entry.variables.iter().map(|(name, value)| (*name, value.replace("{url}", &fake.url())));
    let selected = (entry.selected_by.0, entry.selected_by.1.to_owned());
    given.chain([selected]).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The variables that lift the product's own limits of actions.
pub(crate) fn without_limits() -> impl Iterator<Item = (String, String)> {
    ["CRM_LIMIT_PER_ACCOUNT", "CRM_LIMIT_GLOBAL"]
        .into_iter()
        .map(|name| (name.to_owned(), "1000000".to_owned()))
}

/// The fake of a CRM, without limits of HubSpot's account.
fn router(entry: &Entry) -> Router {
    if entry.name != "hubspot" {
        return (entry.router)();
    }
    let account = HubSpot::prepared();
    account.set(|settings| (settings.burst, settings.searches) = (1_000_000, 1_000_000));
    account.router()
}

/// The calls since the last count, without logins.
fn calls_so_far(exchanges: &mut UnboundedReceiver<Exchange>) -> f64 {
    let mut calls = 0_u32;
    while let Ok(exchange) = exchanges.try_recv() {
        calls += u32::from(!exchange.path.contains("/oauth"));
    }
    f64::from(calls)
}
