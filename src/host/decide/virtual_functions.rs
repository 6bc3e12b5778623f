//! Virtual functions (SR-IOV), made at each boot: a rule of udev makes them, and libvirt waits for them.
//!
//! docs/design/virtual-functions.md says why it is a rule and not a service.

use super::bound::{Bound, bound};
use super::{others, refusals};
use crate::host::plan::{Command, Edits, text_of};
use crate::host::request::{VirtualFunctions, Wanted};
use crate::model::{Finding, Host, PciAddress, PciDevice, PciId, Setup, WrittenLine};

/// The rule.
pub(super) const RULES: &str = "/etc/udev/rules.d/60-vgapt-virtual-functions.rules";
/// Marks the lines that list what is made; vgapt reads them back from the file.
const MARK: &str = "#made ";
const GONE: &str = "no virtual functions are made any more";
/// The daemons that start domains at boot, and a drop-in file of each.
const DAEMONS: [(&str, &str); 2] = [
    ("libvirtd", "/etc/systemd/system/libvirtd.service.d/vgapt-virtual-functions.conf"),
    ("virtqemud", "/etc/systemd/system/virtqemud.service.d/vgapt-virtual-functions.conf"),
];
/// How long a daemon waits at most, in seconds: a card that was removed must not keep libvirt from starting.
const PATIENCE: u32 = 30;

/// The virtual functions that vgapt has made at each boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeAtBoot {
    /// Their physical function, with the ids that it must still have then.
    pub parent: Bound,
    /// How many.
    pub count: u32,
}

/// Whether vgapt writes this file for virtual functions.
pub(super) fn is_own(path: &str) -> bool {
    path == RULES || daemon_of(path).is_some()
}

/// The daemon whose drop-in file this is.
pub(super) fn daemon_of(path: &str) -> Option<&'static str> {
    DAEMONS.iter().find(|(_, own)| *own == path).map(|(daemon, _)| *daemon)
}

/// What vgapt has set up, from its own rule.
///
/// # Errors
/// Where that is unknown: the file, or a line in it, cannot be read. Rewriting the file would lose it.
pub fn made_at_boot(setup: &Setup) -> Result<Vec<MadeAtBoot>, Finding> {
    let Some(file) = setup.files.0.get(RULES) else { return Ok(Vec::new()) };
    let lines = text_of(RULES, file)?.lines().enumerate().filter(|(_, line)| line.starts_with(MARK));
    let made = lines.map(|(index, line)| {
        made_by(line).ok_or_else(|| {
            let message = format!("{RULES}, line {} cannot be parsed, so its virtual functions are unknown: {line}", index + 1);
            Finding::error("made-line", message, "use the vgapt that wrote it, or remove that line and name the card again with --vfs")
        })
    });
    made.collect()
}

fn made_by(line: &str) -> Option<MadeAtBoot> {
    let mut words = line.strip_prefix(MARK)?.split_whitespace();
    let (address, id, subsystem) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let count = words.next()?.parse().ok().filter(|count| *count > 0)?;
    Some(MadeAtBoot { parent: Bound { address, id, subsystem }, count })
}

/// The files, and the commands that make and remove functions now; what prevents that is added to the findings.
pub(super) fn edits(host: &Host, setup: &Setup, wanted: &Wanted, findings: &mut Vec<Finding>) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let known = made_at_boot(setup)?;
    findings.extend(second_writers(host, setup, wanted));
    let is_asked = |address: PciAddress| wanted.virtual_functions.iter().any(|asked| asked.parent == address);
    let mut all: Vec<MadeAtBoot> = known.iter().copied().filter(|made| !is_asked(made.parent.address)).collect();
    for (at, asked) in wanted.virtual_functions.iter().enumerate() {
        if wanted.virtual_functions[..at].iter().any(|other| other.parent == asked.parent) {
            let message = format!("--vfs names {} twice", asked.parent.short());
            return Err(Finding::error("virtual-functions", message, "name it once, with the number that it is to have"));
        }
        let before = known.iter().find(|made| made.parent.address == asked.parent);
        if asked.count == 0 && before.is_none() {
            let message = format!("vgapt makes no virtual functions of {}", asked.parent.short());
            findings.push(Finding::warning("virtual-functions", message, "see what exists: vgapt list --all"));
        } else if asked.count == 0 {
            edits.commands.extend(now(host, setup, *asked)?);
        } else {
            let parent = parent(host, asked)?;
            edits.commands.extend(now(host, setup, *asked)?);
            if parent.driver.is_none() {
                let message = format!("{} has no driver now, and only a driver makes virtual functions", asked.parent.short());
                findings.push(Finding::warning("virtual-functions", message, "nothing: they are made as soon as a driver has it"));
            }
            all.push(MadeAtBoot { parent: Bound::of(parent), count: asked.count });
        }
    }
    all.sort_by_key(|made| made.parent.address);
    for made in &all {
        stays_with_host(host, setup, wanted, made.parent.address)?;
        let is_there = host.device(made.parent.address).is_some_and(|device| made.parent.is_still(device));
        if !is_asked(made.parent.address) && is_there {
            // What was requested earlier does not prevent anything else.
            match now(host, setup, VirtualFunctions { parent: made.parent.address, count: made.count }) {
                Ok(command) => edits.commands.extend(command),
                Err(finding) => findings.push(Finding::warning(finding.code, finding.message, finding.remedy)),
            }
        }
    }
    if all.is_empty() {
        for path in DAEMONS.iter().map(|(_, path)| *path).chain([RULES]) {
            edits.remove(setup, path, GONE)?;
        }
        return Ok(edits);
    }
    edits.write(setup, RULES, rules(&all), 0o644, "makes the virtual functions when a driver has their physical function")?;
    for (daemon, path) in DAEMONS {
        if setup.has(daemon) {
            edits.write(setup, path, waits(&all), 0o644, "libvirt starts domains by itself when the virtual functions exist")?;
        }
    }
    Ok(edits)
}

/// What else makes virtual functions of these; a line that names no function of this host may mean any.
fn second_writers(host: &Host, setup: &Setup, wanted: &Wanted) -> Vec<Finding> {
    let parents: Vec<PciAddress> = wanted.virtual_functions.iter().filter(|asked| asked.count > 0).map(|asked| asked.parent).collect();
    let is_about = |line: &WrittenLine| {
        let named = others::named(host, &line.text);
        named.is_empty() || named.iter().any(|address| parents.contains(address))
    };
    let lines = if parents.is_empty() { Vec::new() } else { others::writers(setup, "sriov_numvfs") };
    lines
        .into_iter()
        .filter(is_about)
        .map(|WrittenLine { path, line, text }| {
            Finding::warning(
                "virtual-functions-twice",
                format!("{path}, line {line} makes virtual functions, too ({text}): of two numbers the one that is written first counts, as the kernel refuses another while functions exist"),
                format!("if it is for {}: remove that line from {path}", PciAddress::list(&parents)),
            )
        })
        .collect()
}

/// The physical function, if it can have so many.
fn parent<'h>(host: &'h Host, asked: &VirtualFunctions) -> Result<&'h PciDevice, Finding> {
    let at = asked.parent.short();
    let error = |message: String, remedy: String| Err(Finding::error("virtual-functions", message, remedy));
    if let Some(finding) = refusals::unsuitable(host, asked.parent) {
        return Err(finding);
    }
    let Some(device) = host.device(asked.parent) else {
        return error(format!("there is no PCI function at {at}"), "see all functions: vgapt list --all".to_owned());
    };
    if let Some(of) = device.physical_function {
        return error(format!("{at} is itself a virtual function of {}", of.short()), format!("name {}", of.short()));
    }
    let Some(sriov) = &device.sriov else {
        return match host.unknown.iter().find(|unknown| unknown.contains(&asked.parent.to_string())) {
            Some(because) => error(format!("unknown whether {at} has virtual functions: {because}"), "run vgapt as root".to_owned()),
            None => error(
                format!("{at} ({}) has no virtual functions: the kernel shows no SR-IOV for it", device.label()),
                "switch SR-IOV on in the firmware settings, if the card has it; or name another function".to_owned(),
            ),
        };
    };
    if asked.count > sriov.total {
        let total = sriov.total;
        let message = format!("{at} can have {total} virtual functions at most, not {}", asked.count);
        return error(message, format!("request no more than {total}; some drivers allow more with an option, such as max_vfs of xe"));
    }
    Ok(device)
}

/// Refuses what cannot have virtual functions, because no driver of the host has it.
fn stays_with_host(host: &Host, setup: &Setup, wanted: &Wanted, parent: PciAddress) -> Result<(), Finding> {
    let at = parent.short();
    let blocked = |message: String, remedy: String| Err(Finding::blocked("virtual-functions", message, remedy));
    let instead = || format!("pass its virtual functions through, and leave {at} with the host");
    let is_bound = bound(setup).iter().any(|bound| bound.address == parent);
    if wanted.functions.contains(&parent) || is_bound {
        return blocked(format!("{at} is to be bound to vfio-pci, which makes no virtual functions"), instead());
    }
    if setup.in_domains.have(parent) {
        return blocked(format!("a domain passes {at} itself through, which takes its virtual functions away"), instead());
    }
    let device = host.device(parent);
    if device.is_some_and(PciDevice::on_vfio) {
        return blocked(
            format!("{at} is bound to vfio-pci, which makes no virtual functions"),
            format!("bind {at} to its own driver first"),
        );
    }
    // NVIDIA asks to use only that program (Virtual GPU Software User Guide, "Preparing the Virtual Function for an NVIDIA
    // vGPU").
    if device.and_then(|device| device.driver.as_deref()) == Some("nvidia") {
        let command = format!("/usr/lib/nvidia/sriov-manage -e {parent}");
        return blocked(
            format!("{at} is on NVIDIA's driver, whose virtual functions only NVIDIA's own program makes"),
            format!("run it at each boot, by a service: {command}"),
        );
    }
    Ok(())
}

/// The command that makes, or removes, functions now; none where their number is right, or no driver has the physical function.
fn now(host: &Host, setup: &Setup, asked: VirtualFunctions) -> Result<Option<Command>, Finding> {
    let Some(device) = host.device(asked.parent).filter(|device| device.driver.is_some() && !device.on_vfio()) else { return Ok(None) };
    let existing = host.virtual_functions_of(&[asked.parent]);
    let (count, autoprobe) = (u32::try_from(existing.len()).unwrap_or(u32::MAX), device.sriov.as_ref().is_none_or(|sriov| sriov.autoprobe));
    if count == asked.count {
        return Ok(None);
    }
    let used: Vec<&PciDevice> = host.devices(&existing).filter(|device| device.driver.is_some()).collect();
    if !used.is_empty() {
        let domains = used.iter().any(|device| setup.in_domains.have(device.address));
        let message = format!(
            "{} has {count} virtual functions, and for another number all of them are removed, but these are in use: {}",
            asked.parent.short(),
            PciDevice::list(used.into_iter())
        );
        let stop = if domains { "shut down the domains that have them" } else { "take them from these drivers" };
        return Err(Finding::blocked("virtual-functions-used", message, format!("{stop}, and run the same command again")));
    }
    let why = if asked.count == 0 { "removes them now" } else { "makes them now" };
    let mut command = Command::of(&["sh", "-c", &script(asked.parent, asked.count, asked.count == 0)], why);
    command.undo = Some(["sh", "-c", &script(asked.parent, count, autoprobe)].map(str::to_owned).to_vec());
    Ok(Some(command))
}

/// Sets the number; what is in use is never removed: the kernel would take it from a running guest. A physical function
/// without a driver has no virtual functions, and one that is gone has none either.
fn script(parent: PciAddress, count: u32, autoprobe: bool) -> String {
    let home = format!("/sys/bus/pci/devices/{parent}");
    let make = if count == 0 { String::new() } else { format!(" && echo {count} >sriov_numvfs") };
    format!(
        "[ ! -e {home}/driver ] || {{ cd {home} && for one in virtfn*; do if [ -e $one/driver ]; then \
         echo \"virtual function $(basename $(readlink $one)) is in use by $(basename $(readlink $one/driver))\" >&2; exit 1; fi; done; \
         echo 0 >sriov_numvfs && echo {} >sriov_drivers_autoprobe{make}; }}",
        u8::from(autoprobe)
    )
}

const HEAD: &str = "# Written by `vgapt prepare`, taken away by `vgapt undo`.\n";

/// A second number other than 0 is refused by the kernel (EBUSY), so nothing is written where functions exist.
fn rules(all: &[MadeAtBoot]) -> String {
    let mut text = format!("{HEAD}# Virtual functions (SR-IOV), without a driver of the host.\n");
    for MadeAtBoot { parent, count } in all {
        let Bound { address, id, subsystem } = parent;
        let board = if *subsystem == PciId::default() {
            String::new()
        } else {
            format!(", ATTR{{subsystem_vendor}}==\"0x{:04x}\", ATTR{{subsystem_device}}==\"0x{:04x}\"", subsystem.vendor, subsystem.device)
        };
        text.push_str(&format!(
            "{MARK}{address} {id} {subsystem} {count}\n\
             ACTION==\"add|bind\", SUBSYSTEM==\"pci\", KERNEL==\"{address}\", DRIVER==\"?*\", DRIVER!=\"*vfio*\", \
             ATTR{{vendor}}==\"0x{:04x}\", ATTR{{device}}==\"0x{:04x}\"{board}, ATTR{{sriov_numvfs}}==\"0\", \
             ATTR{{sriov_drivers_autoprobe}}=\"0\", ATTR{{sriov_numvfs}}=\"{count}\"\n",
            id.vendor, id.device
        ));
    }
    text
}

fn waits(all: &[MadeAtBoot]) -> String {
    // Functions are made in order, so the last one is made when all are.
    let last = |made: &MadeAtBoot| format!("test -e /sys/bus/pci/devices/{}/virtfn{}", made.parent.address, made.count - 1);
    let all_exist = all.iter().map(last).collect::<Vec<_>>().join(" && ");
    format!(
        "{HEAD}# Domains that are started at boot may have virtual functions, which udev makes.\n[Service]\n\
         ExecStartPre=-/usr/bin/timeout {PATIENCE} /bin/sh -c \"until {all_exist}; do sleep 0.2; done\"\n"
    )
}
