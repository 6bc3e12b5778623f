//! Which values which argument takes. An argument with named values or with a path needs no line.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::Command;
use clap_complete::ArgValueCompleter;

use super::values::{Paths, Source};

/// Resolutions that screens have.
const SCREENS: &[&str] = &["1920x1080", "2560x1440", "3440x1440", "3840x2160"];
/// The formats that people have.
const FORMATS: &[&str] = &["qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc"];

/// The values of an argument of a command (`disk swap`); `None` where its type says what they are.
#[allow(clippy::match_same_arms)] // The first line that fits counts.
pub(crate) fn source(command: &str, argument: &str) -> Option<Source> {
    Some(match (command, argument) {
        ("man", "subcommand") => Source::Subcommands,
        ("disk swap", "overlay") => Source::DisksOf,
        ("disk swap", "disk") => Source::Targets,
        ("disk info" | "disk commit" | "disk compact" | "disk copy-in", "disk" | "overlay")
        | ("disk merge", "overlay")
        | ("disk overlay", "base") => Source::Disks,
        ("disk copy-in", "directory") | ("import", "name" | "set") | ("check", "next") | ("hook", _) => Source::Free,
        ("start", "name") => Source::Domains { running: Some(false) },
        ("stop" | "measure", "name") => Source::Domains { running: Some(true) },
        (_, "name") => Source::Domains { running: None },
        ("list" | "check" | "topology", "gpu") => Source::Cards { auto: false },
        (_, "gpu") => Source::Cards { auto: true },
        (_, "gpu_audio") => Source::Audio,
        (_, "pci" | "vfs") | ("reset", "address") => Source::Functions,
        (_, "usb" | "keyboard" | "mouse") => Source::Usb,
        (_, "mdev") => Source::Mediated,
        (_, "evdev") => Source::Inputs,
        (_, "network") => Source::Network,
        (_, "share_network") => Source::Networks,
        (_, "connect") => Source::Fixed(&["qemu:///system", "qemu:///session"]),
        (_, "cpus") => Source::Fixed(&["auto"]),
        (_, "hugepage_size") => Source::Fixed(&["2M", "1G"]),
        (_, "looking_glass") => Source::Fixed(SCREENS),
        (_, "format" | "source_format") => Source::Fixed(FORMATS),
        (_, "cdrom" | "virtio_iso") => Source::Files(Paths::Discs),
        (_, "disk" | "rom" | "loader" | "nvram_template" | "emulator") => Source::Files(Paths::Any),
        (_, "share" | "share_smb") => Source::Files(Paths::Folders),
        (
            _,
            "memory" | "hugepages" | "size" | "disk_size" | "isolate" | "timeout" | "title" | "description" | "running" | "seconds"
            | "io_threads" | "network_queues",
        ) => Source::Free,
        _ => return None,
    })
}

/// The command, whose arguments offer their values to somebody who has typed these words.
pub(super) fn with_values(command: Command, words: &Arc<[String]>) -> Command {
    let subcommands: Arc<[String]> =
        command.get_subcommands().filter(|one| !one.is_hide_set()).map(|one| one.get_name().to_owned()).collect();
    offering(command, "", words, &subcommands)
}

fn offering(command: Command, path: &str, words: &Arc<[String]>, subcommands: &Arc<[String]>) -> Command {
    // Who has not begun an option is offered options only where there is nothing else.
    let is_option = words.last().is_some_and(|word| word.starts_with('-'));
    let command = command.mut_args(|argument| {
        let source = source(path, argument.get_id().as_str());
        let argument = if is_option || argument.is_positional() { argument } else { argument.hide(true) };
        let Some(source) = source else { return argument };
        let (words, subcommands) = (words.clone(), subcommands.clone());
        argument.add(ArgValueCompleter::new(move |current: &OsStr| source.candidates(current, &words, &subcommands)))
    });
    command.mut_subcommands(|one| {
        let path = format!("{path} {}", one.get_name());
        offering(one, path.trim_start(), words, subcommands)
    })
}
