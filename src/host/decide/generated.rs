//! Systems whose configuration is generated or part of an image: what vgapt would write is lost with the next
//! rebuild, or cannot be written. vgapt shows what to add to their own configuration instead.

use super::bound::{Bound, bound, ids_of};
use crate::host::plan::Plan;
use crate::host::request::{Bind, Wanted};
use crate::model::{Distribution, Finding, Host, PciAddress, Setup};

/// A kind of system.
struct System {
    /// What people call it.
    name: &'static str,
    /// Its `ID` in os-release.
    ids: &'static [&'static str],
    /// Files that only it has.
    marks: &'static [&'static str],
    /// Programs that only it has.
    programs: &'static [&'static str],
    /// What generates its files, and from what.
    made: &'static str,
    /// What to add to its configuration.
    lines: fn(&Needed) -> String,
}

/// What the system's configuration needs.
struct Needed {
    /// Kernel parameters to add.
    parameters: Vec<String>,
    /// Kernel parameters to remove.
    gone: Vec<String>,
    /// What is bound at boot.
    bound: Vec<Bound>,
    /// Functions with the same ids that stay with the host.
    twins: Vec<PciAddress>,
}

/// Names and commands from the systems' own manuals.
static SYSTEMS: [System; 13] = [
    System {
        name: "TrueNAS SCALE",
        ids: &["truenas"],
        marks: &[],
        programs: &["midclt"],
        made: "its middleware regenerates /etc and the boot entries from its own settings",
        lines: |needed| {
            let addresses: Vec<String> = needed.bound.iter().map(|bound| bound.address.to_string()).collect();
            let isolated = (!addresses.is_empty())
                .then(|| format!("in its web interface, System, Advanced Settings, Isolated GPU Devices: {}", addresses.join(", ")));
            let gone: String = needed.gone.iter().map(|token| format!(" (without {token})")).collect();
            let options = (!needed.parameters.is_empty() || !gone.is_empty()).then(|| {
                let options = needed.parameters.join(" ");
                format!(
                    "midclt call system.advanced.update '{{\"kernel_extra_options\": \"{options}\"}}', including the present options{gone}"
                )
            });
            format!("{}; then reboot", [options, isolated].into_iter().flatten().collect::<Vec<_>>().join("; "))
        },
    },
    System {
        name: "NixOS",
        ids: &["nixos"],
        marks: &["/etc/NIXOS"],
        programs: &[],
        made: "nixos-rebuild generates /etc and the boot entries from configuration.nix",
        lines: nixos,
    },
    System {
        name: "Guix System",
        ids: &["guix"],
        marks: &[],
        programs: &[],
        made: "guix system reconfigure generates /etc and the boot entries from the operating-system declaration",
        lines: guix,
    },
    System {
        name: "openSUSE MicroOS",
        ids: &[
            "opensuse-microos",
            "microos",
            "opensuse-leap-micro",
            "sle-micro",
            "sl-micro",
            "suse-microos",
            "opensuse-aeon",
            "opensuse-kalpa",
            "aeon",
            "kalpa",
        ],
        marks: &[],
        programs: &[],
        made: "its root file system is a read-only snapshot, and transactional-update creates the next one",
        lines: transactional,
    },
    System {
        name: "SteamOS",
        ids: &["steamos"],
        marks: &[],
        programs: &[],
        made: "an update replaces the whole root file system, with its kernel and boot configuration",
        lines: |needed| {
            format!(
                "as long as this version is installed: steamos-readonly disable; {}; steamos-readonly enable; an update removes it again",
                by_hand(needed)
            )
        },
    },
    System {
        name: "Vanilla OS (ABRoot)",
        ids: &["vanilla", "vanillaos"],
        marks: &["/etc/abroot/abroot.json"],
        programs: &[],
        made: "ABRoot regenerates the root file system and its boot entries with each transaction",
        lines: |needed| format!("abroot kargs edit, and there: {}; then reboot", on_the_line(needed)),
    },
    System {
        name: "Talos Linux",
        ids: &["talos"],
        marks: &[],
        programs: &[],
        made: "all of it is generated from the machine configuration",
        lines: |needed| {
            format!(
                "in the machine configuration, then talosctl upgrade: machine.install.extraKernelArgs: [{}]; machine.kernel.modules: [{{name: vfio_pci}}, {{name: vfio_iommu_type1}}]",
                listed(&line(needed))
            )
        },
    },
    System {
        name: "Bottlerocket",
        ids: &["bottlerocket"],
        marks: &[],
        programs: &[],
        made: "all of it is generated from its settings",
        lines: |needed| format!("apiclient set settings.boot.kernel-parameters for each of: {}; then reboot", on_the_line(needed)),
    },
    System {
        name: "Flatcar Container Linux",
        ids: &["flatcar", "coreos-flatcar"],
        marks: &[],
        programs: &[],
        made: "its /usr is an image, and its boot configuration is in the OEM partition",
        lines: |needed| {
            format!(
                "in /oem/grub.cfg (/usr/share/oem/grub.cfg): set linux_append=\"$linux_append {}\"; then reboot",
                line(needed).join(" ")
            )
        },
    },
    System {
        name: "Ubuntu Core",
        ids: &["ubuntu-core"],
        marks: &[],
        programs: &[],
        made: "the kernel and its command line are parts of snaps",
        lines: |needed| format!("snap set system system.kernel.dangerous-cmdline-append=\"{}\"; then reboot", line(needed).join(" ")),
    },
    System {
        name: "Unraid",
        ids: &["unraid"],
        marks: &["/etc/unraid-version"],
        programs: &[],
        made: "/etc is in memory and is generated at each boot from the USB stick, /boot/config",
        lines: unraid,
    },
    System {
        name: "Clear Linux OS",
        ids: &["clear-linux-os"],
        marks: &[],
        programs: &[],
        made: "clr-boot-manager generates the boot entries from /etc/kernel/cmdline.d",
        lines: |needed| format!("/etc/kernel/cmdline.d/passthrough.conf with: {}; then: clr-boot-manager update", line(needed).join(" ")),
    },
    System {
        name: "Endless OS",
        ids: &["endless", "eos-image"],
        marks: &[],
        programs: &[],
        made: "its boot entries are managed by ostree",
        lines: |needed| {
            format!(
                "ostree admin kargs edit-in-place{}; then reboot",
                line(needed).iter().map(|token| format!(" --append-if-missing={token}")).collect::<String>()
            )
        },
    },
];

/// Tumbleweed and Leap installed as a transactional server have no ID of their own in os-release.
static TRANSACTIONAL: System = System {
    name: "a transactional openSUSE",
    ids: &[],
    marks: &[],
    programs: &[],
    made: "its root file system is a read-only snapshot, and transactional-update creates the next one",
    lines: transactional,
};

/// Whether transactional-update is installed, and the root file system is read-only.
fn is_transactional(setup: &Setup) -> bool {
    // Lines of fstab and of /proc/mounts have the same fields; of several mounts the last one is visible.
    let read_only = |path: &str| {
        let mut lines = setup.files.text_lossy(path)?.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let root = lines.rfind(|fields| fields.len() > 3 && !fields[0].starts_with('#') && fields[1] == "/")?;
        Some(root[3].split(',').any(|option| option == "ro"))
    };
    setup.has("transactional-update") && ["/proc/mounts", "/etc/fstab"].iter().find_map(|path| read_only(path)) == Some(true)
}

/// Whether this is such a system, and which.
fn system(distribution: &Distribution, setup: &Setup) -> Option<&'static System> {
    let is_id = |system: &&System| distribution.id.as_deref().is_some_and(|id| system.ids.contains(&id));
    let has_mark = |system: &&System| system.marks.iter().any(|mark| setup.files.exists(mark));
    let has_program = |system: &&System| system.programs.iter().any(|program| setup.has(program));
    let named = SYSTEMS.iter().find(is_id).or_else(|| SYSTEMS.iter().find(has_mark)).or_else(|| SYSTEMS.iter().find(has_program));
    named.or_else(|| is_transactional(setup).then_some(&TRANSACTIONAL))
}

/// On such a system nothing is written; the plan says instead what to add to the system's own configuration.
pub(super) fn refuse(host: &Host, setup: &Setup, wanted: &Wanted, plan: &mut Plan) {
    let (name, made, lines) = match system(&host.platform.distribution, setup) {
        Some(system) => (system.name, system.made, system.lines),
        None => match into_a_store(setup) {
            Some(_) => ("this system", "its /etc is generated from a package store", by_hand as fn(&Needed) -> String),
            None => return,
        },
    };
    let needed = needed(host, setup, wanted, plan);
    let changes = !plan.writes.is_empty() || !plan.commands.is_empty();
    (plan.writes, plan.commands, plan.reboot, plan.in_initramfs, plan.switch_off) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), None);
    // The finding below replaces those about files that do not exist here.
    plan.findings.retain(|finding| !["initramfs", "boot-loader"].contains(&finding.code));
    if needed.parameters.is_empty() && needed.gone.is_empty() && needed.bound.is_empty() {
        if changes {
            plan.findings.push(Finding::warning(
                "generated",
                format!("{name}: {made}; vgapt writes nothing here, so libvirt does not call vgapt when a domain starts"),
                "start domains with vgapt start, which does the same before the start",
            ));
        }
        return;
    }
    let lines = lines(&needed);
    let beside = beside(&needed, &lines);
    plan.findings.push(Finding::error(
        "generated",
        format!("{name}: {made}, so what vgapt would write is lost or cannot be written"),
        format!("{lines}{beside}"),
    ));
}

/// A modprobe directory or fstab that lies in a package store, so it is generated.
fn into_a_store(setup: &Setup) -> Option<&str> {
    let files = setup
        .files
        .below("/etc/modprobe.d", ".conf")
        .chain(setup.files.0.get_key_value("/etc/fstab").map(|(path, file)| (path.as_str(), file)));
    let places = files.map(|(_, file)| file.place.as_str());
    places.into_iter().find(|place| place.starts_with("/nix/store/") || place.starts_with("/gnu/store/"))
}

/// What this boot lacks, and what is not yet bound to vfio-pci.
fn needed(host: &Host, setup: &Setup, wanted: &Wanted, plan: &Plan) -> Needed {
    let running = host.platform.cmdline.clone().unwrap_or_default();
    let says = |token: &str| token.split_whitespace().all(|token| running.0.split_ascii_whitespace().any(|one| one == token));
    let (gone, come): (Vec<_>, Vec<_>) = plan.parameters.iter().map(|one| one.token.clone()).partition(|token| token.starts_with('-'));
    let devices = host.devices(&wanted.functions).filter(|device| wanted.bind == Bind::Boot && !device.on_vfio());
    let bound = bound(setup);
    let new: Vec<Bound> = devices.map(Bound::of).filter(|new| !bound.contains(new)).collect();
    let stays = |address: PciAddress| !wanted.functions.contains(&address) && !bound.iter().any(|bound| bound.address == address);
    let twins = host.pci.iter().filter(|device| stays(device.address) && new.iter().any(|bound| bound.id == device.id));
    Needed {
        parameters: come.into_iter().filter(|token| !says(token)).collect(),
        gone: gone.into_iter().map(|token| token.trim_start_matches('-').to_owned()).collect(),
        twins: twins.map(|device| device.address).collect(),
        bound: new,
    }
}

/// The ids to bind by; empty if an id would also bind a device that stays with the host.
fn ids(needed: &Needed) -> Vec<String> {
    if needed.twins.is_empty() { ids_of(&needed.bound) } else { Vec::new() }
}

/// The commands that bind by address; they have to run before other drivers are loaded.
fn by_address(needed: &Needed) -> String {
    let addresses: Vec<String> = needed.bound.iter().map(|bound| bound.address.to_string()).collect();
    let addresses = addresses.join(" ");
    format!("for at in {addresses}; do echo vfio-pci > /sys/bus/pci/devices/$at/driver_override; done; modprobe -i vfio-pci")
}

/// The warning after the lines if an id would also bind a device that stays with the host, and the lines do not bind by
/// address.
fn beside(needed: &Needed, lines: &str) -> String {
    let is_named = |bound: &Bound| lines.contains(&bound.address.to_string());
    if needed.twins.is_empty() || needed.bound.iter().all(is_named) {
        return String::new();
    }
    let (ids, twins) = (ids_of(&needed.bound).join(","), PciAddress::list(&needed.twins));
    format!(
        "; vfio-pci.ids={ids} would also take {twins}, which stays with the host: in the initramfs, before other drivers are loaded, bind by address: {}",
        by_address(needed)
    )
}

/// Everything as kernel parameters, including the binding.
fn line(needed: &Needed) -> Vec<String> {
    let ids = ids(needed);
    needed.parameters.iter().cloned().chain((!ids.is_empty()).then(|| format!("vfio-pci.ids={}", ids.join(",")))).collect()
}

fn on_the_line(needed: &Needed) -> String {
    let gone: String = needed.gone.iter().map(|token| format!(" (and remove {token})")).collect();
    format!("{}{gone}", line(needed).join(" "))
}

fn listed(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn by_hand(needed: &Needed) -> String {
    let ids = ids(needed);
    let options =
        (!ids.is_empty()).then(|| format!("options vfio-pci ids={} in /etc/modprobe.d, and vfio_pci in the initramfs", ids.join(",")));
    let parameters = (!needed.parameters.is_empty()).then(|| format!("the kernel parameters {}", needed.parameters.join(" ")));
    let gone = (!needed.gone.is_empty()).then(|| format!("without the kernel parameters {}", needed.gone.join(" ")));
    format!("with the system's own tools: {}", [parameters, gone, options].into_iter().flatten().collect::<Vec<_>>().join("; "))
}

fn nixos(needed: &Needed) -> String {
    let quoted = |words: &[String]| words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ");
    let mut lines = Vec::new();
    let parameters: Vec<String> = needed.parameters.iter().flat_map(|token| token.split_whitespace().map(str::to_owned)).collect();
    if !parameters.is_empty() {
        lines.push(format!("boot.kernelParams = [ {} ];", quoted(&parameters)));
    }
    lines.extend(needed.gone.iter().map(|token| format!("remove \"{token}\" from boot.kernelParams")));
    let ids = ids(needed);
    if !needed.twins.is_empty() {
        lines.push("boot.initrd.availableKernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ];".to_owned());
        lines.push(format!(
            "boot.initrd.preDeviceCommands = ''{}''; (by address, since an id would also take {}; with boot.initrd.systemd.enable the same in a service of boot.initrd.systemd.services, before systemd-udevd.service)",
            by_address(needed),
            PciAddress::list(&needed.twins)
        ));
    } else if !ids.is_empty() {
        lines.push("boot.initrd.kernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ];".to_owned());
        lines.push(format!("boot.extraModprobeConfig = \"options vfio-pci ids={}\";", ids.join(",")));
    }
    lines.push("virtualisation.libvirtd.enable = true; (and its hooks by virtualisation.libvirtd.hooks.qemu)".to_owned());
    format!("in configuration.nix: {} Then: nixos-rebuild boot, and reboot", lines.join(" "))
}

fn guix(needed: &Needed) -> String {
    let gone: String = needed.gone.iter().map(|token| format!(" (without \"{token}\")")).collect();
    let modules = if needed.bound.is_empty() {
        String::new()
    } else {
        " (initrd-modules (cons* \"vfio_pci\" \"vfio_iommu_type1\" %base-initrd-modules))".to_owned()
    };
    let words = line(needed).iter().map(|word| format!(" \"{word}\"")).collect::<String>();
    format!(
        "in the operating-system declaration: (kernel-arguments (cons*{words} %default-kernel-arguments)){gone}{modules}; then: guix system reconfigure, and reboot"
    )
}

fn transactional(needed: &Needed) -> String {
    let parameters = if line(needed).is_empty() && needed.gone.is_empty() {
        String::new()
    } else {
        format!(
            "in /etc/default/grub (GRUB_CMDLINE_LINUX) or /etc/kernel/cmdline: {}; then: transactional-update grub.cfg; ",
            on_the_line(needed)
        )
    };
    let image = if needed.bound.is_empty() {
        String::new()
    } else {
        "/etc/dracut.conf.d/vfio.conf with: force_drivers+=\" vfio_pci vfio_iommu_type1 \"; then: transactional-update --continue initrd; "
            .to_owned()
    };
    format!("{parameters}{image}and reboot into the new snapshot")
}

fn unraid(needed: &Needed) -> String {
    let binds: Vec<String> = needed.bound.iter().map(|bound| format!("{}|{}", bound.address, bound.id)).collect();
    let binds = (!binds.is_empty()).then(|| format!("in /boot/config/vfio-pci.cfg: BIND={} (Tools, System Devices)", binds.join(" ")));
    let parameters =
        (!needed.parameters.is_empty()).then(|| format!("in /boot/syslinux/syslinux.cfg, after append: {}", needed.parameters.join(" ")));
    format!("{}; then reboot", [parameters, binds].into_iter().flatten().collect::<Vec<_>>().join("; "))
}
