//! Tables: each column is as wide as its longest cell; the last one is as wide as the terminal has room.

use super::style::{FAINT, HANG, STRONG, columns, paint};

/// The titles and the rows, one line each.
pub(super) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(|title| paint(STRONG, title));
    let rows: Vec<&[String; N]> = [&titles].into_iter().chain(rows).collect();
    let last = N.saturating_sub(1);
    let widths: Vec<usize> = (0..last).map(|column| rows.iter().map(|row| columns(&row[column])).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell}{:pad$}  ", "", pad = width - columns(cell)));
        }
        text.push_str(&format!("{HANG}{}\n", row[last]));
    }
    text
}

/// A line of a list of names with their values, below each other.
pub fn row(name: &str, width: usize, value: &str) -> String {
    format!("  {} {HANG}{value}\n", paint(FAINT, format_args!("{name:<width$}")))
}
