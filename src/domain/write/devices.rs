//! Devices that are fully identified by their alias: those no longer requested are removed, missing ones are added, and
//! present ones stay unchanged, including manual edits.

use super::apply::Draft;
use super::kvmfr;
use crate::domain::alias;
use crate::domain::base::Base;
use crate::domain::edit::{Change, Edit, Part};
use crate::domain::request::Request;
use crate::domain::request::extras::{Extras, Toggle};
use crate::domain::request::files::folder;
use crate::domain::request::network::Network;
use crate::domain_xml::{Interface, device_with_alias, devices_with_alias};
use crate::model::Host;
use crate::xml::Fragment;

/// The devices of one kind that the domain should have, with the prefix of their aliases.
type Kind = (&'static str, Vec<Fragment>);

/// Sets the devices of each kind that the request changes to exactly those that it names.
pub(crate) fn devices(draft: &mut Draft, base: &Base, wanted: &Request, host: &Host) {
    let kvmfr = kvmfr::decided(draft, base, wanted, host);
    let before = kinds(&base.last.as_ref().map(|last| last.request.extras.clone()).unwrap_or_default());
    let now = kinds(&wanted.extras).into_iter().zip(before).filter(|(now, before)| now != before).map(|(now, _)| now);
    let differs = base.differs(|request| (request.extras.network.clone(), request.extras.network_queues));
    let network = wanted.extras.network.as_ref().filter(|_| differs);
    for (prefix, devices) in now.chain(network.map(network_card)) {
        if prefix != alias::SHMEM || kvmfr.is_none() {
            set(draft, prefix, &devices);
        }
    }
    if let Some(network) = network.filter(|network| network.has_queues()) {
        set_queues(draft, &name(alias::NETWORK, &network.to_string()), wanted.extras.network_queues);
    }
    if kvmfr.is_some() {
        set(draft, alias::SHMEM, &[]);
    }
    if kvmfr.is_some() || base.differs(|request| request.extras.looking_glass) {
        kvmfr::set(draft, kvmfr);
    }
}

fn set(draft: &mut Draft, prefix: &'static str, devices: &[Fragment]) {
    // With another MAC address, the guest system would see a new network card.
    let mac = devices_with_alias(draft.root(), prefix).next().and_then(|(device, _)| Interface::of(device).mac);
    draft.retain(Part::Devices, prefix, |_, rest| devices.iter().any(|device| alias::of(device) == format!("{prefix}{rest}")));
    for device in devices {
        let mac = mac.clone().filter(|_| device.name() == "interface").map(|mac| Fragment::new("mac").with("address", mac));
        draft.apply(Edit::insert(Part::Devices, device.clone().child_if(mac)));
    }
}

/// libvirt gives a network card that is connected through the kernel to its vhost by itself, where there is one.
fn set_queues(draft: &mut Draft, card: &str, queues: Option<u32>) {
    let queues = queues.filter(|queues| *queues > 1);
    let put = Edit::device(Part::Devices, card, "driver");
    let now = device_with_alias(draft.root(), card).and_then(|card| card.child("driver"));
    let has_more = now.is_some_and(|driver| driver.children().next().is_some() || driver.attribute_names().any(|name| name != "queues"));
    let edit = match (queues, now) {
        (None, None) => return,
        // libvirt drops an empty one.
        (None, Some(_)) if !has_more => Edit { change: Change::Remove, ..put },
        (queues, _) => put.with_or_without("queues", queues),
    };
    draft.apply(edit);
}

fn named(prefix: &str, rest: &str) -> Fragment {
    alias::element(&name(prefix, rest))
}

fn name(prefix: &str, rest: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    format!("{prefix}{}", rest.chars().map(plain).collect::<String>())
}

/// The devices of a request, kind by kind.
fn kinds(extras: &Extras) -> [Kind; 5] {
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
    [
        (alias::MDEV, mdev),
        (alias::EVDEV, inputs(extras)),
        (alias::SHARE, shares),
        (alias::SHMEM, screen.into_iter().collect()),
        (alias::SOUND, sound.into_iter().collect()),
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

fn network_card(network: &Network) -> Kind {
    let source = |attribute: &str, name: &str| Fragment::new("source").with(attribute, name);
    let (kind, inner) = match network {
        Network::None => return (alias::NETWORK, Vec::new()),
        Network::User => ("user", None),
        Network::Passt => ("user", Some(Fragment::new("backend").with("type", "passt"))),
        Network::Nat(name) => ("network", Some(source("network", name))),
        Network::Bridge(name) => ("bridge", Some(source("bridge", name))),
        Network::Macvtap(name) => ("direct", Some(source("dev", name).with("mode", "bridge"))),
    };
    let card = Fragment::new("interface").with("type", kind).child_if(inner).child(Fragment::new("model").with("type", "virtio"));
    (alias::NETWORK, vec![card.child(named(alias::NETWORK, &network.to_string()))])
}
