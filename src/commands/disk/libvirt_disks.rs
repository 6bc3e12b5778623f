//! What libvirt knows of disk images: the disks of domains and of their snapshots, and storage pools.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::super::Context;
use crate::disk::{self, DiskUse, directory, same_file};
use crate::domain_xml::{self, Drive, Source};
use crate::hypervisor::{Hypervisor, Known, Pool};
use crate::xml::Document;

/// What libvirt knows of disk images.
#[derive(Default)]
pub(super) struct LibvirtDisks {
    /// The domains with their disks.
    pub(super) domains: Vec<(Known, Vec<(DiskUse, PathBuf)>)>,
    /// The images that snapshots of domains name.
    in_snapshots: Vec<PathBuf>,
    /// The storage pools.
    pub(super) pools: Vec<Pool>,
    /// Domains or disks that are unknown, with the reasons.
    pub(super) unknown_domains: Vec<String>,
    /// Storage pools that are unknown, with the reasons.
    pub(super) unknown_pools: Vec<String>,
}

impl LibvirtDisks {
    /// Asks libvirt; prints a note where it cannot be asked.
    pub(super) fn ask(context: &Context) -> Self {
        Self::read(context).unwrap_or_else(|why| {
            context.progress(
                "note: libvirt cannot be asked which domains use the disk; only QEMU's lock shows whether a running domain uses it",
            );
            context.detail(&format!("{why:#}"));
            Self { unknown_domains: vec![format!("libvirt cannot be asked for domains and storage pools ({why:#})")], ..Self::default() }
        })
    }

    fn read(context: &Context) -> Result<Self> {
        if context.uri().is_remote() {
            bail!("{} is another machine", context.uri());
        }
        let connection = context.connect()?;
        let domains = connection.domains()?;
        let mut disks = Self::default();
        match connection.pools() {
            Ok(pools) => {
                disks.pools = pools.known;
                disks.unknown_pools.extend(pools.unread.iter().map(|pool| format!("the storage pool '{}': {}", pool.name, pool.because)));
            }
            Err(why) => disks.unknown_pools.push(format!("{why:#}")),
        }
        disks.unknown_domains.extend(domains.unread.iter().map(|domain| format!("the domain '{}': {}", domain.name, domain.because)));
        for domain in domains.known {
            disks.add_snapshots(connection, &domain.name);
            disks.add(domain);
        }
        Ok(disks)
    }

    fn add_snapshots(&mut self, connection: &dyn Hypervisor, domain: &str) {
        let snapshots = match connection.beside(domain) {
            Ok(beside) => beside.snapshots,
            Err(why) => return self.unknown_domains.push(format!("the snapshots of the domain '{domain}': {why:#}")),
        };
        for snapshot in snapshots {
            match Document::parse(&snapshot.xml) {
                Ok(document) => self.in_snapshots.extend(disk::snapshot_paths(&document).into_iter().map(PathBuf::from)),
                Err(what) => self.unknown_domains.push(format!("the snapshot '{}' of the domain '{domain}': {what}", snapshot.name)),
            }
        }
    }

    fn add(&mut self, domain: Known) {
        let name = &domain.name;
        let mut disks = Vec::new();
        for xml in &domain.xml {
            let document = match Document::parse(xml) {
                Ok(document) => document,
                Err(what) => {
                    self.unknown_domains.push(format!("the XML of the domain '{name}': {what}"));
                    continue;
                }
            };
            for used in disk::disk_uses(&document) {
                let path = match &used.source {
                    Source::Path(path) => Some(path),
                    Source::Volume { pool, volume } => self.volume(pool, volume),
                    // What only QEMU's drivers reach is not an image file on this host.
                    Source::Remote { .. } | Source::Nvme(_) => continue,
                };
                match path.map(PathBuf::from) {
                    Some(path) => disks.push((used, path)),
                    None => self
                        .unknown_domains
                        .push(format!("the disk {} of the domain '{name}': libvirt does not list its volume", used.target)),
                }
            }
            // Drives in qemu:commandline, of which libvirt knows nothing.
            let drives = domain_xml::drives(&document);
            let in_options = |what: &str| format!("qemu:commandline of the domain '{name}': {what}");
            self.unknown_domains.extend(drives.unknown.iter().map(|what| in_options(what)));
            for Drive { file, format, read_only } in drives.images {
                if file.starts_with('/') {
                    let (target, source) = ("a drive of qemu:commandline".to_owned(), Source::Path(file.clone()));
                    disks.push((DiskUse { target, source, is_stated: format.is_some(), format, read_only }, file.into()));
                } else if !disk::is_remote(&file) {
                    self.unknown_domains.push(in_options(&format!("{file} is not understood")));
                }
            }
        }
        self.domains.push((domain, disks));
    }

    fn volume(&self, pool: &str, volume: &str) -> Option<&String> {
        let mut volumes = self.pools.iter().filter(|known| known.name == pool).flat_map(|known| &known.volumes);
        volumes.find(|known| known.name == volume).map(|known| &known.path)
    }

    /// The domains that use an image, and how.
    pub(super) fn uses_of(&self, image: &Path) -> impl Iterator<Item = (&Known, &DiskUse)> {
        let all = self.domains.iter().flat_map(|(domain, disks)| disks.iter().map(move |(used, path)| (domain, used, path)));
        all.filter(move |(.., path)| same_file(path, image)).map(|(domain, used, _)| (domain, used))
    }

    /// The files and devices that domains, their snapshots and storage pools name.
    pub(super) fn named(&self) -> impl Iterator<Item = PathBuf> {
        let of_domains = self.domains.iter().flat_map(|(_, disks)| disks.iter().map(|(_, path)| path.clone()));
        let of_pools = self.pools.iter().flat_map(|pool| pool.volumes.iter().map(|volume| PathBuf::from(&volume.path)));
        of_domains.chain(self.in_snapshots.iter().cloned()).chain(of_pools)
    }

    /// Whether a file belongs to a storage pool: it is in the pool's folder, or one of its volumes.
    pub(super) fn is_in_pool(&self, file: &Path) -> bool {
        self.pools.iter().any(|pool| {
            let folder = pool.target.as_ref().and_then(|target| Path::new(target).canonicalize().ok());
            folder.is_some_and(|folder| folder == directory(file))
                || pool.volumes.iter().any(|volume| same_file(Path::new(&volume.path), file))
        })
    }
}
