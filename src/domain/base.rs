//! The input of a definition: the present domain, its record and the request.

use super::profile::file::Profile;
use super::record::Record;
use super::request::Request;
use super::request::without::Without;
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
    /// Whether devices that have another address now are to be found there.
    pub follows_moved: bool,
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

/// What a definition starts from, before the request.
#[derive(Debug)]
pub struct Origin<'a> {
    /// The template, or the existing domain.
    pub domain: Document,
    /// The domain's name.
    pub name: &'a str,
    /// The URI of its libvirt, for the remedies.
    pub uri: &'a str,
    /// Present if the domain is created from a template.
    pub new: Option<NewDomain>,
}

/// What only a domain has that is created.
#[derive(Debug, Default)]
pub struct NewDomain {
    /// The UUID to keep, if the domain replaces one of the same name.
    pub uuid: Option<String>,
    /// The guest system; `None` for the user's template without a named system.
    pub profile: Option<&'static Profile>,
}

impl Base {
    /// To define or change a domain: the last request is overridden by `given`. Without a last request, the guide's
    /// variables are the defaults.
    pub fn define(origin: Origin<'_>, given: &Request, variables: &Request) -> Self {
        Self::new(origin, Purpose::Define, variables, |last| last.overlaid_by(given))
    }

    /// The same, with the recorded devices where they are now.
    #[must_use]
    pub fn following_moved(self) -> Self {
        Self { follows_moved: true, ..self }
    }

    /// To add devices: what was attached before stays.
    pub fn attach(origin: Origin<'_>, devices: &Request) -> Self {
        Self::new(origin, Purpose::Attach, &Request::default(), |last| Request {
            gpu: both(&last.gpu, &devices.gpu),
            pci: both(&last.pci, &devices.pci),
            usb: both(&last.usb, &devices.usb),
            ..last.overlaid_by(devices)
        })
    }

    /// To remove the devices that were added.
    pub fn detach(origin: Origin<'_>) -> Self {
        let without = Without { no_gpu: true, no_pci: true, no_usb: true, ..Without::default() };
        let nothing = Request { without, ..Request::default() };
        Self::new(origin, Purpose::Detach, &Request::default(), |last| last.overlaid_by(&nothing))
    }

    /// What is wanted follows from the last request; without one, from `defaults`.
    fn new(origin: Origin<'_>, purpose: Purpose, defaults: &Request, wanted: impl FnOnce(&Request) -> Request) -> Self {
        let record = Record::of(&origin.domain);
        let unreadable = record.unknown().map(str::to_owned);
        let last = record.known();
        let wanted = wanted(last.as_ref().map_or(defaults, |last| &last.request));
        let is_new = origin.new.is_some();
        let NewDomain { uuid, profile } = origin.new.unwrap_or_default();
        let (name, uri) = (origin.name.to_owned(), origin.uri.to_owned());
        Self { domain: origin.domain, is_new, name, uuid, profile, purpose, uri, last, unreadable, wanted, follows_moved: false }
    }

    /// Whether the domain exists and was not defined by vgapt, so that `detach` can remove what vgapt adds.
    pub(crate) fn is_unmanaged(&self) -> bool {
        self.last.as_ref().map_or(!self.is_new, |last| last.attached)
    }

    /// What makes vgapt replace pins that somebody else made or changed: an option counts where it was not given before.
    pub(crate) fn option_that_pins(&self) -> &'static str {
        let was_asked = self.last.as_ref().is_some_and(|last| last.request.tuning.pin);
        if was_asked { "--no-pin and then --pin" } else { "--pin" }
    }

    /// Whether an option differs from the last request.
    pub(crate) fn differs<T: PartialEq>(&self, option: impl Fn(&Request) -> T) -> bool {
        let last = self.last.as_ref().map_or_else(|| option(&Request::default()), |record| option(&record.request));
        option(&self.wanted) != last
    }
}

fn both<T: Clone + PartialEq>(before: &[T], given: &[T]) -> Vec<T> {
    before.iter().chain(given.iter().filter(|one| !before.contains(one))).cloned().collect()
}
