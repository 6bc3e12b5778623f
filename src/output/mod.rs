//! Converts values to text for people and to JSON. These functions return text; only commands print.

mod checks;
mod colours;
mod diff;
mod document;
mod domains;
mod explain;
mod findings;
mod imported;
mod list;
mod measured;
mod measured_svg;
mod next;
mod plan;
mod progress;
mod reset;
mod style;
mod summary;
mod svg;
mod table;
mod terminal;
mod topology;
mod why;
mod wrap;

pub use checks::{Detail, checks};
pub use diff::{changes, diff};
pub use document::{Answer, Document, Envelope, Failure, Form, Outcome, SCHEMA};
pub use domains::{domains, short_name};
pub use explain::{iommufd, reasons};
pub use findings::finding;
pub use imported::{compared, imported};
pub use list::{
    CardsOfHost, Hosts, Listing, Variables, addresses, card_details, card_name, cards, env, functions, groups, hosts, shared_out, usb,
};
pub use measured::measured;
pub use measured_svg::measured_svg;
pub use next::next;
pub use plan::{PlanView, Planned, edited, undoing};
pub use progress::ProgressBar;
pub use reset::{identified, reset_plan};
pub use style::shown;
pub use summary::{picture, summary};
pub use svg::svg;
pub use table::row;
pub use terminal::{plain, print, print_document, print_document_or, redrawn, redraws, tell};
pub use topology::{CardPlacement, TopologyView, topology};
pub use why::why;
