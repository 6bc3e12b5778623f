//! The domain's XML from its parts.

use super::draft::{Conversion, Draft};
use crate::xml::Fragment;

/// libvirt's namespace for QEMU's own options.
const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";

/// The domain as a text.
pub(super) fn assemble(draft: &Draft, name: &str, emulator: Option<&str>) -> String {
    let parts = |parent: &str| draft.parts(parent);
    let fill = |name: &'static str| {
        let attributes = draft.attributes.iter().filter(|(of, ..)| *of == name);
        let mut seen: Vec<&str> = Vec::new();
        let element = attributes.fold(Fragment::new(name), |element, (_, attribute, value)| {
            if seen.contains(attribute) {
                return element;
            }
            seen.push(attribute);
            element.with(attribute, value)
        });
        parts(name).into_iter().fold(element, Fragment::child)
    };
    let is_empty = |element: &Fragment| element.attributes().is_empty() && element.children().is_empty();
    let own = |name: &str| parts("").into_iter().filter(|part| part.name() == name).collect::<Vec<_>>();
    let mut children: Vec<Fragment> = vec![Fragment::new("name").text(name)];
    children.extend(own("uuid").into_iter().take(1));
    children.extend(own("maxMemory").into_iter().take(1));
    // QEMU's own default.
    children.push(own("memory").pop().unwrap_or_else(|| Fragment::new("memory").with("unit", "MiB").text(128)));
    children.extend(Some(backing(draft, fill("memoryBacking"))).filter(|backing| !is_empty(backing)));
    let vcpu = own("vcpu").pop().unwrap_or_else(|| Fragment::new("vcpu").text(1));
    let processors = draft.attributes.iter().rfind(|(element, ..)| *element == "vcpu");
    children.push(processors.into_iter().fold(vcpu, |vcpu, (_, name, value)| vcpu.with(name, value)));
    children.extend(Some(fill("cputune")).filter(|tune| !is_empty(tune)));
    children.extend(own("iothreads"));
    children.extend(Some(fill("numatune")).filter(|tune| !is_empty(tune)));
    let sysinfo = fill("sysinfo");
    if !is_empty(&sysinfo) {
        children.push(sysinfo.with("type", "smbios"));
    }
    children.push(fill("os"));
    children.push(features(draft, fill("features"), [fill("hyperv"), fill("kvm")]));
    let cpu = fill("cpu");
    let numa = fill("numa");
    let cpu = cpu.child_if((!is_empty(&numa)).then_some(numa));
    children.extend((!is_empty(&cpu)).then_some(cpu));
    children.push(fill("clock"));
    children.extend(own("on_reboot").into_iter().take(1));
    children.extend(own("on_crash").into_iter().take(1));
    children.extend(Some(fill("pm")).filter(|pm| !is_empty(pm)));
    let devices = Fragment::new("devices").child_if(emulator.map(|path| Fragment::new("emulator").text(path)));
    children.push(parts("devices").into_iter().fold(devices, Fragment::child));
    let mut text = format!("<domain type='{}' xmlns:qemu='{QEMU}'>\n", if draft.is_kvm { "kvm" } else { "qemu" });
    for child in children {
        text.push_str(&format!("  {}\n", child.render("  ", "\n")));
    }
    text.push_str(&for_qemu(draft));
    text + "</domain>\n"
}

fn backing(draft: &Draft, backing: Fragment) -> Fragment {
    let mut kind = draft.attributes.iter().filter(|(element, ..)| *element == "source").map(|(.., kind)| kind.as_str());
    let kind = kind.next().or_else(|| draft.needs_shared_memory.then_some("memfd"));
    let backing = backing.child_if(kind.map(|kind| Fragment::new("source").with("type", kind)));
    backing.child_if(draft.needs_shared_memory.then(|| Fragment::new("access").with("mode", "shared")))
}

fn features(draft: &Draft, features: Fragment, groups: [Fragment; 2]) -> Fragment {
    let [hyperv, kvm] = groups;
    let has_mode = draft.attributes.iter().any(|(element, ..)| *element == "hyperv");
    // mode='passthrough' includes all enlightenments; libvirt's schema allows no single ones beside it.
    let hyperv = if has_mode {
        hyperv.attributes().iter().fold(Fragment::new("hyperv"), |hyperv, (name, value)| hyperv.with(name, value))
    } else {
        hyperv
    };
    let hyperv = if has_mode || hyperv.children().is_empty() { hyperv } else { hyperv.with("mode", "custom") };
    let is_there = |group: &Fragment| !group.attributes().is_empty() || !group.children().is_empty();
    let (has_hyperv, has_kvm) = (is_there(&hyperv), is_there(&kvm));
    features.child_if(has_hyperv.then_some(hyperv)).child_if(has_kvm.then_some(kvm))
}

/// The options without an element, below a comment that says so.
fn for_qemu(draft: &Draft) -> String {
    let kept: Vec<&super::options::QemuOption> = draft
        .options
        .iter()
        .zip(&draft.conversions)
        .filter(|(_, fate)| matches!(fate, Some((Conversion::Unchanged, _))))
        .map(|(option, _)| option)
        .collect();
    let value = |option: &super::options::QemuOption| draft.value_for_qemu(option);
    let words = kept.iter().flat_map(|option| std::iter::once(format!("-{}", option.name)).chain(value(option)));
    let words: Vec<String> = draft.arguments.iter().cloned().chain(words).collect();
    let mut text = String::new();
    if !words.is_empty() {
        let line =
            words.iter().fold(Fragment::new("qemu:commandline"), |line, word| line.child(Fragment::new("qemu:arg").with("value", word)));
        text.push_str("  <!-- libvirt has no element for these, and does not manage the files and devices that they name -->\n");
        text.push_str(&format!("  {}\n", line.render("  ", "\n")));
    }
    let mut aliases: Vec<&str> = draft.overrides.iter().map(|(alias, ..)| alias.as_str()).collect();
    aliases.dedup();
    let device = |alias: &&str| {
        let properties = draft.overrides.iter().filter(|(of, ..)| of == alias);
        let front = properties.fold(Fragment::new("qemu:frontend"), |front, (_, name, value)| front.child(property(name, value)));
        Fragment::new("qemu:device").with("alias", alias).child(front)
    };
    if !aliases.is_empty() {
        let all = aliases.iter().map(device).fold(Fragment::new("qemu:override"), Fragment::child);
        text.push_str(&format!("  {}\n", all.render("  ", "\n")));
    }
    text
}

/// Properties that take `on`, `off` or `auto`: strings to QEMU, not booleans
/// (`DEFINE_PROP_ON_OFF_AUTO` in `hw/vfio/pci.c`).
const WORDS: [&str; 4] = ["display", "enable-migration", "x-migration-load-config-after-iter", "x-migration-multifd-transfer"];

fn property(name: &str, value: &str) -> Fragment {
    let hexadecimal = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let number = hexadecimal.or_else(|| value.parse().ok()).map(|number: u64| number.to_string());
    let (kind, value) = match value {
        _ if WORDS.contains(&name.replace('_', "-").as_str()) => ("string", value),
        "on" | "yes" | "true" => ("bool", "true"),
        "off" | "no" | "false" => ("bool", "false"),
        _ if number.is_some() => ("unsigned", number.as_deref().unwrap_or_default()),
        _ => ("string", value),
    };
    Fragment::new("qemu:property").with("name", name).with("type", kind).with("value", value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_properties() {
        let kind =
            |name: &str, value: &str| property(name, value).attributes()[1..].iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        assert_eq!(kind("x-pci-vendor-id", "0x10de"), ["unsigned", "4318"]);
        assert_eq!(kind("x-vga", "on"), ["bool", "true"]);
        assert_eq!(kind("enable-migration", "on"), ["string", "on"]);
        assert_eq!(kind("display", "off"), ["string", "off"]);
    }
}
