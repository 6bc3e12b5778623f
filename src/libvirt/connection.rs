//! A connection to libvirt, through its Rust bindings.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use vgapt::hypervisor::{
    Defined, Domains, GuestAddress, Hypervisor, Known, LibvirtError, Pools, SavedData, Secrets, Snapshot, State, Unread,
};
use vgapt::model::Uri;
use vgapt::xml::Document;
use virt::connect::Connect;
use virt::domain::{Domain, DomainState, Interface};
use virt::domain_snapshot::DomainSnapshot;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt::sys;

use super::{capabilities, dropped, pool};

struct Libvirt {
    connect: Connect,
    is_remote: bool,
}

/// libvirt's error, with what was being done.
fn explain(error: &Error, doing: impl Into<String>) -> anyhow::Error {
    let said = LibvirtError { message: error.message().to_owned(), code: error.code().to_raw(), domain: error.domain().to_raw() };
    anyhow::Error::new(said).context(doing.into())
}

/// Opens a connection, with libvirt's function for the access that is needed.
pub(super) fn open(uri: &Uri, open: fn(Option<&str>) -> std::result::Result<Connect, Error>) -> Result<Box<dyn Hypervisor>> {
    if uri.as_str().contains('\0') {
        bail!("the connection URI contains a NUL byte");
    }
    if uri.as_str().starts_with("qemu:///embed") {
        run_event_loop()?;
    }
    let connect = open(Some(uri.as_str())).map_err(|error| explain(&error, format!("cannot connect to {uri}")))?;
    Ok(Box::new(Libvirt { connect, is_remote: uri.is_remote() }))
}

/// The embedded QEMU driver needs an event loop in this process.
fn run_event_loop() -> Result<()> {
    virt::event::event_register_default_impl().map_err(|error| explain(&error, "cannot start libvirt's event loop"))?;
    let events = std::thread::Builder::new().spawn(|| while virt::event::event_run_default_impl().is_ok() {});
    events.map(drop).context("cannot start a thread for libvirt's event loop")
}

impl Libvirt {
    /// The capabilities of QEMU for a q35 machine, with KVM if it is available.
    fn capabilities(&self) -> Option<Document> {
        let text = self.connect.domain_capabilities(None, Some("x86_64"), Some("q35"), None, 0).ok()?;
        Document::parse(&text).ok()
    }

    fn define_as_read(&self, name: &str, before: Option<&str>, xml: &str, flags: sys::virDomainDefineFlags) -> Result<Defined> {
        if self.domain_xml(name, Secrets::Included)?.as_deref() != before {
            return Ok(Defined::Changed);
        }
        match self.connect.define_domain_xml_flags(xml, flags) {
            Ok(_) => Ok(Defined::Yes),
            Err(error) if error.code() == Enum::Known(ErrorNumber::XmlInvalidSchema) => {
                Ok(Defined::SchemaRefuses(error.message().to_owned()))
            }
            Err(error) => Err(explain(&error, "libvirt refuses the domain")),
        }
    }

    fn domain(&self, name: &str) -> Result<Domain> {
        if name.contains('\0') {
            bail!("a domain's name must not contain a NUL byte");
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

/// Something that exists but could not be read.
fn unread(name: std::result::Result<String, Error>, error: &Error) -> Unread {
    Unread { name: name.unwrap_or_else(|_| "one without a name".into()), because: error.message().to_owned() }
}

impl Hypervisor for Libvirt {
    fn driver(&self) -> Result<String> {
        self.connect.driver_type().map_err(|error| explain(&error, "cannot ask for the driver"))
    }

    fn node_devices(&self) -> Result<Vec<String>> {
        let flags = sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV | sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV;
        let devices = self.connect.list_all_node_devices(flags).map_err(|error| explain(&error, "cannot list the host's devices"))?;
        let described = devices.iter().filter_map(|device| match device.xml_desc(0) {
            // It was unplugged between the listing and the question.
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoNodeDevice) => None,
            described => Some(described.map_err(|error| explain(&error, "cannot read one of the host's devices"))),
        });
        described.collect()
    }

    fn abilities(&self) -> Result<vgapt::model::Libvirt> {
        let capabilities = self.capabilities();
        let version = self.connect.lib_version().ok().map(u64::from);
        Ok(capabilities::abilities(version, capabilities.as_ref().map(Document::root)))
    }

    fn qemu_version(&self) -> Result<Option<u64>> {
        Ok(self.connect.hyp_version().ok().map(u64::from))
    }

    fn loaders(&self) -> Result<Vec<String>> {
        let Some(capabilities) = self.capabilities() else { return Ok(Vec::new()) };
        Ok(capabilities::loaders(capabilities.root()))
    }

    fn domain_xml(&self, name: &str, secrets: Secrets) -> Result<Option<String>> {
        let domain = match self.connect.lookup_domain_by_name(name) {
            Ok(domain) => domain,
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoDomain) => return Ok(None),
            Err(error) => return Err(explain(&error, format!("cannot look for the domain '{name}'"))),
        };
        let flags = match secrets {
            Secrets::Included => sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE,
            Secrets::LeftOut => sys::VIR_DOMAIN_XML_INACTIVE,
        };
        domain.xml_desc(flags).map(Some).map_err(|error| explain(&error, format!("cannot read the XML of '{name}'")))
    }

    fn schema(&self, xml: &str) -> Result<Option<String>> {
        // The local schema does not apply to libvirt on another host.
        Ok(dropped::by_schema(xml).filter(|_| !self.is_remote).and_then(Result::err))
    }

    fn define(&self, name: &str, before: Option<&str>, xml: &str) -> Result<Defined> {
        // The local schema does not apply to libvirt on another host.
        match dropped::by_schema(xml).filter(|_| !self.is_remote) {
            Some(Ok(())) => self.define_as_read(name, before, xml, 0),
            Some(Err(words)) => Ok(Defined::SchemaRefuses(words)),
            None => self.define_as_read(name, before, xml, sys::VIR_DOMAIN_DEFINE_VALIDATE),
        }
    }

    fn define_unchecked(&self, name: &str, before: Option<&str>, xml: &str) -> Result<Defined> {
        self.define_as_read(name, before, xml, 0)
    }

    fn state(&self, name: &str) -> Result<State> {
        state_of(&self.domain(name)?).map_err(|error| explain(&error, format!("cannot read the state of '{name}'")))
    }

    fn domains(&self) -> Result<Domains> {
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

    fn networks(&self) -> Result<Option<Vec<(String, bool)>>> {
        let Ok(networks) = self.connect.list_all_networks(0) else { return Ok(None) };
        // If the name or the state of one network is unknown, the list is unknown.
        Ok(networks.iter().map(|network| Some((network.name().ok()?, network.is_active().ok()?))).collect())
    }

    fn pools(&self) -> Result<Pools> {
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
        self.connect
            .domain_xml_to_native("qemu-argv", xml, 0)
            .map_err(|error| explain(&error, "libvirt cannot convert the domain to QEMU's options"))
    }

    fn start(&self, name: &str, paused: bool) -> Result<()> {
        let domain = self.domain(name)?;
        let started = if paused { domain.create_with_flags(sys::VIR_DOMAIN_START_PAUSED) } else { domain.create() };
        started.map_err(|error| explain(&error, format!("cannot start '{name}'")))
    }

    fn autostart(&self, name: &str) -> Result<bool> {
        self.domain(name)?.autostart().map_err(|error| explain(&error, format!("cannot read the autostart setting of '{name}'")))
    }

    fn set_autostart(&self, name: &str, wanted: bool) -> Result<()> {
        let what = if wanted { "cannot be set to start with the host" } else { "cannot be set not to start with the host" };
        self.domain(name)?.set_autostart(wanted).map_err(|error| explain(&error, format!("'{name}' {what}")))
    }

    fn guest_time(&self, name: &str) -> Result<Option<Duration>> {
        let Ok((seconds, nanoseconds)) = self.domain(name)?.time(0) else { return Ok(None) };
        // A guest whose clock is before 1970 has no time to speak of.
        let since_1970 = |seconds| Some(Duration::new(seconds, u32::try_from(nanoseconds).ok()?));
        Ok(u64::try_from(seconds).map_or(None, since_1970))
    }

    fn leases(&self, name: &str) -> Result<Option<Vec<String>>> {
        let interfaces = self.domain(name)?.interface_addresses(sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, 0).ok();
        let addresses = |interfaces: Vec<Interface>| interfaces.into_iter().flat_map(|one| one.addrs).map(|one| one.addr).collect();
        Ok(interfaces.map(addresses))
    }

    fn addresses(&self, name: &str, has_agent: bool) -> Result<Option<Vec<GuestAddress>>> {
        let domain = self.domain(name)?;
        let sources = [
            ("lease", Some(sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE)),
            // An agent that is not connected would be waited for.
            ("agent", has_agent.then_some(sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)),
            ("arp", Some(sys::VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)),
        ];
        let mut all: Option<Vec<GuestAddress>> = None;
        for (source, flag) in sources.into_iter().filter_map(|(source, flag)| Some((source, flag?))) {
            // A source that the driver or the domain does not have knows nothing.
            let Ok(interfaces) = domain.interface_addresses(flag, 0) else { continue };
            let known = all.get_or_insert_default();
            for address in interfaces.into_iter().flat_map(|one| one.addrs).map(|one| one.addr) {
                let is_loopback = address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
                if !is_loopback && !known.iter().any(|other| other.address == address) {
                    known.push(GuestAddress { address, source: source.to_owned() });
                }
            }
        }
        Ok(all)
    }

    fn shut_down(&self, name: &str) -> Result<()> {
        self.domain(name)?.shutdown().map_err(|error| explain(&error, format!("'{name}' cannot be asked to shut down")))
    }

    fn destroy(&self, name: &str) -> Result<()> {
        self.domain(name)?.destroy().map_err(|error| explain(&error, format!("'{name}' cannot be stopped")))
    }

    fn beside(&self, name: &str) -> Result<SavedData> {
        let domain = self.domain(name)?;
        let read = || -> std::result::Result<SavedData, Error> {
            let snapshots = domain.list_all_snapshots(0)?;
            let known = |snapshot: &DomainSnapshot| Ok(Snapshot { name: snapshot.name()?, xml: snapshot.xml_desc(0)? });
            let snapshots: std::result::Result<Vec<Snapshot>, Error> = snapshots.iter().map(known).collect();
            Ok(SavedData { is_saved: domain.has_managed_save(0)?, snapshots: snapshots? })
        };
        read().map_err(|error| explain(&error, format!("cannot read the managed save and snapshots of '{name}'")))
    }

    fn undefine(&self, name: &str) -> Result<()> {
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

    fn dropped(&self, xml: &str) -> Result<Option<Vec<String>>> {
        Ok(dropped::by_parser(xml))
    }
}
