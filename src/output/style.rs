//! Colours. They are taken out again where the output is no terminal.

use anstyle::{AnsiColor, Style};

/// What is looked for first.
pub(super) const STRONG: Style = Style::new().bold();
/// Fine.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Take care.
pub(super) const CARE: Style = AnsiColor::Yellow.on_default();
/// In the way.
pub(super) const BAD: Style = AnsiColor::Red.on_default();
/// Less important.
pub(super) const FAINT: Style = Style::new().dimmed();

/// A text in a style.
pub(super) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
