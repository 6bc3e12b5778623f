//! The domain's XML: its elements in libvirt's order, and what QEMU gets unchanged.

use serde_json::Value;

use super::draft::Draft;
use super::props::typed;
use crate::xml::Fragment;

/// libvirt's namespace for QEMU's own options.
const QEMU: &str = "http://libvirt.org/schemas/domain/qemu/1.0";
/// The elements of a domain, in the order in which libvirt writes them.
const ORDER: &str = "name uuid genid maxMemory memory memoryBacking vcpu cputune iothreads numatune sysinfo os features cpu clock on_reboot on_crash \
                     pm devices";

/// The domain as a text.
pub(super) fn assemble(draft: &Draft, name: &str, emulator: Option<&str>) -> String {
    let mut domain = draft.domain.clone();
    domain.set("name", name);
    let is_unset = |domain: &Fragment, name: &str| domain.at(name).is_none_or(|element| element.content().is_empty());
    if is_unset(&domain, "memory") {
        // QEMU's own default.
        domain.set("memory@unit", "MiB");
        domain.set("memory", 128);
    }
    if is_unset(&domain, "vcpu") {
        domain.set("vcpu", 1);
    }
    if let Some(path) = emulator {
        domain.set("devices/emulator", path);
    }
    domain.below("devices").sort(&["emulator"]);
    domain.sort(&ORDER.split(' ').collect::<Vec<_>>());
    let mut text = format!("<domain type='{}' xmlns:qemu='{QEMU}'>\n", if draft.is_kvm { "kvm" } else { "qemu" });
    for child in domain.children() {
        text.push_str(&format!("  {}\n", child.render("  ", "\n")));
    }
    text.push_str(&for_qemu(draft));
    text + "</domain>\n"
}

/// The options without an element, below a comment that says so.
fn for_qemu(draft: &Draft) -> String {
    let kept = draft.options.iter().filter(|option| option.is_kept());
    let words = kept.flat_map(|option| std::iter::once(format!("-{}", option.name)).chain(draft.value_for_qemu(option)));
    let mut line = Fragment::new("qemu:commandline");
    for word in words {
        line = line.child(Fragment::new("qemu:arg").with("value", word));
    }
    for (name, value) in &draft.environment {
        line = line.child(Fragment::new("qemu:env").with("name", name).with("value", value));
    }
    let mut overrides = Fragment::new("qemu:override");
    for (alias, name, value) in &draft.overrides {
        overrides.push(&format!("qemu:device[alias={alias}]/qemu:frontend"), property(name, value));
    }
    let mut text = String::new();
    if !line.children().is_empty() {
        text.push_str("  <!-- libvirt has no element for these, and does not manage the files and devices that they name -->\n");
        text.push_str(&format!("  {}\n", line.render("  ", "\n")));
    }
    if !overrides.children().is_empty() {
        text.push_str(&format!("  {}\n", overrides.render("  ", "\n")));
    }
    text
}

fn property(name: &str, value: &str) -> Fragment {
    let value = typed(name, value);
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "unsigned",
        _ => "string",
    };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Fragment::new("qemu:property").with("name", name).with("type", kind).with("value", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_properties() {
        let kind = |name: &str, value: &str| {
            let property = property(name, value);
            ["type", "value"].map(|name| property.attribute(name).unwrap_or_default().to_owned())
        };
        assert_eq!(kind("x-pci-vendor-id", "0x10de"), ["unsigned", "4318"]);
        assert_eq!(kind("x-vga", "on"), ["bool", "true"]);
        assert_eq!(kind("enable-migration", "on"), ["string", "on"]);
        assert_eq!(kind("display", "off"), ["string", "off"]);
    }
}
