//! The cards of several hosts, in one table.

use super::style::{STRONG, paint};
use crate::passthrough::Assessment;

/// One line a card.
pub fn hosts(hosts: &[(&str, &[Assessment])]) -> String {
    let row = |host: &str, card: &Assessment| {
        let name = card.name.clone().unwrap_or_else(|| "unknown graphics".into());
        [host.to_owned(), card.address.short(), format!("{name} [{}]", card.id), card.verdict.to_string()]
    };
    let none = |host: &str| [host.to_owned(), "-".to_owned(), "no graphics card".to_owned(), "-".to_owned()];
    let mut rows: Vec<[String; 4]> = Vec::new();
    for (host, cards) in hosts {
        rows.extend(cards.iter().map(|card| row(host, card)));
        rows.extend(cards.is_empty().then(|| none(host)));
    }
    let titles = ["HOST", "CARD", "NAME", "VERDICT"].map(str::to_owned);
    let width = |column: usize| rows.iter().chain([&titles]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}  {}", cells.join("  "), row[3])
    };
    let mut text = format!("{}\n", paint(STRONG, line(&titles)));
    text.extend(rows.iter().map(|row| line(row) + "\n"));
    text
}
