//! Options that are passed to QEMU unchanged, and that this host's QEMU does not have.

use super::options::Conversion;
use super::props::Props;
use super::translate::Imported;

/// The options and devices of an import that QEMU refuses, by its `-help` and its `-device help`.
pub fn unknown_to_qemu<'i>(imported: &'i Imported, help: &str, devices: &str) -> Vec<&'i str> {
    let kept = imported.parts.iter().filter(|part| part.fate == Conversion::Unchanged);
    let has_option = |name: &str| {
        let words = help.lines().filter(|line| line.starts_with('-')).filter_map(|line| line.split_whitespace().next());
        words.flat_map(|word| word.split(['/', ','])).any(|word| word.strip_prefix('-') == Some(name))
    };
    let has_device = |value: &str| {
        let props = Props::read(value, "driver");
        let driver = props.peek("driver").unwrap_or_default();
        ["name", "alias"].iter().any(|what| devices.contains(&format!("{what} \"{driver}\"")))
    };
    let is_unknown = |written: &&str| {
        let (name, value) = written.split_once(' ').unwrap_or((written, ""));
        let name = name.trim_start_matches('-');
        !has_option(name) || (name == "device" && !has_device(value))
    };
    kept.map(|part| part.option.as_str()).filter(is_unknown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::translate::Part;

    #[test]
    fn what_help_does_not_name() {
        let part = |option: &str| Part { option: option.into(), fate: Conversion::Unchanged, how: String::new(), left: Vec::new() };
        let parts = ["-frob 7", "-hdb x", "-device edu,addr=1", "-device old", "-device {\"driver\":\"alias-of\"}"].map(part).to_vec();
        let imported = Imported { name: String::new(), xml: String::new(), parts, notes: Vec::new(), refusals: Vec::new() };
        let help = "usage\n-hda/-hdb file  use it\n-device driver[,prop]\n                -frob in a text\n-frobnicate x\n";
        let devices = "name \"edu\", bus PCI\nname \"x\", bus PCI, alias \"alias-of\"\n";
        assert_eq!(unknown_to_qemu(&imported, help, devices), ["-frob 7", "-device old"]);
    }
}
