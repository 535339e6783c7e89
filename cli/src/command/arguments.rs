//! Arguments that several commands share, and the printing of a page.

use clap::ValueEnum;
use jiff::{Span, SpanRelativeTo, Timestamp};
use operations::{Cursor, Page};
use serde::Serialize;

use super::table;
use crate::output;

// The table is for people, JSON (one document) for programs. The values have no help texts, so that clap
// lists them on one line.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    Json,
}

#[derive(clap::Args)]
pub(crate) struct OneLead {
    /// The lead's id, or the beginning of it
    pub(crate) id: String,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(clap::Args)]
pub(crate) struct Paging {
    /// How many, at most 500
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
    /// Where to continue: the cursor at the end of the previous page
    #[arg(long)]
    pub(crate) cursor: Option<Cursor>,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

impl Paging {
    /// Prints a page of the list that `command` prints, as JSON or with one row of a table for each item. On
    /// a terminal, the columns in `flexible` are cut. Prints the message `empty` for a list without items.
    pub(crate) fn print<T: Serialize, const N: usize>(
        &self,
        page: Page<T>,
        command: &str,
        empty: &str,
        (titles, flexible): ([&str; N], &[usize]),
        row: impl FnMut(T) -> [String; N],
    ) -> anyhow::Result<()> {
        if self.format == Format::Json {
            return output::json(&page);
        }
        if page.items.is_empty() {
            output::note(empty);
            return Ok(());
        }
        table::print(titles, flexible, page.items.into_iter().map(row).collect());
        if let Some(cursor) = page.next_cursor {
            output::note(&format!("more: revenueflow {command} --limit {} --cursor {cursor}", self.limit));
        }
        Ok(())
    }
}

/// Parses a time, or a period that ends now.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    let ago = |period: Span| {
        let period = period.to_duration(SpanRelativeTo::days_are_24_hours())?;
        Timestamp::now().checked_sub(period.abs())
    };
    text.parse().or_else(|_| text.parse().and_then(ago)).map_err(|_| {
        "must be a time such as 2026-01-31T00:00:00Z, or a period such as 90m, 24h or 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_a_period_before_now() {
        assert_eq!(since("2026-01-31T00:00:00Z"), Ok("2026-01-31T00:00:00Z".parse().unwrap()));
        for (period, hours) in [("90m", 1.5), ("24h", 24.0), ("7d", 168.0), ("2 days ago", 48.0)] {
            let time = since(period).unwrap();
            let age = Timestamp::now().duration_since(time).as_secs_f64() / 3_600.0;
            assert!((hours..hours + 0.1).contains(&age), "{period}: {age}");
        }
        for wrong in ["90", "yesterday", "1y", ""] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
