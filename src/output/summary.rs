//! A domain in a few lines: what its user has to know of it.

use super::style::{WARNING, paint, shown};
use crate::domain::{GuestNetwork, Input, Installer, PassedCard, Picture, Summary};
use crate::model::shell_word;

/// A domain in a few lines.
pub fn summary(summary: &Summary) -> String {
    let Summary { name, title, system, memory, hugepages, processors, pinned, cards, functions, mediated, .. } = summary;
    let pages = if *hugepages { " in huge pages" } else { "" };
    let memory = memory.map(|memory| format!("{memory}{pages}"));
    let pins = if *pinned { ", pinned to cores of the host" } else { "" };
    let processors = processors.map(|count| format!("{count} {}{pins}", if count == 1 { "processor" } else { "processors" }));
    let title = title.as_ref().map(|title| format!("\"{title}\""));
    let whole: Vec<String> = [title, system.clone(), memory, processors].into_iter().flatten().collect();
    let functions = functions.iter().map(|function| device(function.name.as_deref(), &function.address.short()));
    let devices: Vec<String> = functions.chain(mediated.iter().map(|uuid| format!("mediated device {uuid}"))).collect();
    let rows: Vec<(&str, Vec<String>)> = vec![
        ("card", cards.iter().map(|card| device(card.name.as_deref(), &card.address.short())).collect()),
        ("devices", devices),
        ("picture", pictures(summary)),
        ("input", inputs(&summary.input)),
        ("disk", if summary.disks.is_empty() { vec!["none".to_owned()] } else { summary.disks.clone() }),
        ("CD", summary.cds.clone()),
        ("network", if summary.networks.is_empty() { vec!["none".to_owned()] } else { summary.networks.iter().map(network).collect() }),
        ("install", summary.installer.iter().map(installer).collect()),
    ];
    let mut text = format!("{}: {}", shown(name), shown(&whole.join(", ")));
    for (what, values) in rows.into_iter().filter(|(_, values)| !values.is_empty()) {
        text.push_str(&format!("\n  {what:<8}  {}", values.iter().map(|value| marked(value)).collect::<Vec<_>>().join("; ")));
    }
    text
}

/// Where the picture of a guest with a card is.
pub fn picture(summary: &Summary) -> Option<String> {
    (!summary.cards.is_empty()).then(|| pictures(summary).join("; "))
}

/// What the user has not got is marked.
fn marked(value: &str) -> String {
    let is_missing = value == "none" || value.starts_with("nowhere");
    if is_missing { paint(WARNING, value) } else { shown(value).into_owned() }
}

fn device(name: Option<&str>, address: &str) -> String {
    name.map_or_else(|| address.to_owned(), |name| format!("{name} ({address})"))
}

fn pictures(summary: &Summary) -> Vec<String> {
    let several = summary.cards.len() > 1;
    let of = |picture: &Picture| match picture {
        Picture::Monitor { card } if several => format!("on a monitor that is plugged into {}", card.short()),
        Picture::Monitor { .. } => "on a monitor that is plugged into the card".to_owned(),
        Picture::HostMonitor { .. } => "on the host's own monitor, which returns to the host when the guest ends".to_owned(),
        Picture::LookingGlass => "in Looking Glass on this host".to_owned(),
        Picture::Window { protocol, elsewhere: false } => {
            format!("in a window on this host ({}): virt-manager or virt-viewer opens it", protocol.to_uppercase())
        }
        Picture::Window { protocol, elsewhere: true } => {
            let name = shell_word(&summary.name);
            format!("in a window on another machine ({}): virt-viewer -c qemu+ssh://HOST/system {name} opens it", protocol.to_uppercase())
        }
    };
    let is_blind = |card: &PassedCard| card.outputs == Some(false);
    match summary.picture.as_slice() {
        [] if !summary.cards.is_empty() && summary.cards.iter().all(is_blind) => {
            vec!["nowhere: the card has no outputs; only a remote desktop in the guest shows it".to_owned()]
        }
        [] => vec!["nowhere: only a remote desktop in the guest shows it".to_owned()],
        pictures => pictures.iter().map(of).collect(),
    }
}

fn inputs(inputs: &[Input]) -> Vec<String> {
    let of = |input: &Input| match input {
        Input::Evdev { toggle, devices } => {
            let keys = match toggle.as_deref() {
                Some("ctrl-ctrl") => "both control keys",
                Some("alt-alt") => "both alt keys",
                Some("shift-shift") => "both shift keys",
                Some("meta-meta") => "both meta keys",
                Some("scrolllock") => "scroll lock",
                Some("ctrl-scrolllock") => "control and scroll lock",
                Some(_) | None => return format!("devices of the host: {}", devices.join(", ")),
            };
            format!("the host's devices, which {keys} switch between host and guest")
        }
        Input::Usb { devices } => format!("USB devices, which only the guest has while it runs: {}", devices.join(", ")),
        Input::UsbController { address } => format!("what is plugged into {}", address.short()),
        Input::Window { protocol } => format!("the window ({})", protocol.to_uppercase()),
    };
    if inputs.is_empty() { vec!["none".to_owned()] } else { inputs.iter().map(of).collect() }
}

fn network(GuestNetwork { kind, source }: &GuestNetwork) -> String {
    let named = source.as_deref().unwrap_or_default();
    match kind.as_str() {
        "user" => "through the host (user)".to_owned(),
        "network" => format!("libvirt's network {named}"),
        "bridge" => format!("bridge {named}"),
        "direct" => format!("macvtap on {named}"),
        kind => [kind, named].join(" ").trim_end().to_owned(),
    }
}

fn installer(Installer { driver, cd }: &Installer) -> String {
    if *cd {
        format!("the installer shows no disk until you load the driver {driver} from the virtio CD")
    } else {
        format!("the installer shows no disk without the driver {driver}: add the CD that has it with --virtio-iso")
    }
}
