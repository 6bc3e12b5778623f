//! The window that shows the guest on the host: SPICE or VNC with an emulated graphics adapter, keyboard and mouse. What the
//! domain has already is used as it is; what vgapt added is removed with the window.

use super::apply::Draft;
use crate::domain::alias;
use crate::domain::base::Base;
use crate::domain::edit::{Change, Edit, Entry, Part, Policy, find, says};
use crate::domain::request::Request;
use crate::domain::request::extras::Window;
use crate::domain_xml::{device_with_alias, devices_named, has_input, is_usb_off, video_model};
use crate::xml::{Element, Fragment};

/// A path of its own, which does not stand for the element of the templates.
const VIDEO: &str = "devices/video[#=0]";
/// Every guest system has a driver for it, and so has UEFI, for Windows 7 too (OVMF's shim); Looking Glass asks for it too
/// (looking-glass.io/docs/B7, libvirt installation).
const MODEL: &str = "vga";
/// Other hosts cannot connect. libvirt's default can be changed in qemu.conf.
const HERE: &str = "127.0.0.1";
const SPICE_SOUND: &str = "devices/audio[type=spice]";
/// The port of SPICE's agent in the guest (libvirt formatdomain, `spicevmc`).
const AGENT: &str = "com.redhat.spice.0";

/// Sets or removes the window, if the request changes it.
pub(crate) fn window(draft: &mut Draft, base: &Base, wanted: &Request) {
    if !base.differs(|request| (request.extras.display, request.extras.looking_glass.is_some())) {
        return;
    }
    let window = wanted.extras.window();
    let had_spice = has_spice(draft);
    for kind in Window::ALL {
        graphics(draft, kind, window == Some(kind));
    }
    // libvirt adds SPICE's sound to a new domain that has SPICE, and refuses it in one that has not
    // (qemuDomainDefAddDefaultAudioBackend, qemuValidateDomainDeviceDefAudio); it adds what else is its default.
    if had_spice && !has_spice(draft) && find(draft.root(), SPICE_SOUND).is_some() {
        draft.apply(Edit { change: Change::Remove, ..Edit::put(Part::Display, SPICE_SOUND) }.policy(Policy::Helper));
    }
    if window.is_some() {
        add_video(draft);
    } else {
        remove_video(draft);
    }
    let devices = window.map(|window| devices(draft.root(), window, wanted.extras.looking_glass.is_some())).unwrap_or_default();
    let names: Vec<&str> = devices.iter().map(|(name, _)| *name).collect();
    draft.retain(Part::Devices, alias::WINDOW, |_, rest| names.contains(&rest));
    for (name, device) in devices {
        draft.apply(Edit::insert(Part::Devices, device.child(alias::element(&format!("{}{name}", alias::WINDOW)))));
    }
}

fn has_spice(draft: &Draft) -> bool {
    find(draft.root(), "devices/graphics[type=spice]").is_some()
}

/// `<graphics>` has no alias: it is vgapt's as long as it says what vgapt wrote.
fn graphics(draft: &mut Draft, kind: Window, is_wanted: bool) {
    let path = format!("devices/graphics[type={}]", kind.word());
    let put = Edit::put(Part::Display, &path).with("autoport", "yes").with("listen", HERE);
    let now = find(draft.root(), &path);
    if is_wanted {
        if now.is_none() {
            draft.apply(put);
        }
        return;
    }
    let is_ours = now.is_some_and(|now| says(now, &put.says()));
    if draft.written.remove(Part::Display, &path).is_some() && is_ours {
        draft.apply(Edit { change: Change::Remove, ..put });
    }
}

/// A model of `none` is put in place of the domain's, which libvirt accepts only as the only one; any other model stays.
fn add_video(draft: &mut Draft) {
    match find(draft.root(), VIDEO) {
        None => {
            let model = Fragment::new("model").with("type", MODEL);
            let video = Fragment::new("video").child(model).child(alias::element(alias::VIDEO));
            let edit = Edit { change: Change::Insert(video), ..Edit::put(Part::Display, VIDEO) };
            draft.apply(edit.policy(Policy::Returned));
        }
        Some(video) if video_model(video).as_deref() == Some("none") => {
            let before = Entry { before: Some(video.source().to_owned()), ..Entry::default() };
            draft.written.insert(Part::Display, VIDEO, before);
            let put = |below: &str| Edit::put(Part::Display, format!("{VIDEO}/{below}")).policy(Policy::Checked);
            draft.apply(put("model").with("type", MODEL));
            draft.apply(put("alias").with("name", alias::VIDEO));
        }
        Some(_) => {}
    }
}

/// What the user has changed since is not touched.
fn remove_video(draft: &mut Draft) {
    let before = draft.written.remove(Part::Display, VIDEO).and_then(|entry| entry.before);
    let Some(before) = before.filter(|_| device_with_alias(draft.root(), alias::VIDEO).is_some()) else { return };
    let change = if before.is_empty() { Change::Remove } else { Change::Replace(before) };
    draft.apply(Edit { change, ..Edit::device(Part::Display, alias::VIDEO, "") }.policy(Policy::Helper));
}

/// The devices of a window that the domain does not have yet, with the rest of their aliases. Looking Glass needs a mouse that
/// reports movements; without it, a tablet keeps the pointers of host and guest at the same place.
fn devices(domain: Element<'_>, window: Window, is_looking_glass: bool) -> Vec<(&'static str, Fragment)> {
    let is_there = |name: &str| device_with_alias(domain, &format!("{}{name}", alias::WINDOW)).is_some();
    let input = |kind: &'static str, bus: &str| {
        let is_ours_to_have = is_there(kind) || !has_input(domain, kind, bus);
        is_ours_to_have.then(|| (kind, Fragment::new("input").with("type", kind).with("bus", bus)))
    };
    let agent = || {
        let target = Fragment::new("target").with("type", "virtio").with("name", AGENT);
        ("agent", Fragment::new("channel").with("type", "spicevmc").child(target))
    };
    let has_agent = devices_named(domain, "channel").any(|channel| channel.attribute("type").as_deref() == Some("spicevmc"));
    let agent = (window == Window::Spice && (is_there("agent") || !has_agent)).then(agent);
    let inputs = if is_looking_glass && window == Window::Spice {
        [input("mouse", "virtio"), input("keyboard", "virtio")]
    } else {
        [input("tablet", "usb").filter(|_| !is_usb_off(domain)), None]
    };
    agent.into_iter().chain(inputs.into_iter().flatten()).collect()
}
