//! Converts values to text for people and to JSON. These functions return text; only commands print.

mod checks;
mod diff;
mod document;
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
pub use document::{Answer, Document, Envelope, Failure, Form, Outcome, SCHEMA};
pub use findings::finding;
pub use imported::imported;
pub use list::{CardsOfHost, Hosts, Listing, Variables, addresses, cards, env, functions, groups, hosts, usb};
pub use plan::{Planned, edited, plan, undoing};
pub use style::shown;
pub use svg::svg;
pub use terminal::{plain, print, print_document, redrawn, redraws, tell};
pub use topology::{CardPlacement, TopologyView, topology};
