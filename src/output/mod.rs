//! Converts values to text for people and to JSON. These functions return text; only commands print.

mod cards;
mod checks;
mod diff;
mod findings;
mod host;
mod hosts;
mod imported;
mod json;
mod plan;
mod style;
mod svg;
mod terminal;
mod topology;

pub use cards::{addresses, cards, env, env_values};
pub use checks::{Detail, checks};
pub use diff::diff;
pub use findings::{finding, findings_json};
pub use host::{functions, groups, usb};
pub use hosts::hosts;
pub use imported::imported;
pub use json::{host_json, json};
pub use plan::{edited, plan, plan_json, undoing};
pub use style::shown;
pub use svg::svg;
pub use terminal::{plain, print, print_document, redrawn, redraws, tell};
pub use topology::{CardPlacement, TopologyView, topology};
