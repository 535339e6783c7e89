//! Tables for people.

use std::io::IsTerminal as _;

use console::{Alignment, Term, measure_text_width, pad_str};

use crate::output::{self, visible};

/// The separator between two columns.
const GAP: &str = "  ";
/// Narrower terminals are treated as this wide; their lines wrap.
const MIN_WIDTH: usize = 80;
/// Minimum width of a flexible column.
const MIN_FLEXIBLE: usize = 12;

/// Prints rows in aligned columns below their titles. On a terminal, the columns named in `flexible` are cut
/// until a row fits. Other output is never cut.
pub(crate) fn print<const N: usize>(titles: [&str; N], flexible: &[usize], rows: Vec<[String; N]>) {
    let width = std::io::stdout().is_terminal().then(|| usize::from(Term::stdout().size().1).max(MIN_WIDTH));
    for line in lines(titles, flexible, rows, width) {
        output::line(&line);
    }
}

fn lines<const N: usize>(
    titles: [&str; N],
    flexible: &[usize],
    rows: Vec<[String; N]>,
    width: Option<usize>,
) -> Vec<String> {
    let rows: Vec<[String; N]> = std::iter::once(titles.map(str::to_owned))
        .chain(rows.into_iter().map(|row| row.map(|cell| visible(&cell))))
        .collect();
    let mut widths = [0; N].map(|_: usize| 0_usize);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = measure_text_width(cell).max(*width);
        }
    }
    if let Some(available) = width {
        fit(&mut widths, flexible, available);
    }
    rows.iter()
        .map(|row| {
            let cells: Vec<_> = (row.iter().zip(widths))
                .map(|(cell, width)| pad_str(cell, width, Alignment::Left, Some("…")))
                .collect();
            cells.join(GAP).trim_end().to_owned()
        })
        .collect()
}

/// Shrinks the widest flexible column until all columns fit.
fn fit(widths: &mut [usize], flexible: &[usize], available: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > available {
        let widest = flexible.iter().copied().max_by_key(|column| widths[*column]);
        match widest {
            Some(column) if widths[column] > MIN_FLEXIBLE => widths[column] -= 1,
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[String; 3]> {
        vec![
            ["1".to_owned(), "a rather long address@example.com".to_owned(), "x".to_owned()],
            ["22".to_owned(), "東京".to_owned(), "y\u{1b}[31m".to_owned()],
        ]
    }

    #[test]
    fn columns_fit_their_widest_cell() {
        let lines = lines(["ID", "EMAIL", "Z"], &[1], rows(), None);
        assert_eq!(lines[0], "ID  EMAIL                              Z");
        assert_eq!(lines[1], "1   a rather long address@example.com  x");
        assert_eq!(lines[2], "22  東京                               y\u{fffd}[31m");
    }

    #[test]
    fn flexible_column_shrinks_on_a_narrow_terminal() {
        let lines = lines(["ID", "EMAIL", "Z"], &[1], rows(), Some(28));
        assert_eq!(lines[1], "1   a rather long a…  x");
        assert!(lines.iter().all(|line| measure_text_width(line) <= 28), "{lines:?}");
    }
}
