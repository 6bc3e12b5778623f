//! UEFI firmware for guests: QEMU's firmware descriptors, then the usual paths of distributions.

use serde::Deserialize;

use crate::model::Firmware;
use crate::root::Root;

/// The folders of descriptors, the administrator's before the distribution's
/// (QEMU docs/interop/firmware.json); a file in the first overrides one of the same name in the second.
const DESCRIPTORS: [&str; 2] = ["/etc/qemu/firmware", "/usr/share/qemu/firmware"];

/// Matching code and variables images of distributions, without Secure Boot.
const KNOWN_PAIRS: [(&str, &str); 10] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.4m.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2-ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/OVMF_VARS.fd"),
    ("/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    ("/run/libvirt/nix-ovmf/OVMF_CODE.fd", "/run/libvirt/nix-ovmf/OVMF_VARS.fd"),
];

/// The same with Secure Boot and Microsoft's keys: Debian and Ubuntu, Fedora, openSUSE.
const KNOWN_SECURE_PAIRS: [(&str, &str); 4] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    ("/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
    ("/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin"),
];

/// The installed firmwares for x86 q35 guests: without Secure Boot first, raw before qcow2.
pub(super) fn firmwares(root: &Root) -> Vec<Firmware> {
    let mut found: Vec<Firmware> = descriptors(root).iter().filter_map(|text| from_descriptor(text)).collect();
    let known = |(code, vars): &(&str, &str), secure: bool| Firmware {
        code: (*code).into(),
        vars: (*vars).into(),
        format: "raw".into(),
        secure_boot: secure,
        has_keys: secure,
    };
    found.extend(KNOWN_PAIRS.iter().map(|pair| known(pair, false)));
    found.extend(KNOWN_SECURE_PAIRS.iter().map(|pair| known(pair, true)));
    found.retain(|firmware| root.exists(&firmware.code) && root.exists(&firmware.vars));
    // The sort is stable and keeps the priority of the descriptors, which is the order of their names.
    found.sort_by_key(|firmware| (firmware.secure_boot, firmware.format != "raw"));
    let mut codes = Vec::new();
    found.retain(|firmware| !codes.contains(&firmware.code) && (codes.push(firmware.code.clone()), true).1);
    found
}

fn descriptors(root: &Root) -> Vec<String> {
    let mut files: Vec<(String, &str)> = Vec::new();
    for directory in DESCRIPTORS {
        for name in root.names(directory).into_iter().filter(|name| name.ends_with(".json")) {
            if !files.iter().any(|(known, _)| *known == name) {
                files.push((name, directory));
            }
        }
    }
    files.sort();
    files.iter().filter_map(|(name, directory)| root.text(&format!("{directory}/{name}")).ok()).collect()
}

/// The part of a descriptor that is used.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Descriptor {
    interface_types: Vec<String>,
    mapping: Mapping,
    targets: Vec<DescriptorTarget>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mapping {
    device: String,
    executable: DescriptorImage,
    nvram_template: DescriptorImage,
}

#[derive(Deserialize)]
struct DescriptorImage {
    filename: String,
    format: String,
}

#[derive(Deserialize)]
struct DescriptorTarget {
    architecture: String,
    machines: Vec<String>,
}

fn from_descriptor(text: &str) -> Option<Firmware> {
    let descriptor: Descriptor = serde_json::from_str(text).ok()?;
    let for_q35 = descriptor
        .targets
        .iter()
        .any(|target| target.architecture == "x86_64" && target.machines.iter().any(|machine| machine.contains("q35")));
    let has = |feature: &str| descriptor.features.iter().any(|known| known == feature);
    let usable = descriptor.interface_types.iter().any(|kind| kind == "uefi") && descriptor.mapping.device == "flash" && for_q35;
    // Firmware only for confidential guests (SEV, TDX) does not support sleep states; general firmware does.
    let only_confidential = (has("amd-sev") || has("amd-sev-es") || has("amd-sev-snp") || has("intel-tdx")) && !has("acpi-s3");
    (usable && !only_confidential).then(|| Firmware {
        code: descriptor.mapping.executable.filename,
        vars: descriptor.mapping.nvram_template.filename,
        format: descriptor.mapping.executable.format,
        secure_boot: has("enrolled-keys") || has("requires-smm"),
        has_keys: has("enrolled-keys"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIPTOR: &str = r#"{"description":"x","interface-types":["uefi"],"mapping":{"device":"flash","mode":"split",
        "executable":{"filename":"/c","format":"raw"},"nvram-template":{"filename":"/v","format":"raw"}},
        "targets":[{"architecture":"x86_64","machines":["pc-q35-*"]}],"features":["acpi-s3","amd-sev"],"tags":[]}"#;

    #[test]
    fn descriptor() {
        assert_eq!(
            from_descriptor(DESCRIPTOR).unwrap(),
            Firmware { code: "/c".into(), vars: "/v".into(), format: "raw".into(), secure_boot: false, has_keys: false }
        );
        assert!(from_descriptor(&DESCRIPTOR.replace("acpi-s3", "enrolled-keys").replace("amd-sev", "acpi-s4")).unwrap().secure_boot);
        assert!(from_descriptor(&DESCRIPTOR.replace("x86_64", "aarch64")).is_none());
        assert!(from_descriptor("{").is_none());
    }
}
