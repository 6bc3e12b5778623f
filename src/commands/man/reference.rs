//! The environment variables and files of the manual pages, by the names that the program itself uses.

use crate::commands::completions;
use crate::commands::import;
use crate::commands::shared::context;
use crate::domain;
use crate::host;
use crate::hypervisor;
use crate::life;
use crate::locks;
use crate::model;

/// A name, what it means, and the commands that it matters to; all, if there are none.
type Entry = (&'static str, &'static str, &'static [&'static str]);

/// Which commands change a domain.
const DEFINING: &[&str] = &["define", "setup"];

const ENVIRONMENT: &[Entry] = &[
    (context::URI_VARIABLE, "the libvirt to connect to, without --connect", &[]),
    (hypervisor::TIMEOUT_VARIABLE, "how many seconds libvirt may take for each answer, in place of vgapt's own limits", &[]),
    ("LIBVIRT_DEBUG", "libvirt's log level; its log is printed to standard error", &[]),
    ("NO_COLOR", "if it is set, the output has no colours, unless --color says otherwise; CLICOLOR and CLICOLOR_FORCE likewise", &[]),
    ("PATH", "where other programs are searched; only in its absolute folders", &[]),
    ("XDG_CONFIG_HOME", "the folder of libvirt/libvirt.conf, and of the answers of setup, in place of ~/.config", &[]),
    ("HOME", "the home folder", &[]),
    ("SUDO_USER", "the user whose home folder setup searches for images, where it runs through sudo", &["setup"]),
    ("COLUMNS", "the width of the terminal at which lines are broken, from 40 to 120", &[]),
    ("XDG_RUNTIME_DIR", "the folder of the lock files of an ordinary user", &[]),
    (
        completions::VARIABLE,
        "set by the scripts of vgapt completions: print candidates for the given words, and do nothing else",
        &["completions"],
    ),
];

const FILES: &[Entry] = &[
    (model::HOOK, "the script by which libvirt calls vgapt at a domain's start and stop", &["prepare", "undo", "start", "hook"]),
    (host::RECEIPTS, "what prepare changed, with the former contents, for undo", &["prepare", "undo"]),
    (host::MODPROBE, "the binding of cards to vfio-pci", &["prepare", "undo"]),
    (host::SCRIPT, "the script that binds cards by their address in the initramfs", &["prepare", "undo"]),
    (life::TAKEN, "what running domains have taken from the host", &["start", "stop", "hook"]),
    (
        locks::FOLDER,
        "lock files: only one vgapt at a time changes something",
        &["prepare", "undo", "define", "attach", "detach", "disk", "setup"],
    ),
    ("/etc/libvirt/libvirt.conf", "uri_default, the libvirt to connect to; for an ordinary user ~/.config/libvirt/libvirt.conf", &[]),
    ("~/.config/vgapt/NAME.toml", "the answers of setup, until the domain is defined", &["setup"]),
];

/// The programs of others that belong to a command.
const OTHERS: &[(&str, &[&str])] = &[
    ("", &["virsh", "virt-manager", "virt-install", "qemu-img"]),
    ("prepare", &["dracut", "modprobe"]),
    ("define", &["virsh", "virt-install", "virt-xml"]),
    ("start", &["virsh", "virt-viewer"]),
    ("disk", &["qemu-img", "virt-copy-in", "virt-sparsify"]),
    ("list", &["lspci", "lsusb"]),
    ("export", &["virsh", "virtctl"]),
    ("topology", &["lstopo", "lscpu"]),
    ("measure", &["virsh", "perf-kvm", "turbostat"]),
];

/// The variables that matter to a command; to vgapt itself, which has no name here, all.
pub(super) fn environment(command: &str) -> Vec<(String, String)> {
    let mut found = fitting(ENVIRONMENT, command);
    if command.is_empty() || DEFINING.contains(&command) {
        let meaning = |option: &str| format!("the value of --{option} where a new domain is defined without this option");
        found.extend(domain::VARIABLES.map(|(name, option)| (name.to_owned(), meaning(option))));
    }
    if command.is_empty() || command == "import" {
        let further = import::FROM_ENVIRONMENT.iter().filter(|name| !found.iter().any(|(known, _)| known == *name));
        let further: Vec<_> = further.map(|name| ((*name).to_owned(), "its value in a script that does not set it".to_owned())).collect();
        found.extend(further);
    }
    found
}

/// The files that matter to a command; to vgapt itself, which has no name here, all.
pub(super) fn files(command: &str) -> Vec<(String, String)> {
    fitting(FILES, command)
}

/// The manual pages of others.
pub(super) fn others(command: &str) -> &'static [&'static str] {
    OTHERS.iter().find(|(name, _)| *name == command).map_or(&[], |(_, pages)| *pages)
}

fn fitting(entries: &[Entry], command: &str) -> Vec<(String, String)> {
    let matters = |entry: &&Entry| command.is_empty() || entry.2.is_empty() || entry.2.contains(&command);
    entries.iter().filter(matters).map(|(name, meaning, _)| ((*name).to_owned(), (*meaning).to_owned())).collect()
}
