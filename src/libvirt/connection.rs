//! A connection: what the commands ask of libvirt, through its bindings.

use std::cell::RefCell;

use anyhow::{Result, bail};
use vgapt::hypervisor::{Beside, Defined, Domains, Hypervisor, Known, Pools, Secrets, Snapshot, State, Unread};
use vgapt::model::Uri;
use vgapt::xml::{Document, Element};
use virt::connect::Connect;
use virt::domain::{Domain, DomainState};
use virt::domain_snapshot::DomainSnapshot;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::errors::explain;
use super::watch::Deadline;
use super::{capabilities, dropped, pool, watch};

struct Libvirt {
    connect: Connect,
    /// Behind the connection, so that it is dropped when that is closed.
    closing: RefCell<Option<Deadline>>,
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.closing.replace(Some(watch::deadline("closing the connection", watch::QUESTION)));
    }
}

/// Opens a connection to read and write.
pub(super) fn open(uri: &Uri) -> Result<Box<dyn Hypervisor>> {
    if uri.as_str().contains('\0') {
        bail!("the connection URI has a NUL byte in it");
    }
    if uri.as_str().starts_with("qemu:///embed") {
        run_event_loop()?;
    }
    let _deadline = watch::deadline("connecting", if uri.is_remote() { watch::REMOTE } else { watch::LOCAL });
    let connect = Connect::open(Some(uri.as_str())).map_err(|error| explain(&error, format!("cannot connect to {uri}")))?;
    Ok(Box::new(Libvirt { connect, closing: RefCell::default() }))
}

/// The embedded QEMU driver waits for events that nobody else delivers.
fn run_event_loop() -> Result<()> {
    virt::event::event_register_default_impl().map_err(|error| explain(&error, "cannot start libvirt's event loop"))?;
    std::thread::spawn(|| while virt::event::event_run_default_impl().is_ok() {});
    Ok(())
}

impl Libvirt {
    /// What QEMU can with a q35 machine, by KVM if it is there.
    fn capabilities(&self) -> Option<Document> {
        let text = self.connect.domain_capabilities(None, Some("x86_64"), Some("q35"), None, 0).ok()?;
        Document::parse(&text).ok()
    }

    fn domain(&self, name: &str) -> Result<Domain> {
        if name.contains('\0') {
            bail!("a domain's name has no NUL byte in it");
        }
        self.connect.lookup_domain_by_name(name).map_err(|error| explain(&error, format!("no domain '{name}'")))
    }
}

fn state_of(domain: &Domain) -> std::result::Result<State, Error> {
    let (state, _) = domain.state()?;
    Ok(match state {
        Enum::Known(DomainState::Paused | DomainState::PMSuspended) => State::Paused,
        Enum::Known(DomainState::Shutdown) => State::ShuttingDown,
        Enum::Known(DomainState::Shutoff) => State::ShutOff,
        Enum::Known(DomainState::Crashed) => State::Crashed,
        _ => State::Running,
    })
}

/// What is there and could not be read.
fn unread(name: std::result::Result<String, Error>, error: &Error) -> Unread {
    Unread { name: name.unwrap_or_else(|_| "one without a name".into()), because: error.message().to_owned() }
}

impl Hypervisor for Libvirt {
    fn driver(&self) -> Result<String> {
        let _deadline = watch::deadline("asking for its driver", watch::QUESTION);
        self.connect.driver_type().map_err(|error| explain(&error, "cannot ask for the driver"))
    }

    fn node_devices(&self) -> Result<Vec<String>> {
        let _deadline = watch::deadline("listing the host's devices", watch::QUESTION);
        let flags = sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV;
        let devices = self.connect.list_all_node_devices(flags).map_err(|error| explain(&error, "cannot list the host's devices"))?;
        let described = devices.iter().filter_map(|device| match device.xml_desc(0) {
            // It was unplugged between the listing and the question.
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoNodeDevice) => None,
            described => Some(described.map_err(|error| explain(&error, "cannot read one of the host's devices"))),
        });
        described.collect()
    }

    fn abilities(&self) -> vgapt::model::Libvirt {
        let _deadline = watch::deadline("asking what it can do", watch::QUESTION);
        let capabilities = self.capabilities();
        let version = self.connect.lib_version().ok().map(u64::from);
        capabilities::abilities(version, capabilities.as_ref().map(Document::root))
    }

    fn loaders(&self) -> Vec<String> {
        let _deadline = watch::deadline("asking for its firmware", watch::QUESTION);
        let Some(capabilities) = self.capabilities() else { return Vec::new() };
        let loader = capabilities.root().at("os/loader");
        loader.into_iter().flat_map(|loader| loader.children_named("value")).map(Element::text).map(str::to_owned).collect()
    }

    fn domain_xml(&self, name: &str, secrets: Secrets) -> Result<Option<String>> {
        let _deadline = watch::deadline("reading a domain", watch::QUESTION);
        let domain = match self.connect.lookup_domain_by_name(name) {
            Ok(domain) => domain,
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoDomain) => return Ok(None),
            Err(error) => return Err(explain(&error, format!("cannot look for the domain '{name}'"))),
        };
        let flags = match secrets {
            Secrets::Kept => sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE,
            Secrets::LeftOut => sys::VIR_DOMAIN_XML_INACTIVE,
        };
        domain.xml_desc(flags).map(Some).map_err(|error| explain(&error, format!("cannot read the XML of '{name}'")))
    }

    fn define(&self, xml: &str) -> Result<Defined> {
        let _deadline = watch::deadline("defining a domain", watch::QUESTION);
        match self.connect.define_domain_xml_flags(xml, sys::VIR_DOMAIN_DEFINE_VALIDATE) {
            Ok(_) => Ok(Defined::Yes),
            Err(error) if error.code() == Enum::Known(ErrorNumber::XmlInvalidSchema) => {
                Ok(Defined::SchemaRefuses(error.message().to_owned()))
            }
            Err(error) => Err(explain(&error, "libvirt refuses the domain")),
        }
    }

    fn define_unchecked(&self, xml: &str) -> Result<()> {
        let _deadline = watch::deadline("defining a domain", watch::QUESTION);
        self.connect.define_domain_xml(xml).map(drop).map_err(|error| explain(&error, "libvirt refuses the domain"))
    }

    fn state(&self, name: &str) -> Result<State> {
        let _deadline = watch::deadline("asking for a domain's state", watch::QUESTION);
        state_of(&self.domain(name)?).map_err(|error| explain(&error, format!("cannot ask what '{name}' is doing")))
    }

    fn domains(&self) -> Result<Domains> {
        let _deadline = watch::deadline("listing the domains", watch::QUESTION);
        let domains = self.connect.list_all_domains(0).map_err(|error| explain(&error, "cannot list the domains"))?;
        let known = |domain: &Domain| -> std::result::Result<Known, Error> {
            let state = state_of(domain)?;
            let mut xml = vec![domain.xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)?];
            if state.is_active() {
                xml.push(domain.xml_desc(0)?);
            }
            Ok(Known { name: domain.name()?, state, xml })
        };
        let mut all = Domains::default();
        for domain in &domains {
            match known(domain) {
                Ok(domain) => all.known.push(domain),
                // It was undefined between the listing and the question.
                Err(error) if error.code() == Enum::Known(ErrorNumber::NoDomain) => {}
                Err(error) => all.unread.push(unread(domain.name(), &error)),
            }
        }
        all.known.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    fn networks(&self) -> Option<Vec<(String, bool)>> {
        let _deadline = watch::deadline("listing the networks", watch::QUESTION);
        let networks = self.connect.list_all_networks(0).ok()?;
        // One whose name or state cannot be asked for is as good as not known at all.
        networks.iter().map(|network| Some((network.name().ok()?, network.is_active().ok()?))).collect()
    }

    fn pools(&self) -> Result<Pools> {
        let _deadline = watch::deadline("listing the storage pools", watch::QUESTION);
        let pools = match self.connect.list_all_storage_pools(0) {
            Ok(pools) => pools,
            // A driver without storage has no pools.
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoSupport) => return Ok(Pools::default()),
            Err(error) => return Err(explain(&error, "cannot list the storage pools")),
        };
        let mut all = Pools::default();
        for pool in &pools {
            match pool::read(pool) {
                Ok((known, incomplete)) => {
                    all.unread.extend(incomplete.map(|because| Unread { name: known.name.clone(), because }));
                    all.known.push(known);
                }
                // It was undefined meanwhile.
                Err(error) if error.code() == Enum::Known(ErrorNumber::NoStoragePool) => {}
                Err(error) => all.unread.push(unread(pool.name(), &error)),
            }
        }
        Ok(all)
    }

    fn native(&self, xml: &str) -> Result<String> {
        let _deadline = watch::deadline("translating a domain", watch::QUESTION);
        self.connect
            .domain_xml_to_native("qemu-argv", xml, 0)
            .map_err(|error| explain(&error, "libvirt does not turn the domain into QEMU's options"))
    }

    fn start(&self, name: &str, paused: bool) -> Result<()> {
        let _deadline = watch::deadline("starting a domain", watch::START);
        let domain = self.domain(name)?;
        let started = if paused { domain.create_with_flags(sys::VIR_DOMAIN_START_PAUSED) } else { domain.create() };
        started.map_err(|error| explain(&error, format!("'{name}' does not start")))
    }

    fn autostart(&self, name: &str) -> Result<bool> {
        let _deadline = watch::deadline("asking for a domain's autostart", watch::QUESTION);
        self.domain(name)?.autostart().map_err(|error| explain(&error, format!("cannot ask whether '{name}' starts with the host")))
    }

    fn set_autostart(&self, name: &str, wanted: bool) -> Result<()> {
        let _deadline = watch::deadline("setting a domain's autostart", watch::QUESTION);
        let what = if wanted { "cannot be started with the host" } else { "cannot be kept from starting with the host" };
        self.domain(name)?.set_autostart(wanted).map_err(|error| explain(&error, format!("'{name}' {what}")))
    }

    fn agent_answers(&self, name: &str) -> bool {
        let _deadline = watch::deadline("asking the guest's agent", watch::QUESTION);
        self.domain(name).is_ok_and(|domain| domain.time(0).is_ok())
    }

    fn leases(&self, name: &str) -> Option<Vec<String>> {
        let _deadline = watch::deadline("asking for addresses", watch::QUESTION);
        let interfaces = self.domain(name).ok()?.interface_addresses(sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, 0).ok()?;
        Some(interfaces.into_iter().flat_map(|interface| interface.addrs).map(|address| address.addr).collect())
    }

    fn shut_down(&self, name: &str) -> Result<()> {
        let _deadline = watch::deadline("asking a guest to shut down", watch::STOP);
        self.domain(name)?.shutdown().map_err(|error| explain(&error, format!("'{name}' cannot be asked to shut down")))
    }

    fn destroy(&self, name: &str) -> Result<()> {
        let _deadline = watch::deadline("stopping a domain", watch::STOP);
        self.domain(name)?.destroy().map_err(|error| explain(&error, format!("'{name}' cannot be stopped")))
    }

    fn beside(&self, name: &str) -> Result<Beside> {
        let domain = self.domain(name)?;
        let read = || -> std::result::Result<Beside, Error> {
            let snapshots = domain.list_all_snapshots(0)?;
            let known = |snapshot: &DomainSnapshot| Ok(Snapshot { name: snapshot.name()?, xml: snapshot.xml_desc(0)? });
            let snapshots: std::result::Result<Vec<Snapshot>, Error> = snapshots.iter().map(known).collect();
            Ok(Beside { is_saved: domain.has_managed_save(0)?, snapshots: snapshots? })
        };
        read().map_err(|error| explain(&error, format!("cannot ask what libvirt keeps of '{name}'")))
    }

    fn undefine(&self, name: &str) -> Result<()> {
        let _deadline = watch::deadline("undefining a domain", watch::QUESTION);
        let domain = self.domain(name)?;
        let state = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
        let not_known = |error: &Error| error.code() == Enum::Known(ErrorNumber::InvalidArg);
        let undefined = match domain.undefine_flags(state | sys::VIR_DOMAIN_UNDEFINE_NVRAM) {
            // The test driver has no firmware variables, and no flag for them.
            Err(error) if not_known(&error) => domain.undefine_flags(state),
            result => result,
        };
        undefined.map_err(|error| explain(&error, format!("'{name}' cannot be undefined")))
    }

    fn dropped(&self, xml: &str) -> Option<Vec<String>> {
        dropped::by_parser(xml)
    }
}
