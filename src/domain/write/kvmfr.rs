//! The memory of Looking Glass in its kernel module: libvirt has no element for it (`<shmem>` names only files in /dev/shm), so
//! that QEMU gets it as options (looking-glass.io, IVSHMEM with the KVMFR module).

use super::apply::Draft;
use crate::domain::alias::{self, OPTIONS as OWN};
use crate::domain::base::Base;
use crate::domain::edit::{Change, Edit, Entry, Part, Policy};
use crate::domain::request::Request;
use crate::domain_xml::{commandline_of, devices_with_alias, options_of};
use crate::model::{Host, KVMFR_NODE};

/// Whether the domain gets the module's memory, and how much of it in MiB. It does where everything is there when Looking Glass is
/// asked for, or later; a domain that has it does not change with the state of the host.
pub(crate) fn decided(draft: &Draft, base: &Base, wanted: &Request, host: &Host) -> Option<u64> {
    let screen = wanted.extras.looking_glass?;
    let has_shared_memory = devices_with_alias(draft.root(), alias::SHMEM).next().is_some();
    let is_asked = base.differs(|request| request.extras.looking_glass) || has_shared_memory;
    host.kvmfr.usable(screen.mib()).filter(|_| is_asked)
}

/// Sets or removes vgapt's options.
pub(crate) fn set(draft: &mut Draft, mib: Option<u64>) {
    let options = mib.map(options).unwrap_or_default();
    let is_there = options_of(draft.root(), OWN).next().is_some();
    if options.is_empty() && !is_there {
        return;
    }
    let known = draft.written.of(Part::Options).next().map(|(path, entry)| (path.clone(), entry.clone()));
    let existing = commandline_of(draft.root()).map(|element| element.name().to_owned());
    let has_namespace = draft.root().attribute_names().any(|name| name == "xmlns:qemu");
    // What is recorded is whether the namespace was there before vgapt.
    let (path, entry) = known.unwrap_or_else(|| {
        let before = (!has_namespace && existing.is_none()).then(String::new);
        (existing.unwrap_or_else(|| "qemu:commandline".to_owned()), Entry { before, ..Entry::default() })
    });
    let with_namespace = entry.before.is_some();
    if options.is_empty() {
        draft.written.remove(Part::Options, &path);
    } else {
        draft.written.insert(Part::Options, &path, entry);
    }
    draft.apply(Edit { change: Change::Options { options, with_namespace }, ..Edit::put(Part::Options, path).policy(Policy::Checked) });
}

/// JSON, because QEMU gives a device of the older syntax a place before libvirt's devices have theirs.
fn options(mib: u64) -> Vec<String> {
    let bytes = mib << 20;
    [
        "-object".to_owned(),
        format!(r#"{{"qom-type":"memory-backend-file","id":"{OWN}","mem-path":"{KVMFR_NODE}","size":{bytes},"share":true}}"#),
        "-device".to_owned(),
        format!(r#"{{"driver":"ivshmem-plain","id":"{OWN}-device","memdev":"{OWN}"}}"#),
    ]
    .into()
}
