//! The table of domains.

use super::style::shown;
use super::table::table;
use crate::passthrough::Assessment;

/// One line a domain: name, state, memory, processors, cards.
pub fn domains(rows: &[[String; 5]]) -> String {
    if rows.is_empty() {
        return "No domain is defined.\n".to_owned();
    }
    let rows: Vec<[String; 5]> = rows.iter().map(|row| row.each_ref().map(|cell| shown(cell).into_owned())).collect();
    table(["NAME", "STATE", "MEMORY", "CPUS", "CARD"], &rows)
}

/// The name that people know a card by: pci.ids has it in brackets behind the name of the chip.
pub fn short_name(card: &Assessment) -> &str {
    let name = card.name.as_deref().unwrap_or("unknown graphics");
    let bracketed = name.strip_suffix(']').and_then(|name| name.rsplit_once('['));
    bracketed.map_or(name, |(_, short)| short)
}
