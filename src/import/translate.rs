//! Converts a script's QEMU command into a domain, and reports what became of each option.

use serde::Serialize;

use super::draft::{self, Draft};
use super::options::options;
use super::surroundings::ImportContext;
use super::{
    Script, assemble, before, channels, cpu, display, firmware, hostdevs, machine, memory, network, nothing, paths, sets, shared, sound,
    storage, usb,
};
use crate::xml::is_xml;

/// What became of a part of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conversion {
    /// libvirt has an element for it.
    Native,
    /// It is passed to QEMU unchanged.
    #[serde(rename = "kept")]
    Unchanged,
    /// It has no meaning under libvirt.
    Meaningless,
}

/// A part of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// As it was written.
    pub option: String,
    /// What became of it.
    pub fate: Conversion,
    /// The element, or the reason.
    pub how: String,
    /// Its properties that were not converted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A domain made from a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The domain's name.
    pub name: String,
    /// Its XML.
    pub xml: String,
    /// Every option, in order.
    pub parts: Vec<Part>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// Reasons not to define the domain, since it would not behave like the script, each with its remedy.
    #[serde(skip)]
    pub refusals: Vec<(String, String)>,
}

/// Converts a script into a domain; `name` is used if its options set no name.
pub fn translate(script: &Script, name: &str, forced_name: Option<&str>, around: ImportContext<'_>) -> Imported {
    let mut options = options(&script.argv);
    let placed = paths::absolute(&mut options, &around);
    let mut draft = Draft::new(options);
    draft.notes.extend(placed);
    sets::translate(&mut draft);
    machine::translate(&mut draft);
    cpu::translate(&mut draft);
    firmware::translate(&mut draft);
    shared::translate(&mut draft);
    memory::translate(&mut draft);
    storage::translate(&mut draft, &around);
    network::translate(&mut draft);
    hostdevs::translate(&mut draft);
    usb::translate(&mut draft);
    display::translate(&mut draft);
    sound::translate(&mut draft, &script.environment);
    channels::translate(&mut draft);
    nothing::translate(&mut draft);
    for note in moved(&draft) {
        draft.notes.push(note);
    }
    let said = draft.parts("name").first().map(|element| element.content().to_owned());
    let name = forced_name.map(str::to_owned).or(said).unwrap_or_else(|| name.to_owned()).replace('/', "-");
    let left = before::translate(&mut draft, &script.before);
    let emulator = script.argv.first().filter(|program| program.starts_with('/') && !program.contains(['$', ' ']));
    let xml = assemble::assemble(&draft, &name, emulator.map(String::as_str));
    let mut notes = script.notes.clone();
    if !left.is_empty() {
        notes.push(format!("{} before QEMU is left out: libvirt starts QEMU itself, as its own user", left.join(" ")));
    }
    notes.append(&mut draft.notes);
    let mut refusals = std::mem::take(&mut draft.refusals);
    let words = script.argv.iter().chain(forced_name.is_some().then_some(&name));
    let odd = words.filter(|word| !is_xml(word));
    refusals.extend(odd.map(|word| {
        let why = format!("{word:?} contains a character that is not allowed in XML, so libvirt cannot accept it");
        (why, "remove the character from the script".to_owned())
    }));
    Imported { name, xml, parts: parts(&draft), notes, refusals }
}

/// Devices passed to QEMU unchanged, on a controller that libvirt creates.
fn moved(draft: &Draft) -> Vec<String> {
    let kept = draft.options.iter().zip(&draft.conversions).filter(|(_, fate)| matches!(fate, Some((draft::Conversion::Unchanged, _))));
    let note = |(option, _): (&super::options::QemuOption, _)| {
        let to = draft.value_for_qemu(option).filter(|to| *to != option.value())?;
        Some(format!("{} is passed to QEMU as -{} {to}: libvirt creates its controller, under another name", option.text(), option.name))
    };
    kept.filter_map(note).collect()
}

/// Why a property is not converted.
fn reason_not_converted(option: &str, name: &str) -> &'static str {
    match name {
        "smb" => "QEMU would start a Samba server for it, which libvirt forbids",
        "debug" | "x-pci-debug" => "debug output for QEMU developers",
        "model" | "ver" | "wwn" => "libvirt supports it for SCSI disks only",
        _ if option == "device" => "libvirt has no element for it; <qemu:override> can set it",
        _ => "libvirt has no element for it",
    }
}

fn parts(draft: &Draft) -> Vec<Part> {
    let part = |(option, fate): (&super::options::QemuOption, &Option<(draft::Conversion, String)>)| {
        let (fate, how) = match fate {
            Some((draft::Conversion::Native, how)) => (Conversion::Native, how.clone()),
            Some((draft::Conversion::Unchanged, how)) => (Conversion::Unchanged, how.clone()),
            Some((draft::Conversion::Dropped, how)) => (Conversion::Meaningless, how.clone()),
            // `nothing` has settled all remaining options.
            None => (Conversion::Meaningless, String::new()),
        };
        let left = if fate == Conversion::Native { option.props.left() } else { Vec::new() };
        let left = left.into_iter().map(|(name, value)| format!("{name}={value}: {}", reason_not_converted(&option.name, &name))).collect();
        Part { option: option.text(), fate, how, left }
    };
    draft.options.iter().zip(&draft.conversions).map(part).collect()
}
