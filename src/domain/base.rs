//! What a definition starts from.

use super::profile::file::Profile;
use super::record::Record;
use super::request::Request;
use crate::model::Uri;
use crate::xml::Document;

/// What a definition starts from.
#[derive(Debug)]
pub struct Base {
    /// The template, or the domain as it is.
    pub domain: Document,
    /// Whether the domain is made anew; else it is there, and what it has is kept.
    pub is_new: bool,
    /// Its name.
    pub name: String,
    /// The UUID that a domain made anew under its name keeps.
    pub uuid: Option<String>,
    /// The guest system that a domain made anew is for, where it is made from a template of vgapt's
    /// or the system was named.
    pub profile: Option<&'static Profile>,
    /// What it is for.
    pub purpose: Purpose,
    /// The libvirt that it is for, as the remedies name it.
    pub uri: String,
    /// What the metadata remembers.
    pub last: Option<Record>,
    /// Why that cannot be read; then nothing may be written.
    pub unreadable: Option<String>,
    /// What the domain is to have: the request over the last one.
    pub wanted: Request,
}

/// What a definition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A domain of vgapt's.
    Define,
    /// Devices for a domain of somebody else's.
    Attach,
    /// These out again.
    Detach,
}

impl Base {
    /// A base, with the request laid over what was asked for last. The guide's variables count
    /// where nothing was asked for yet.
    pub fn new(domain: Document, is_new: bool, name: &str, given: &Request, variables: &Request) -> Self {
        let record = Record::of(&domain);
        let unreadable = record.unknown().map(str::to_owned);
        let last = record.known();
        let before = last.as_ref().map_or(variables, |record| &record.request);
        let wanted = before.overlaid_by(given);
        Self {
            domain,
            is_new,
            name: name.to_owned(),
            uuid: None,
            profile: None,
            purpose: Purpose::Define,
            uri: Uri::DEFAULT.to_owned(),
            last,
            unreadable,
            wanted,
        }
    }

    /// Whether the domain is there and somebody else made it: what vgapt puts in can be taken out again.
    pub(crate) fn is_foreign(&self) -> bool {
        self.last.as_ref().map_or(!self.is_new, |last| last.attached)
    }

    /// Whether an option says another thing than the last request did.
    pub(crate) fn differs<T: PartialEq>(&self, option: impl Fn(&Request) -> T) -> bool {
        let last = self.last.as_ref().map_or_else(|| option(&Request::default()), |record| option(&record.request));
        option(&self.wanted) != last
    }
}
