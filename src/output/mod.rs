//! Converts values to text for people and to JSON. These functions return text; only commands print.

mod checks;
mod diff;
mod findings;
mod imported;
mod list;
mod plan;
mod style;
mod svg;
mod terminal;
mod topology;

pub use checks::{Detail, checks};
pub use diff::diff;
pub use findings::{finding, findings_json, json};
pub use imported::{compared, imported};
pub use list::{addresses, cards, env, env_values, functions, groups, host_json, hosts, usb};
pub use plan::{edited, plan, plan_json, undoing};
pub use style::shown;
pub use svg::svg;
pub use terminal::{plain, print, print_document, redrawn, redraws, tell};
pub use topology::{CardPlacement, TopologyView, topology};
