//! The table of domains.

use super::style::{STRONG, paint};
use crate::passthrough::Assessment;

const WIDTH: usize = 80;

/// One line a domain: name, state, memory, processors, cards. The last column takes what is left of 80 columns.
pub fn domains(rows: &[[String; 5]]) -> String {
    if rows.is_empty() {
        return "No domain is defined.\n".to_owned();
    }
    let titles = ["NAME", "STATE", "MEMORY", "CPUS", "CARD"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().filter(|row| !row[column + 1].is_empty()).chain([&titles]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let left = WIDTH.saturating_sub(widths.iter().map(|width| width + 2).sum());
    let line = |row: &[String; 5]| {
        let cells: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{cells}{}", cut(&row[4], left)).trim_end().to_owned()
    };
    let mut text = format!("{}\n", paint(STRONG, line(&titles)));
    text.extend(rows.iter().map(|row| format!("{}\n", super::shown(&line(row)))));
    text
}

/// The name that people know a card by: pci.ids has it in brackets behind the name of the chip.
pub fn short_name(card: &Assessment) -> &str {
    let name = card.name.as_deref().unwrap_or("unknown graphics");
    let bracketed = name.strip_suffix(']').and_then(|name| name.rsplit_once('['));
    bracketed.map_or(name, |(_, short)| short)
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{start}…")
}
