//! Deployments of ostree: what the next one has on its command line, and whether rpm-ostree regenerates its initramfs on this
//! host, according to its origin.

use std::io;

use super::gvariant;
use crate::model::{ConfigFiles, OSTREE_BOOTED, OWN_OPTIONS, Reading, StagedDeployment};
use crate::root::Root;

/// A deployment that becomes bootable at shutdown: a `GVariant` with its origin as one of the strings, which end with a null.
const STAGED: &str = "/run/ostree/staged-deployment";
/// The longest one that is read: it is a few KiB long.
const LONGEST: usize = 1 << 20;
/// What bootc's package installs beside it, and bootc itself generates: the words that it understands.
const BOOTC_WORDS: &str = "/usr/share/bash-completion/completions/bootc";
const BY_SOURCE: &str = "set-options-for-source";
const ENTRIES: &str = "/boot/loader/entries";

/// The arguments that dracut gets; absent if the initramfs is the one of the image.
pub(super) fn local_initramfs(root: &Root, files: &ConfigFiles) -> Reading<Vec<String>> {
    if !files.exists(OSTREE_BOOTED) {
        return Reading::Absent;
    }
    let text = if root.exists(STAGED) {
        let origin = |text: &str| text.find("[origin]").and_then(|start| text[start..].split('\0').next()).unwrap_or_default().to_owned();
        match root.excerpt(STAGED, origin).filter(|text| !text.is_empty()) {
            Some(text) => text,
            None => return Reading::Unknown(format!("the origin in {STAGED} cannot be read")),
        }
    } else {
        let Some(path) = next_deployment(files).and_then(|path| root.real_path(&path)) else {
            return Reading::Unknown(format!("no entry in {ENTRIES} leads to a deployment"));
        };
        let path = format!("{path}.origin");
        match root.reading(&path) {
            Reading::Known(text) => text,
            Reading::Absent => return Reading::Unknown(format!("{path} does not exist")),
            Reading::Unknown(because) => return Reading::Unknown(because),
        }
    };
    arguments(&text).map_or(Reading::Absent, Reading::Known)
}

/// Whether bootc has `loader-entries set-options-for-source` (since 1.15.2).
pub(super) fn has_sources(root: &Root) -> bool {
    let line = |text: &str| text.lines().find(|line| line.contains(BY_SOURCE)).unwrap_or_default().to_owned();
    root.excerpt(BOOTC_WORDS, line).is_some_and(|line| !line.is_empty())
}

/// The deployment that becomes bootable at shutdown (`_ostree_sysroot_stage_tree…` in ostree's `ostree-sysroot-deploy.c`).
pub(super) fn staged(root: &Root) -> Reading<StagedDeployment> {
    let bytes = match root.first_bytes(STAGED, LONGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Reading::Absent,
        Err(error) => return Reading::Unknown(format!("cannot read {STAGED}: {error}")),
    };
    // Every one has its target.
    if gvariant::value(&bytes, "target", "a{sv}").is_none() {
        return Reading::Unknown(format!("{STAGED} is not understood"));
    }
    let cmdline = gvariant::value(&bytes, "kargs", "as").and_then(gvariant::strings).map(|words| words.join(" "));
    let own = gvariant::value(&bytes, "bootconfig-extra", "a{ss}").and_then(|extra| gvariant::text(extra, OWN_OPTIONS));
    Reading::Known(StagedDeployment { cmdline, own: own.unwrap_or_default().to_owned() })
}

/// The deployment of the entry with the highest version, which is booted next.
fn next_deployment(files: &ConfigFiles) -> Option<String> {
    let value = |text: &str, key: &str| text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
    let entries = files.texts(ENTRIES, ".conf").filter_map(|(_, text)| {
        let version: u32 = value(text, "version ")?.parse().ok()?;
        let options = value(text, "options ")?;
        Some((version, options.split_whitespace().find_map(|token| token.strip_prefix("ostree="))?.to_owned()))
    });
    entries.max().map(|(_, path)| path)
}

/// What an origin says (`rpmostree-origin.cxx`): a boolean, and a list whose items end with `;`.
fn arguments(origin: &str) -> Option<Vec<String>> {
    let section = origin.lines().map(str::trim).skip_while(|line| *line != "[rpmostree]").skip(1).take_while(|line| !line.starts_with('['));
    let pairs: Vec<(&str, &str)> = section.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), value.trim())).collect();
    let value = |name: &str| pairs.iter().rfind(|(key, _)| *key == name).map(|(_, value)| *value);
    matches!(value("regenerate-initramfs"), Some("true" | "1")).then(|| {
        let list = value("initramfs-args").unwrap_or_default();
        list.split(';').filter(|item| !item.is_empty()).map(str::to_owned).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_origin_says() {
        for (text, expected) in [
            ("[origin]\nrefspec=fedora:fedora/41\n", None),
            ("[rpmostree]\nregenerate-initramfs=false\n", None),
            ("[other]\nregenerate-initramfs=true\n", None),
            ("[rpmostree]\nregenerate-initramfs=true\n", Some(vec![])),
            (
                "[rpmostree]\ninitramfs-args=--add;lvm;\nregenerate-initramfs=true\n[packages]\nregenerate-initramfs=false\n",
                Some(vec!["--add".to_owned(), "lvm".to_owned()]),
            ),
        ] {
            assert_eq!(arguments(text), expected, "{text}");
        }
    }
}
