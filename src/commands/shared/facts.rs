//! What is read, before a domain is defined or started, of the host and of its other domains.

use anyhow::Result;

use super::context::Context;
use crate::discovery::{self, Scope};
use crate::domain::{self, Base, DiskPaths, OtherDomain};
use crate::hypervisor::Hypervisor;
use crate::model::{Files, Finding, Firmware, Host, Libvirt};
use crate::root::Root;
use crate::xml::Document;

/// Everything that a definition depends on, besides its base.
pub(in crate::commands) struct Facts {
    /// The root of the host's files; `None` where only libvirt describes the host.
    pub(in crate::commands) root: Option<Root>,
    pub(in crate::commands) host: Host,
    pub(in crate::commands) files: Files,
    pub(in crate::commands) libvirt: Libvirt,
    pub(in crate::commands) other_domains: Vec<OtherDomain>,
    /// Hooks that vgapt does not manage and that conflict with its own.
    pub(in crate::commands) other_hooks: Vec<Finding>,
}

impl Facts {
    /// Reads them for a domain that gets devices or changes; `disks`: further images to look at.
    pub(in crate::commands) fn read(context: &Context, connection: &dyn Hypervisor, base: &Base, disks: Vec<String>) -> Result<Self> {
        let root = context.root()?;
        let other_domains = other_domains(connection, &base.name)?;
        let host = Host { neighbours: domain::neighbours(&other_domains), ..context.host(root.as_ref(), Scope::All)? };
        let paths = [base.wanted.files(), disks].concat();
        Ok(Self {
            host,
            files: files(root.as_ref(), connection, &paths)?,
            libvirt: connection.abilities()?,
            other_domains,
            other_hooks: root.as_ref().map(|root| discovery::other_hooks(root, Some(&base.name))).unwrap_or_default(),
            root,
        })
    }

    /// Reads them where libvirt does not answer: its abilities, networks and domains stay unknown.
    pub(in crate::commands) fn without_libvirt(context: &Context, base: &Base) -> Result<Self> {
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::All)?;
        let files = root.as_ref().map(|root| discovery::files(root, &base.wanted.files())).unwrap_or_default();
        let other_hooks = root.as_ref().map(|root| discovery::other_hooks(root, Some(&base.name))).unwrap_or_default();
        Ok(Self { root, host, files, libvirt: Libvirt::default(), other_domains: Vec::new(), other_hooks })
    }

    /// Reads only the devices: a domain that loses devices cannot come into conflict with anything.
    pub(in crate::commands) fn of_devices(context: &Context, connection: &dyn Hypervisor) -> Result<Self> {
        let root = context.root()?;
        let host = context.host(root.as_ref(), Scope::Devices)?;
        let (files, libvirt) = (Files::default(), connection.abilities()?);
        Ok(Self { root, host, files, libvirt, other_domains: Vec::new(), other_hooks: Vec::new() })
    }

    pub(in crate::commands) fn disk_paths(&self) -> HostPaths<'_> {
        HostPaths(self.root.as_ref())
    }
}

/// What the host's files show of disks, firmware and networks; of a remote host only the firmware images that libvirt
/// reports.
pub(in crate::commands) fn files(root: Option<&Root>, connection: &dyn Hypervisor, paths: &[String]) -> Result<Files> {
    if let Some(root) = root {
        let files = discovery::files(root, paths);
        let pools = if files.facts.iter().any(|facts| !facts.names.is_empty()) { pool_folders(root, connection) } else { Vec::new() };
        return Ok(Files { networks: connection.networks()?, pools, ..files });
    }
    let pairs = connection.loaders()?.into_iter().filter_map(|code| Some((domain::matching_vars(&code)?, code)));
    let secure = |code: &str| code.contains("secboot") || code.contains(".ms.") || code.contains("snakeoil");
    let format = |code: &str| if code.ends_with(".qcow2") { "qcow2" } else { "raw" };
    let firmwares = pairs.map(|(vars, code)| Firmware {
        format: format(&code).to_owned(),
        secure_boot: secure(&code),
        has_keys: code.contains(".ms."),
        vars,
        code,
    });
    Ok(Files { firmwares: firmwares.collect(), networks: connection.networks()?, uses: discovery::uses(None), ..Files::default() })
}

/// The folders of libvirt's storage pools. A disk's header may not name a file in a pool that is unknown here.
fn pool_folders(root: &Root, connection: &dyn Hypervisor) -> Vec<String> {
    let targets = connection.pools().map(|pools| pools.known).unwrap_or_default().into_iter().filter_map(|pool| pool.target);
    targets.map(|target| root.real_path(&target).unwrap_or(target)).collect()
}

/// The other domains, also those that libvirt lists but cannot describe.
pub(in crate::commands) fn other_domains(connection: &dyn Hypervisor, name: &str) -> Result<Vec<OtherDomain>> {
    let domains = connection.domains()?;
    let documents = |xml: &[String]| xml.iter().map(|text| Document::parse(text)).collect();
    let known = domains.known.into_iter().map(|known| OtherDomain {
        documents: documents(&known.xml),
        is_running: known.state.is_active(),
        name: known.name,
    });
    let unread =
        domains.unread.into_iter().map(|unread| OtherDomain { documents: vec![Err(unread.because)], is_running: false, name: unread.name });
    Ok(known.chain(unread).filter(|other| other.name != name).collect())
}

/// The host's files, as far as they can be read from here.
pub(in crate::commands) struct HostPaths<'r>(pub(in crate::commands) Option<&'r Root>);

impl DiskPaths for HostPaths<'_> {
    fn real(&self, path: &str) -> String {
        self.0.and_then(|root| root.real_path(path)).unwrap_or_else(|| path.to_owned())
    }

    fn identity(&self, path: &str) -> Option<String> {
        // A file that cannot be read is compared by its path.
        self.0.and_then(|root| root.identity(path).known())
    }

    fn below(&self, path: &str) -> (Vec<String>, Option<String>) {
        // Headers cannot be read on a remote host or in a capture; that is reported for the domain's own files.
        self.0.filter(|root| !root.is_capture()).map(|root| discovery::backing_chain(root, path)).unwrap_or_default()
    }
}
