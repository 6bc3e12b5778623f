//! Determines what libvirt's schema refuses, and which elements libvirt would drop. libvirt's test driver, which runs in
//! this process, parses the XML; elements that are missing from its output are unknown to libvirt.

use vgapt::xml::{Document, Element};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::ErrorNumber;

use super::missing::missing;

/// A name that no domain of the test driver uses.
const PROBE: &str = "vgapt-probe";
/// The test driver; its state is discarded with the last connection to it.
const SCRATCH: &str = "test:///default";

/// Whether libvirt's schema accepts the XML, else libvirt's error message; `None` if the schema cannot be checked.
pub(super) fn by_schema(xml: &str) -> Option<Result<(), String>> {
    let connect = Connect::open(Some(SCRATCH)).ok()?;
    match connect.define_domain_xml_flags(&probe(xml)?.to_string(), virt::sys::VIR_DOMAIN_DEFINE_VALIDATE) {
        Err(error) if error.code() == Enum::Known(ErrorNumber::XmlInvalidSchema) => Some(Err(error.message().to_owned())),
        Ok(probe) => {
            forget(&probe);
            Some(Ok(()))
        }
        // libvirt checks the schema first. Other errors come from the test driver; the real driver may accept the XML.
        Err(_) => Some(Ok(())),
    }
}

/// Removes the domain: a connection of this process to the same test driver shares its state, and its UUID.
fn forget(probe: &Domain) {
    let _ = probe.undefine();
}

/// The domain under a name that the test driver does not use.
fn probe(xml: &str) -> Option<Document> {
    let mut given = Document::parse(xml).ok()?;
    if let Some(name) = given.root().child("name").map(Element::id) {
        given.set_text(name, PROBE);
    }
    Some(given)
}

/// The elements and attributes that libvirt's parser drops; `None` where it refuses the whole XML.
pub(super) fn by_parser(xml: &str) -> Option<Vec<String>> {
    let given = probe(xml)?;
    let come_back = || -> Option<Document> {
        let connect = Connect::open(Some(SCRATCH)).ok()?;
        let domain = connect.define_domain_xml(&given.to_string()).ok()?;
        let text = domain.xml_desc(virt::sys::VIR_DOMAIN_XML_INACTIVE | virt::sys::VIR_DOMAIN_XML_SECURE).ok();
        forget(&domain);
        let text = text?;
        Document::parse(&text).ok()
    };
    come_back().map(|back| missing(given.root(), back.root()))
}
