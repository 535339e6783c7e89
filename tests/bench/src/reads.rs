//! The duration of pages and commands that operators wait for.

use std::io::Write as _;
use std::time::Instant;

use crate::load::Connection;
use crate::system::Instance;

/// How often each is read; the figure is the median.
const READS: usize = 7;

/// The duration of a page, in milliseconds.
pub(crate) async fn page(connection: &mut Connection, path: &str) -> anyhow::Result<f64> {
    median_of(async || {
        let (status, body) = connection.get(path).await?;
        anyhow::ensure!(status == 200, "{path}: {status} {body}");
        Ok(())
    })
    .await
}

/// The duration of `revenueflow doctor`, in milliseconds.
pub(crate) async fn doctor(instance: &Instance<'_>) -> anyhow::Result<f64> {
    median_of(async || instance.run("doctor").await).await
}

async fn median_of(mut read: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut took = Vec::new();
    for _ in 0..READS {
        let began = Instant::now();
        read().await?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_unstable_by(f64::total_cmp);
    Ok(took[READS / 2])
}

/// Prints a table with a column for each system, of figures with the same labels.
pub(crate) fn print(title: &str, names: &[&str], columns: &[Vec<(String, f64)>]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "\n{title}: milliseconds, the median of {READS} reads")?;
    let row = |label: &str, cells: Vec<String>| {
        let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:>10} |")).collect();
        format!("| {label:<52} | {}", cells.join(" "))
    };
    writeln!(out, "{}", row("", names.iter().map(|name| (*name).to_owned()).collect()))?;
    writeln!(out, "|-{:-<52}-|{}", "", "-----------:|".repeat(names.len()))?;
    for (place, (label, _)) in columns.first().into_iter().flatten().enumerate() {
        let cells =
            columns.iter().filter_map(|column| column.get(place)).map(|(_, value)| format!("{value:.1}"));
        writeln!(out, "{}", row(label, cells.collect()))?;
    }
    Ok(())
}
