//! Converts values to text for people and to JSON. These functions return text; only commands print.

mod checks;
mod diff;
mod explain;
mod findings;
mod imported;
mod list;
mod plan;
mod style;
mod svg;
mod table;
mod terminal;
mod topology;
mod wrap;

pub use checks::{Detail, checks};
pub use diff::diff;
pub use explain::reasons;
pub use findings::{finding, findings_json, json};
pub use imported::imported;
pub use list::{addresses, card_details, cards, env, env_values, functions, groups, host_json, hosts, usb};
pub use plan::{PlanView, edited, plan_json, undoing};
pub use style::shown;
pub use svg::svg;
pub use table::row;
pub use terminal::{plain, print, print_document, redrawn, redraws, tell};
pub use topology::{CardPlacement, TopologyView, topology};
