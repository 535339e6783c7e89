use std::collections::BTreeMap;
use std::fmt;

use crate::system::System;

/// A column of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Sqlite,
    Postgres,
    Redis,
    Peer,
    Lpush,
}

impl Column {
    const ALL: [(Self, &str); 5] = [
        (Self::Sqlite, "SQLite"),
        (Self::Postgres, "PostgreSQL"),
        (Self::Redis, "Redis"),
        (Self::Peer, "Node peer"),
        (Self::Lpush, "LPUSH"),
    ];
}

impl From<System> for Column {
    fn from(system: System) -> Self {
        match system {
            System::Sqlite => Self::Sqlite,
            System::Postgres => Self::Postgres,
            System::Redis => Self::Redis,
            System::Peer => Self::Peer,
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    Posts,
    Finished,
    PostP50,
    PostP99,
    IdleP99,
    DrainP50,
    DrainP99,
    Commits,
    Transactions,
    Statements,
    Wal,
    Cpu,
    DatabaseCpu,
    Memory,
    SalesforceLone,
    SalesforceBurst,
    HubSpotLone,
    HubSpotBurst,
    SlowRatio,
    SlowMemory,
}

impl Figure {
    /// Every row, with its label and the number of decimals.
    const ALL: [(Self, &str, usize); 20] = [
        (Self::Posts, "posts/s", 0),
        (Self::Finished, "accepted and finished leads/s", 0),
        (Self::PostP50, "acknowledgement at full speed, p50 ms", 1),
        (Self::PostP99, "acknowledgement at full speed, p99 ms", 1),
        (Self::IdleP99, "acknowledgement at the pace, idle, p99 ms", 1),
        (Self::DrainP50, "acknowledgement at the pace, backlog drains, p50 ms", 1),
        (Self::DrainP99, "acknowledgement at the pace, backlog drains, p99 ms", 1),
        (Self::Commits, "commits of writes a lead", 1),
        (Self::Transactions, "transactions a lead, with reads", 1),
        (Self::Statements, "statements a lead", 1),
        (Self::Wal, "WAL a lead (SQLite: all writes), KB", 1),
        (Self::Cpu, "CPU of the processes, s per 1,000 leads", 2),
        (Self::DatabaseCpu, "CPU of the servers, s per 1,000 leads", 2),
        (Self::Memory, "peak memory of the processes, MB", 0),
        (Self::SalesforceLone, "Salesforce calls a lead, lone", 1),
        (Self::SalesforceBurst, "Salesforce calls a lead, in a burst", 1),
        (Self::HubSpotLone, "HubSpot calls a lead, lone", 1),
        (Self::HubSpotBurst, "HubSpot calls a lead, in a burst", 1),
        (Self::SlowRatio, "slow AI and CRM: duration, times the ideal", 2),
        (Self::SlowMemory, "slow AI and CRM: peak memory, MB", 0),
    ];

    /// Whether more is better, so that its ratio to the peer is shown.
    fn is_rate(self) -> bool {
        matches!(self, Self::Posts | Self::Finished)
    }
}

/// The figures so far: the best of each, since other load on the machine only ever makes them worse.
#[derive(Default)]
pub(crate) struct Table(BTreeMap<(Figure, Column), f64>);

impl Table {
    /// Records a figure of a round. None, where the machine cannot tell, is left out.
    pub(crate) fn record(&mut self, column: Column, figure: Figure, value: impl Into<Option<f64>>) {
        let Some(value) = value.into() else { return };
        let best = self.0.entry((figure, column)).or_insert(value);
        *best = if figure.is_rate() { best.max(value) } else { best.min(value) };
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn cell(&self, figure: Figure, column: Column, decimals: usize) -> String {
        let Some(value) = self.0.get(&(figure, column)) else { return "-".to_owned() };
        match self.0.get(&(figure, Column::Peer)) {
            Some(peer) if figure.is_rate() && column != Column::Peer => {
                format!("{value:.decimals$} ({:.2}x)", value / peer)
            }
            _ => format!("{value:.decimals$}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> =
            Column::ALL.into_iter().filter(|(column, _)| self.0.keys().any(|(_, of)| of == column)).collect();
        let mut rows = vec![
            std::iter::once("").chain(columns.iter().map(|(_, name)| *name)).map(str::to_owned).collect(),
        ];
        for (figure, label, decimals) in Figure::ALL {
            if self.0.keys().any(|(of, _)| *of == figure) {
                let cells = columns.iter().map(|(column, _)| self.cell(figure, *column, decimals));
                rows.push(std::iter::once(label.to_owned()).chain(cells).collect::<Vec<_>>());
            }
        }
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<_> = (0..=columns.len()).map(width).collect();
        for (number, row) in rows.iter().enumerate() {
            let cells: Vec<_> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
                writeln!(f, "|-{}-|", rules.join("-|-"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_holds_the_best_figures_beside_the_peer() {
        let mut table = Table::default();
        for (column, posts, p99) in
            [(Column::Sqlite, 900.0, 4.0), (Column::Sqlite, 1000.0, 5.0), (Column::Peer, 500.0, 9.0)]
        {
            table.record(column, Figure::Posts, posts);
            table.record(column, Figure::PostP99, p99);
        }
        table.record(Column::Sqlite, Figure::Memory, None);
        let lines: Vec<_> = table.to_string().lines().map(|line| line.replace("  ", "")).collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[2].contains("| 1000 (2.00x) | 500"), "{lines:?}");
        assert!(lines[3].contains("| 4.0"), "{lines:?}");
    }
}
