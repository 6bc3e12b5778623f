//! The input of a definition: the present domain, its record and the request.

use super::profile::file::Profile;
use super::record::Record;
use super::request::Request;
use crate::model::Uri;
use crate::xml::Document;

/// The base of a definition.
#[derive(Debug)]
pub struct Base {
    /// The template, or the existing domain.
    pub domain: Document,
    /// Whether the domain is created from a template; else it exists and is changed.
    pub is_new: bool,
    /// Its name.
    pub name: String,
    /// The UUID to keep, if the domain replaces one of the same name.
    pub uuid: Option<String>,
    /// The guest system of a new domain that is created from one of vgapt's templates or with a named
    /// system.
    pub profile: Option<&'static Profile>,
    /// The operation.
    pub purpose: Purpose,
    /// The URI of its libvirt, for the remedies.
    pub uri: String,
    /// vgapt's record in the metadata.
    pub last: Option<Record>,
    /// Why the record cannot be read; then nothing may be written.
    pub unreadable: Option<String>,
    /// The last request, overridden by the present one.
    pub wanted: Request,
}

/// The operation that a definition serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Define or change a domain.
    Define,
    /// Add devices to a domain that vgapt did not define.
    Attach,
    /// Remove these devices again.
    Detach,
}

impl Base {
    /// A base, with the last request overridden by `given`. Without a last request, the guide's variables are the
    /// defaults.
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

    /// Whether the domain exists and was not defined by vgapt, so that `detach` can remove what vgapt adds.
    pub(crate) fn is_unmanaged(&self) -> bool {
        self.last.as_ref().map_or(!self.is_new, |last| last.attached)
    }

    /// Whether an option differs from the last request.
    pub(crate) fn differs<T: PartialEq>(&self, option: impl Fn(&Request) -> T) -> bool {
        let last = self.last.as_ref().map_or_else(|| option(&Request::default()), |record| option(&record.request));
        option(&self.wanted) != last
    }
}
