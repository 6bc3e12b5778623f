//! Systems whose configuration is generated or part of an image: what vgapt would write is lost with the next
//! rebuild, or cannot be written. vgapt shows what to add to their own configuration instead.

use std::mem::take;

use super::bound::{Bound, bound, ids_of};
use super::virtual_functions::{self, RULES};
use crate::host::plan::Plan;
use crate::host::request::{Bind, Wanted};
use crate::model::{Distribution, Finding, Host, PciAddress, Setup};

/// A kind of system.
struct System {
    /// What people call it.
    name: &'static str,
    /// Its `ID` in os-release.
    ids: &'static [&'static str],
    /// Files and programs that only it has.
    marks: &'static [&'static str],
    programs: &'static [&'static str],
    /// What generates its files, and from what.
    made: &'static str,
    /// What to add to its configuration.
    lines: fn(&Needed) -> String,
    /// How its configuration has files of /etc.
    files: fn(&[File]) -> String,
}

/// A file of /etc that vgapt would write: its path, and its lines without comments.
struct File {
    path: String,
    lines: Vec<String>,
}

const fn system(name: &'static str, ids: &'static [&'static str], made: &'static str, lines: fn(&Needed) -> String) -> System {
    System { name, ids, marks: &[], programs: &[], made, lines, files: by_path }
}

const SNAPSHOT: &str = "its root file system is a read-only snapshot, and transactional-update creates the next one";

/// Names and commands from the systems' own manuals.
static SYSTEMS: [System; 13] = [
    System {
        programs: &["midclt"],
        ..system("TrueNAS SCALE", &["truenas"], "its middleware regenerates /etc and the boot entries from its own settings", truenas)
    },
    System {
        marks: &["/etc/NIXOS"],
        files: nixos_files,
        ..system("NixOS", &["nixos"], "nixos-rebuild generates /etc and the boot entries from configuration.nix", nixos)
    },
    System {
        files: guix_files,
        ..system(
            "Guix System",
            &["guix"],
            "guix system reconfigure generates /etc and the boot entries from the operating-system declaration",
            guix,
        )
    },
    system(
        "openSUSE MicroOS",
        &[
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
        SNAPSHOT,
        transactional,
    ),
    system("SteamOS", &["steamos"], "an update replaces the whole root file system, with its kernel and boot configuration", |needed| {
        let by_hand = by_hand(needed);
        format!(
            "as long as this version is installed: steamos-readonly disable; {by_hand}; steamos-readonly enable; an update removes it again"
        )
    }),
    System {
        marks: &["/etc/abroot/abroot.json"],
        ..system(
            "Vanilla OS (ABRoot)",
            &["vanilla", "vanillaos"],
            "ABRoot regenerates the root file system and its boot entries with each transaction",
            |needed| format!("abroot kargs edit, and there: {}; then reboot", on_the_line(needed)),
        )
    },
    system("Talos Linux", &["talos"], "all of it is generated from the machine configuration", |needed| {
        let parameters = quoted(&line(needed)).join(", ");
        format!(
            "in the machine configuration, then talosctl upgrade: machine.install.extraKernelArgs: [{parameters}]; machine.kernel.modules: [{{name: vfio_pci}}, {{name: vfio_iommu_type1}}]"
        )
    }),
    system("Bottlerocket", &["bottlerocket"], "all of it is generated from its settings", |needed| {
        format!("apiclient set settings.boot.kernel-parameters for each of: {}; then reboot", on_the_line(needed))
    }),
    system(
        "Flatcar Container Linux",
        &["flatcar", "coreos-flatcar"],
        "its /usr is an image, and its boot configuration is in the OEM partition",
        |needed| {
            let parameters = line(needed).join(" ");
            format!("in /oem/grub.cfg (/usr/share/oem/grub.cfg): set linux_append=\"$linux_append {parameters}\"; then reboot")
        },
    ),
    system("Ubuntu Core", &["ubuntu-core"], "the kernel and its command line are parts of snaps", |needed| {
        format!("snap set system system.kernel.dangerous-cmdline-append=\"{}\"; then reboot", line(needed).join(" "))
    }),
    System {
        marks: &["/etc/unraid-version"],
        ..system("Unraid", &["unraid"], "/etc is in memory and is generated at each boot from the USB stick, /boot/config", unraid)
    },
    system("Clear Linux OS", &["clear-linux-os"], "clr-boot-manager generates the boot entries from /etc/kernel/cmdline.d", |needed| {
        format!("/etc/kernel/cmdline.d/passthrough.conf with: {}; then: clr-boot-manager update", line(needed).join(" "))
    }),
    system("Endless OS", &["endless", "eos-image"], "its boot entries are managed by ostree", |needed| {
        let added: String = line(needed).iter().map(|token| format!(" --append-if-missing={token}")).collect();
        format!("ostree admin kargs edit-in-place{added}; then reboot")
    }),
];

/// Tumbleweed and Leap installed as a transactional server have no ID of their own in os-release.
static TRANSACTIONAL: System = system("a transactional openSUSE", &[], SNAPSHOT, transactional);

/// A system whose modprobe directory or fstab lies in a package store.
static OF_A_STORE: System = system("this system", &[], "its /etc is generated from a package store", by_hand);

/// What the system's configuration needs.
struct Needed {
    /// Kernel parameters to add.
    parameters: Vec<String>,
    /// Kernel parameters to remove.
    removed: Vec<String>,
    /// What is bound at boot.
    bound: Vec<Bound>,
    /// Functions with the same ids that stay with the host.
    twins: Vec<PciAddress>,
}

impl Needed {
    /// The addresses that are bound at boot.
    fn addresses(&self) -> Vec<String> {
        self.bound.iter().map(|bound| bound.address.to_string()).collect()
    }
}

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

/// Which of these systems this is.
fn found(distribution: &Distribution, setup: &Setup) -> Option<&'static System> {
    let is_id = |system: &&System| distribution.id.as_deref().is_some_and(|id| system.ids.contains(&id));
    let has_mark = |system: &&System| system.marks.iter().any(|mark| setup.files.exists(mark));
    let has_program = |system: &&System| system.programs.iter().any(|program| setup.has(program));
    let named = SYSTEMS.iter().find(is_id).or_else(|| SYSTEMS.iter().find(has_mark)).or_else(|| SYSTEMS.iter().find(has_program));
    named.or_else(|| is_transactional(setup).then_some(&TRANSACTIONAL)).or_else(|| is_of_a_store(setup).then_some(&OF_A_STORE))
}

fn is_of_a_store(setup: &Setup) -> bool {
    let files = setup.files.below("/etc/modprobe.d", ".conf").map(|(_, file)| file).chain(setup.files.0.get("/etc/fstab"));
    files.into_iter().any(|file| ["/nix/store/", "/gnu/store/"].iter().any(|store| file.place.starts_with(store)))
}

/// On such a system nothing is written; the plan says instead what to add to the system's own configuration.
pub(super) fn refuse(host: &Host, setup: &Setup, wanted: &Wanted, plan: &mut Plan) {
    let Some(System { name, made, lines, files, .. }) = found(&host.platform.distribution, setup) else { return };
    let needed = needed(host, setup, wanted, plan);
    let changes = !plan.is_empty();
    let of_functions = plan.writes.iter().filter(|write| virtual_functions::is_own(&write.path) && !wanted.virtual_functions.is_empty());
    let of_functions: Vec<File> = of_functions.filter_map(|write| File::of(&write.path, write.after.as_deref()?)).collect();
    // The finding below replaces those about files that do not exist here.
    plan.findings.retain(|finding| !["initramfs", "boot-loader"].contains(&finding.code));
    *plan = Plan { parameters: take(&mut plan.parameters), findings: take(&mut plan.findings), ..Plan::default() };
    if !of_functions.is_empty() {
        let message = format!("{name}: {made}, so the files for virtual functions that vgapt would write are lost or cannot be written");
        plan.findings.push(Finding::error("generated-files", message, files(&of_functions)));
    }
    if !needed.parameters.is_empty() || !needed.removed.is_empty() || !needed.bound.is_empty() {
        let lines = lines(&needed);
        let warning = twin_warning(&needed, &lines);
        let message = format!("{name}: {made}, so what vgapt would write is lost or cannot be written");
        plan.findings.push(Finding::error("generated", message, format!("{lines}{warning}")));
    } else if changes {
        plan.findings.push(Finding::warning(
            "generated",
            format!("{name}: {made}; vgapt writes nothing here, so libvirt does not call vgapt when a domain starts"),
            "start domains by a command that does the same before the start: vgapt start NAME",
        ));
    }
}

impl File {
    fn of(path: &str, text: &str) -> Option<Self> {
        let lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        (!lines.is_empty()).then(|| Self { path: path.to_owned(), lines })
    }

    fn is_rule(&self) -> bool {
        self.path == RULES
    }
}

/// Each file as it is.
fn by_path(files: &[File]) -> String {
    let one = |file: &File| format!("{}:\n    {}", file.path, file.lines.join("\n    "));
    let all: Vec<String> = files.iter().map(one).collect();
    format!("add these files to its configuration, so that /etc has them:\n{}\nthen reboot", all.join("\n"))
}

/// Options of NixOS (its modules services/hardware/udev.nix and system/boot/systemd.nix); it has no /usr/bin/timeout.
fn nixos_files(files: &[File]) -> String {
    let mut lines = Vec::new();
    for file in files {
        if file.is_rule() {
            lines.push(format!("services.udev.extraRules = ''\n      {}\n    '';", file.lines.join("\n      ")));
        }
        let Some(daemon) = virtual_functions::daemon_of(&file.path) else { continue };
        for command in file.lines.iter().filter_map(|line| line.strip_prefix("ExecStartPre=")) {
            let word = command.replace('\\', "\\\\").replace('"', "\\\"").replace("/usr/bin/timeout", "${pkgs.coreutils}/bin/timeout");
            lines.push(format!("systemd.services.{daemon}.serviceConfig.ExecStartPre = [ \"{word}\" ];"));
        }
    }
    format!("in configuration.nix:\n    {}\nthen: nixos-rebuild boot, and reboot", lines.join("\n    "))
}

/// `udev-rules-service` (Guix manual, "Base Services"). Its daemons are started by the Shepherd, which has no drop-in files.
fn guix_files(files: &[File]) -> String {
    let rule: Vec<String> =
        files.iter().filter(|file| file.is_rule()).flat_map(|file| &file.lines).map(|line| line.replace('"', "\\\"")).collect();
    let name = RULES.rsplit('/').next().unwrap_or(RULES);
    format!(
        "in the services of the operating-system declaration:\n    (udev-rules-service 'vgapt (udev-rule \"{name}\" \"{}\\n\"))\nthen: guix system reconfigure, and reboot; start domains that have them by hand, since libvirtd does not wait for them",
        rule.join("\\n")
    )
}

/// What this boot lacks, and what is not yet bound to vfio-pci.
fn needed(host: &Host, setup: &Setup, wanted: &Wanted, plan: &Plan) -> Needed {
    let running = host.platform.cmdline.clone().unwrap_or_default();
    let says = |token: &str| token.split_whitespace().all(|token| running.parameters().any(|one| one == token));
    let (removed, come): (Vec<_>, Vec<_>) = plan.parameters.iter().map(|one| one.token.clone()).partition(|token| token.starts_with('-'));
    let devices = host.devices(&wanted.functions).filter(|device| wanted.bind == Bind::Boot && !device.on_vfio());
    let bound = bound(setup);
    let new: Vec<Bound> = devices.map(Bound::of).filter(|new| !bound.contains(new)).collect();
    let stays = |address: PciAddress| !wanted.functions.contains(&address) && !bound.iter().any(|bound| bound.address == address);
    let twins = host.pci.iter().filter(|device| stays(device.address) && new.iter().any(|bound| bound.id == device.id));
    Needed {
        parameters: come.into_iter().filter(|token| !says(token)).collect(),
        removed: removed.into_iter().map(|token| token.trim_start_matches('-').to_owned()).collect(),
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
    let addresses = needed.addresses().join(" ");
    format!("for at in {addresses}; do echo vfio-pci > /sys/bus/pci/devices/$at/driver_override; done; modprobe -i vfio-pci")
}

/// The warning after the lines if an id would also bind a device that stays with the host, and the lines do not bind by
/// address.
fn twin_warning(needed: &Needed, lines: &str) -> String {
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
    let removed: String = needed.removed.iter().map(|token| format!(" (and remove {token})")).collect();
    format!("{}{removed}", line(needed).join(" "))
}

fn quoted(words: &[String]) -> Vec<String> {
    words.iter().map(|word| format!("\"{word}\"")).collect()
}

/// The parts that exist.
fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn truenas(needed: &Needed) -> String {
    let addresses = needed.addresses().join(", ");
    let isolated =
        (!addresses.is_empty()).then(|| format!("in its web interface, System, Advanced Settings, Isolated GPU Devices: {addresses}"));
    let removed: String = needed.removed.iter().map(|token| format!(" (without {token})")).collect();
    let options = (!needed.parameters.is_empty() || !removed.is_empty()).then(|| {
        let options = needed.parameters.join(" ");
        format!("midclt call system.advanced.update '{{\"kernel_extra_options\": \"{options}\"}}', including the present options{removed}")
    });
    format!("{}; then reboot", joined([options, isolated]))
}

fn by_hand(needed: &Needed) -> String {
    let ids = ids(needed);
    let options =
        (!ids.is_empty()).then(|| format!("options vfio-pci ids={} in /etc/modprobe.d, and vfio_pci in the initramfs", ids.join(",")));
    let parameters = (!needed.parameters.is_empty()).then(|| format!("the kernel parameters {}", needed.parameters.join(" ")));
    let removed = (!needed.removed.is_empty()).then(|| format!("without the kernel parameters {}", needed.removed.join(" ")));
    format!("with the system's own tools: {}", joined([parameters, removed, options]))
}

fn nixos(needed: &Needed) -> String {
    let mut lines = Vec::new();
    let parameters: Vec<String> = needed.parameters.iter().flat_map(|token| token.split_whitespace().map(str::to_owned)).collect();
    if !parameters.is_empty() {
        lines.push(format!("boot.kernelParams = [ {} ];", quoted(&parameters).join(" ")));
    }
    lines.extend(needed.removed.iter().map(|token| format!("# remove \"{token}\" from boot.kernelParams")));
    let ids = ids(needed);
    if !needed.twins.is_empty() {
        lines.push("boot.initrd.availableKernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ];".to_owned());
        lines.push(format!("# by address, since an id would also take {}", PciAddress::list(&needed.twins)));
        lines.push(
            "# with boot.initrd.systemd.enable: in a service of boot.initrd.systemd.services, before systemd-udevd.service".to_owned(),
        );
        lines.push(format!("boot.initrd.preDeviceCommands = ''{}'';", by_address(needed)));
    } else if !ids.is_empty() {
        lines.push("boot.initrd.kernelModules = [ \"vfio_pci\" \"vfio\" \"vfio_iommu_type1\" ];".to_owned());
        lines.push(format!("boot.extraModprobeConfig = \"options vfio-pci ids={}\";", ids.join(",")));
    }
    lines.push("virtualisation.libvirtd.enable = true; # its hooks: virtualisation.libvirtd.hooks.qemu".to_owned());
    format!("in configuration.nix:\n    {}\nthen: nixos-rebuild boot, and reboot", lines.join("\n    "))
}

fn guix(needed: &Needed) -> String {
    let removed: String = needed.removed.iter().map(|token| format!(" (without \"{token}\")")).collect();
    let modules = " (initrd-modules (cons* \"vfio_pci\" \"vfio_iommu_type1\" %base-initrd-modules))";
    let modules = if needed.bound.is_empty() { "" } else { modules };
    let words: String = quoted(&line(needed)).iter().map(|word| format!(" {word}")).collect();
    format!(
        "in the operating-system declaration: (kernel-arguments (cons*{words} %default-kernel-arguments)){removed}{modules}; then: guix system reconfigure, and reboot"
    )
}

fn transactional(needed: &Needed) -> String {
    let parameters = (!line(needed).is_empty() || !needed.removed.is_empty()).then(|| {
        let place = "in /etc/default/grub (GRUB_CMDLINE_LINUX) or /etc/kernel/cmdline";
        format!("{place}: {}; then: transactional-update grub.cfg; ", on_the_line(needed))
    });
    let image =
        "/etc/dracut.conf.d/vfio.conf with: force_drivers+=\" vfio_pci vfio_iommu_type1 \"; then: transactional-update --continue initrd; ";
    let image = if needed.bound.is_empty() { "" } else { image };
    format!("{}{image}and reboot into the new snapshot", parameters.unwrap_or_default())
}

fn unraid(needed: &Needed) -> String {
    let binds: Vec<String> = needed.bound.iter().map(|bound| format!("{}|{}", bound.address, bound.id)).collect();
    let binds = (!binds.is_empty()).then(|| format!("in /boot/config/vfio-pci.cfg: BIND={} (Tools, System Devices)", binds.join(" ")));
    let parameters =
        (!needed.parameters.is_empty()).then(|| format!("in /boot/syslinux/syslinux.cfg, after append: {}", needed.parameters.join(" ")));
    format!("{}; then reboot", joined([parameters, binds]))
}
