//! Words that people know from elsewhere, and what they are called here.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{Command, Error};

/// Subcommands by what other programs call them.
pub(crate) const SUBCOMMANDS: [(&[&str], &str); 25] = [
    (
        &["create", "new", "add", "make", "install"],
        "'vgapt define NAME --gpu auto' defines a domain, 'vgapt disk create FILE SIZE' makes a disk",
    ),
    (&["delete", "remove", "rm", "del"], "'vgapt undefine NAME' removes a domain; its disks stay"),
    (
        &["destroy", "kill", "poweroff", "force-stop"],
        "'vgapt stop NAME --force' powers a guest off, 'vgapt undefine NAME' removes a domain",
    ),
    (&["run", "launch", "boot", "up", "resume"], "'vgapt start NAME' starts a domain"),
    (&["shutdown", "down", "halt", "off"], "'vgapt stop NAME' shuts a guest down"),
    (&["restart", "reboot"], "'vgapt stop NAME', then 'vgapt start NAME'"),
    (&["edit", "change", "modify", "set", "update"], "'vgapt define NAME' with the options to change changes a domain"),
    (&["configure", "config", "init", "wizard", "begin", "quickstart"], "'vgapt setup' asks for everything, step by step"),
    (&["ls", "gpus", "gpu", "cards", "devices", "scan", "detect", "lspci"], "'vgapt list' lists the graphics cards"),
    (&["groups", "iommu", "iommu-groups"], "'vgapt list --groups' lists the IOMMU groups"),
    (&["usb", "lsusb"], "'vgapt list --usb' lists the USB devices"),
    (&["doctor", "diagnose", "verify", "validate", "test", "ready"], "'vgapt check' checks this host"),
    (&["bind", "vfio", "isolate", "enable"], "'vgapt prepare --gpu auto' enables the IOMMU and binds a card to vfio-pci"),
    (&["unbind", "revert", "restore", "rollback", "uninstall"], "'vgapt undo' reverts everything that 'vgapt prepare' changed"),
    (&["info", "get", "cat", "inspect", "dumpxml"], "'vgapt show NAME' shows what was asked for, 'vgapt explain NAME' each element"),
    (&["ps", "state", "domains", "vms", "watch"], "'vgapt status NAME' shows a domain"),
    (&["connect", "plug", "hotplug", "attach-device"], "'vgapt attach NAME' adds devices to a domain"),
    (&["disconnect", "unplug", "detach-device"], "'vgapt detach NAME' removes what was attached"),
    (
        &["convert", "migrate", "translate"],
        "'vgapt import SCRIPT' reads a script that starts QEMU, 'vgapt export NAME' prints a domain for others",
    ),
    (&["image", "img", "images", "snapshot", "resize"], "'vgapt disk' has the commands for disk images"),
    (&["pin", "pinning", "cores", "cpus", "numa"], "'vgapt topology' shows cores; 'vgapt define NAME --cpus auto' pins them"),
    (&["record", "dump", "report", "bugreport"], "'vgapt capture FILE' records this host"),
    (&["log", "logs", "failure", "failed", "debug", "error"], "'vgapt why NAME' says why a start failed, from the logs"),
    (&["manual", "docs", "doc"], "'vgapt man' prints the manual page"),
    (&["wait"], "'vgapt start NAME --wait' waits until the guest is up"),
];

/// Options by what other programs call them: the option here, and what else is to be said.
pub(crate) const OPTIONS: [(&[&str], &str, &str); 19] = [
    (&["vga", "card", "graphics", "device", "host-device", "hostdev", "video"], "gpu", ""),
    (&["hostdev", "host-device", "device", "nic"], "pci", ""),
    (&["storage", "hdd", "drive", "image", "hda"], "disk", ""),
    (&["cd", "dvd", "installer", "install-cd"], "cdrom", ""),
    (&["drivers", "virtio", "virtio-cd", "virtio-win"], "virtio-iso", ""),
    (&["cores", "threads", "smp", "sockets", "processors"], "cpus", ""),
    (&["input", "kbd"], "evdev", ""),
    (&["net", "nic", "bridge"], "network", "such as bridge=BRIDGE"),
    (&["audio", "soundhw"], "sound", ""),
    (&["folder", "virtiofs", "filesystem", "shared-folder"], "share", ""),
    (&["firmware", "uefi", "ovmf", "bios"], "loader", "UEFI is what a new domain has without it"),
    (&["tpm", "secure-boot", "secureboot"], "os", "with win11 the guest has a TPM 2.0 and Secure Boot"),
    (&["romfile", "vbios"], "rom", ""),
    (&["kvmfr", "ivshmem", "shmem"], "looking-glass", ""),
    (&["single-gpu", "hooks"], "handover", ""),
    (&["config", "from-file"], "file", ""),
    (&["simulate", "what-if", "check", "no-act", "preview"], "dry-run", ""),
    (&["noconfirm", "no-confirm", "assume-yes", "assumeyes"], "yes", ""),
    (&["host", "uri", "hypervisor"], "connect", ""),
];

/// Options that are no options here.
const ELSEWHERE: [(&[&str], &str); 4] = [
    (&["name", "domain", "vm"], "the domain's name stands without an option: 'vgapt define NAME'"),
    (&["iommu", "vfio", "early-bind"], "'vgapt prepare' enables the IOMMU and binds the card to vfio-pci"),
    (&["size", "disk-size"], "'vgapt disk create FILE SIZE' makes a disk of this size"),
    (&["start"], "'vgapt start NAME' starts the domain"),
];

/// An unknown subcommand. A word that is known by its meaning is not also taken for a misspelt one (`delete`, `define`).
pub(super) fn of_subcommand(mut error: Error) -> Error {
    let word = said(&error, ContextKind::InvalidSubcommand);
    let Some((_, tip)) = SUBCOMMANDS.iter().find(|(words, _)| words.contains(&word.as_str())) else { return error };
    error.remove(ContextKind::SuggestedSubcommand);
    told(error, (*tip).to_owned())
}

/// An unknown option of this command.
pub(super) fn of_option(mut error: Error, command: &Command) -> Error {
    let argument = said(&error, ContextKind::InvalidArg);
    let Some(word) = argument.strip_prefix("--") else { return error };
    let has = |option: &str| command.get_arguments().any(|argument| argument.get_long() == Some(option));
    let own = OPTIONS.iter().filter(|(words, option, _)| words.contains(&word) && has(option));
    let mut tips: Vec<String> = own
        .map(|(_, option, more)| format!("the option for this is '--{option}'{}{more}", if more.is_empty() { "" } else { ": " }))
        .collect();
    tips.extend(ELSEWHERE.iter().filter(|(words, _)| words.contains(&word)).map(|(_, tip)| (*tip).to_owned()));
    if !tips.is_empty() {
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::Suggested);
    }
    tips.into_iter().fold(error, told)
}

/// The word that was not understood.
fn said(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(word)) => word.clone(),
        _ => String::new(),
    }
}

fn told(mut error: Error, tip: String) -> Error {
    let mut tips = match error.remove(ContextKind::Suggested) {
        Some(ContextValue::StyledStrs(tips)) => tips,
        _ => Vec::new(),
    };
    tips.push(StyledStr::from(tip));
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    error
}
