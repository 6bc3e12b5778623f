//! Devices that vgapt recognises by their alias alone: which of each kind the domain should have.

use crate::domain::alias;
use crate::domain::request::extras::{Extras, Toggle};
use crate::domain::request::files::folder;
use crate::domain::request::network::Network;
use crate::domain::spec::Owned;
use crate::xml::Fragment;

fn named(prefix: &str, rest: &str) -> Fragment {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    alias::element(&format!("{prefix}{}", rest.chars().map(plain).collect::<String>()))
}

/// The devices of a request, kind by kind.
pub(super) fn all(extras: &Extras) -> Vec<Owned> {
    let kind = |prefix, devices| Owned { prefix, devices };
    let mdev = extras.mdev.iter().map(|uuid| mdev(uuid)).collect();
    let shares = extras.share.iter().map(|share| share_of(share)).collect();
    let screen = extras.looking_glass.map(|screen| {
        Fragment::new("shmem")
            .with("name", "looking-glass")
            .child(Fragment::new("model").with("type", "ivshmem-plain"))
            .child(Fragment::new("size").with("unit", "M").text(screen.mib()))
            .child(named(alias::SHMEM, &screen.mib().to_string()))
    });
    let sound = extras.sound.map(|sound| Fragment::new("sound").with("model", "ich9").child(named(alias::SOUND, sound.word())));
    vec![
        kind(alias::MDEV, mdev),
        kind(alias::EVDEV, inputs(extras)),
        kind(alias::SHARE, shares),
        kind(alias::SHMEM, screen.into_iter().collect()),
        kind(alias::SOUND, sound.into_iter().collect()),
    ]
}

fn mdev(uuid: &str) -> Fragment {
    Fragment::new("hostdev")
        .with("mode", "subsystem")
        .with("type", "mdev")
        .with("model", "vfio-pci")
        .child(Fragment::new("source").child(Fragment::new("address").with("uuid", uuid)))
        .child(named(alias::MDEV, uuid))
}

/// The toggle keys of the keyboard switch all input devices, even if the guest hangs.
fn inputs(extras: &Extras) -> Vec<Fragment> {
    let is_keyboard = |path: &&String| path.ends_with("-kbd");
    let leader = extras.evdev.iter().find(is_keyboard).or(extras.evdev.first());
    let toggle = extras.evdev_toggle.unwrap_or_default();
    extras.evdev.iter().map(|path| input(path, (Some(path) == leader).then_some(toggle))).collect()
}

fn input(path: &str, leads: Option<Toggle>) -> Fragment {
    let mut source = Fragment::new("source").with("dev", path);
    if let Some(toggle) = leads {
        source = source.with("grab", "all").with("grabToggle", toggle.word());
    }
    if path.ends_with("-kbd") {
        source = source.with("repeat", "on");
    }
    Fragment::new("input").with("type", "evdev").child(source).child(named(alias::EVDEV, path.rsplit('/').next().unwrap_or(path)))
}

fn share_of(share: &str) -> Fragment {
    let (folder, name) = folder(share);
    Fragment::new("filesystem")
        .with("type", "mount")
        .with("accessmode", "passthrough")
        .child(Fragment::new("driver").with("type", "virtiofs"))
        .child(Fragment::new("source").with("dir", folder))
        .child(Fragment::new("target").with("dir", name))
        .child(named(alias::SHARE, name))
}

/// The network card.
pub(super) fn network(network: &Network) -> Owned {
    let source = |attribute: &str, name: &str| Fragment::new("source").with(attribute, name);
    let (kind, inner) = match network {
        Network::None => return Owned { prefix: alias::NETWORK, devices: Vec::new() },
        Network::User => ("user", None),
        Network::Passt => ("user", Some(Fragment::new("backend").with("type", "passt"))),
        Network::Nat(name) => ("network", Some(source("network", name))),
        Network::Bridge(name) => ("bridge", Some(source("bridge", name))),
        Network::Macvtap(name) => ("direct", Some(source("dev", name).with("mode", "bridge"))),
    };
    let card = Fragment::new("interface").with("type", kind).child_if(inner).child(Fragment::new("model").with("type", "virtio"));
    Owned { prefix: alias::NETWORK, devices: vec![card.child(named(alias::NETWORK, &network.to_string()))] }
}
