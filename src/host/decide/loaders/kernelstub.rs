//! kernelstub (Pop!_OS): a JSON file with the user's kernel options, from which it generates systemd-boot's entries.

use serde_json::Value;

use super::loader::Loader;
use super::{bls, systemd_boot};
use crate::host::plan::{Command, Edits, text_of};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static KERNELSTUB: Loader = Loader {
    kind: BootLoader::Kernelstub,
    name: "kernelstub",
    configured,
    edit,
    next: systemd_boot::entries,
    made_from: |_| vec![CONFIGURATION],
    images: systemd_boot::images,
    fallback: systemd_boot::fallback,
};

pub(super) const CONFIGURATION: &str = "/etc/kernelstub/configuration";

fn configured(setup: &Setup) -> bool {
    setup.files.exists(CONFIGURATION)
}

fn edit(host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let Some(file) = setup.files.0.get(CONFIGURATION) else { return Ok(edits) };
    let changed = changed(text_of(CONFIGURATION, file)?, wants).ok_or_else(|| {
        Finding::error(
            "boot-loader",
            format!("{CONFIGURATION} has no list user.kernel_options, so kernelstub did not write it"),
            "run kernelstub once, which regenerates it",
        )
    })?;
    edits.change(setup, CONFIGURATION, "the kernel options that kernelstub sets for each kernel", |_| changed)?;
    for directory in systemd_boot::ENTRIES {
        bls::edit_entries(host, setup, directory, wants, &mut edits)?;
    }
    if !edits.writes.is_empty() {
        let made = systemd_boot::ENTRIES.map(|directory| format!("{directory}/"));
        edits.commands.push(Command::of(&["kernelstub"], "it generates the boot entries from its configuration").making(made));
    }
    Ok(edits)
}

/// Replaces the list of the user's options, one per line as kernelstub does; the rest is unchanged.
fn changed(text: &str, wants: &[ParameterChange]) -> Option<String> {
    let configuration: Value = serde_json::from_str(text).ok()?;
    let options = configuration.get("user")?.get("kernel_options")?.as_array()?;
    let line = options.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    if tokens::has_all(&line, wants) {
        return Some(text.to_owned());
    }
    let key = text.find("\"user\"")?;
    let key = key + text[key..].find("\"kernel_options\"")?;
    let open = key + text[key..].find('[')?;
    let close = open + text[open..].find(']')?;
    let indent: String = text[..key].chars().rev().take_while(|c| *c == ' ').collect();
    let items: Vec<String> =
        tokens::with(&line, wants).split_whitespace().map(|token| format!("{indent}  {}", Value::from(token))).collect();
    let changed = format!("{}[\n{}\n{indent}]{}", &text[..open], items.join(",\n"), &text[close + 1..]);
    // A bracket in an option, or a file in another order, would have broken the edit.
    let written: Value = serde_json::from_str(&changed).ok()?;
    let kept = written.get("user")?.get("kernel_options")?.as_array()?.len() == items.len()
        && written.get("default") == configuration.get("default");
    kept.then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_list_changes() {
        let text = "{\n  \"default\": {\n    \"kernel_options\": [\n      \"quiet\"\n    ]\n  },\n  \"user\": {\n    \"kernel_options\": [\n      \"quiet\",\n      \"intel_iommu=off\"\n    ],\n    \"esp_path\": \"/boot/efi\"\n  }\n}";
        let after = changed(text, &[ParameterChange::Set("intel_iommu=on".into())]).unwrap();
        assert_eq!(after, text.replace("intel_iommu=off", "intel_iommu=on"));
        assert!(changed("{}", &[]).is_none());
    }
}
