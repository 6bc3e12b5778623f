//! Devices whose alias says all that vgapt has to know of them: what is no longer wanted goes, what
//! is missing comes, and what is there stays as it is, whatever somebody changed in it.

use super::{Extras, Network, Toggle, alias};
use crate::model::Finding;
use crate::xml::{Document, Element, Fragment};

/// vgapt's devices of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// How their aliases begin.
    pub(super) prefix: &'static str,
    /// What is to be there.
    pub(super) devices: Vec<Fragment>,
}

impl Owned {
    /// The aliases of its devices; each has one (`named`).
    pub(super) fn names(&self) -> Vec<String> {
        let name = |device: &Fragment| {
            let alias = device.children().iter().find(|child| child.name() == "alias");
            alias.and_then(|alias| alias.attributes().first()).map(|(_, name)| name.clone()).unwrap_or_default()
        };
        self.devices.iter().map(name).collect()
    }
}

/// Makes them exactly these.
pub(super) fn set(domain: &mut Document, owned: &Owned) {
    let wanted = owned.names();
    let mac = mac_of(domain.root(), owned.prefix);
    alias::retain(domain, owned.prefix, |_, rest| wanted.contains(&format!("{}{rest}", owned.prefix)));
    for (device, name) in owned.devices.iter().zip(&wanted) {
        if alias::find(domain.root(), name).is_none() {
            let mac = mac.clone().filter(|_| device.name() == "interface").map(|mac| Fragment::new("mac").with("address", mac));
            super::devices::add(domain, &device.clone().child_if(mac));
        }
    }
}

/// The address by which the guest's system knows its network card: another one would be a new card to it.
fn mac_of(domain: Element<'_>, prefix: &str) -> Option<String> {
    let (device, _) = alias::with_prefix(domain, prefix).next()?;
    Some(device.child("mac")?.attribute("address")?.into_owned())
}

fn named(prefix: &str, rest: &str) -> Fragment {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    Fragment::new("alias").with("name", format!("{prefix}{}", rest.chars().map(plain).collect::<String>()))
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

/// The keyboard takes the others with it when its keys are pressed; a guest that hangs is left that way too.
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

/// The folder of a share, and its name in the guest.
pub fn folder(share: &str) -> (&str, &str) {
    let last = |path: &'_ str| path.trim_end_matches('/').rsplit('/').next().map_or(0, str::len);
    match share.split_once('=') {
        Some((folder, name)) if !name.is_empty() => (folder, name),
        _ => {
            let folder = share.trim_end_matches(['=', '/']);
            (folder, &folder[folder.len() - last(folder)..])
        }
    }
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

/// What is to be done on the host for what is asked for, which no domain can do.
pub(super) fn on_the_host(extras: &Extras) -> Vec<Finding> {
    let mut findings = Vec::new();
    for share in &extras.share_smb {
        let (folder, name) = folder(share);
        let at = match &extras.network {
            None | Some(Network::User) => "10.0.2.2".to_owned(),
            Some(Network::Nat(_)) => "the address of the network's bridge, 192.168.122.1 on libvirt's default".to_owned(),
            Some(Network::Passt | Network::Bridge(_)) => "the host's address".to_owned(),
            Some(Network::Macvtap(_) | Network::None) => "no address: such a guest does not reach the host; take --network nat".to_owned(),
        };
        findings.push(Finding::warning(
            "samba",
            format!("{folder} is shared once the host's Samba serves it: libvirt has no element for it"),
            format!("vgapt prepare --share-smb {share} does that; the guest finds \\\\HOST\\{name}, HOST being {at}"),
        ));
    }
    if extras.looking_glass.is_some() {
        findings.push(Finding::warning(
            "looking-glass",
            "/dev/shm/looking-glass belongs to QEMU's user, and the one who watches has to read it",
            "put `f /dev/shm/looking-glass 0660 YOU kvm -` into /etc/tmpfiles.d/10-looking-glass.conf, then systemd-tmpfiles --create",
        ));
    }
    if let Some(sound) = extras.sound {
        findings.push(Finding::warning(
            "sound",
            format!("{} belongs to the one who is logged in, and the system's QEMU runs as another user", sound.word()),
            "set user = \"YOU\" in /etc/libvirt/qemu.conf and give the domain's <audio> your runtimeDir (/run/user/1000)",
        ));
    }
    findings
}
