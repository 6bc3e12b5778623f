//! The kernel parameters that are needed: which of them this boot has, and which the next.

use super::facts::Facts;
use crate::host::loaders::{self, Chosen, Entry};
use crate::host::{Parameter, Plan};
use crate::model::{Cmdline, Finding};

/// The needed parameters, compared with this boot and the next.
pub(super) struct Needs {
    /// Those that this boot lacks.
    pub(super) lacks_now: Vec<Parameter>,
    /// The boot loader.
    pub(super) loader: Result<Chosen, Finding>,
    /// What can be booted next, recovery entries left out.
    pub(super) entries: Vec<Entry>,
    /// The entries that lack a parameter, or contradict one.
    pub(super) lacking: Vec<Entry>,
}

impl Needs {
    pub(super) fn of(facts: &Facts, plan: &Plan) -> Self {
        let now = facts.host.platform.cmdline.clone();
        let lacks_now = plan.parameters.iter().filter(|one| now.as_ref().is_some_and(|line| !says(line, &one.token))).cloned().collect();
        let loader = loaders::chosen(facts.host, facts.setup);
        let mut entries = loader.as_ref().map(|chosen| chosen.loader.next_boot(facts.setup)).unwrap_or_default();
        entries.retain(|entry| !entry.is_recovery());
        let lacks = |entry: &&Entry| {
            let line = Cmdline(entry.cmdline.clone());
            turns_off(&line).is_some() || plan.parameters.iter().any(|one| !says(&line, &one.token))
        };
        let lacking = entries.iter().filter(lacks).cloned().collect();
        Self { lacks_now, loader, entries, lacking }
    }

    /// Whether the next boot has all that is needed; `None` where its entries are not known.
    pub(super) fn next_boot_has_them(&self) -> Option<bool> {
        (!self.entries.is_empty()).then_some(self.lacking.is_empty())
    }
}

/// The parameter of a command line that disables the IOMMU.
pub(super) fn turns_off(line: &Cmdline) -> Option<&'static str> {
    let off = |name: &&&str| line.get(name).is_some_and(|value| value.split(',').any(|part| part == "off"));
    ["intel_iommu", "amd_iommu", "iommu"].iter().find(off).copied()
}

/// Whether a command line has a parameter as [`Parameter::token`] writes it.
pub(super) fn says(line: &Cmdline, token: &str) -> bool {
    let (token, wanted) = token.strip_prefix('-').map_or((token, true), |token| (token, false));
    let has = |token: &str| {
        let (name, value) = token.split_once('=').unwrap_or((token, ""));
        let known = line.get(name);
        known == Some(value)
            || known.is_some_and(|known| value.split(',').all(|part| known.split(',').any(|one| one.eq_ignore_ascii_case(part))))
    };
    token.split_whitespace().all(has) == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_do_not_count() {
        let entry = |source: &str, cmdline: &str| Entry { source: source.into(), cmdline: cmdline.into() }.is_recovery();
        assert!(
            entry("/boot/grub/grub.cfg, line 9 (x)", "root=1 ro single") && entry("/boot/loader/entries/Z-vgapt-without.conf", "root=1")
        );
        assert!(entry("/boot/grub/grub.cfg, line 9 (x)", "root=1 ro systemd.unit=emergency.target"));
        assert!(entry("/boot/loader/entries/0-rescue.conf", "root=1") && !entry("/boot/loader/entries/debian.conf", "root=1 quiet"));
    }

    #[test]
    fn what_a_line_says() {
        let line = Cmdline("quiet intel_iommu=on,sm_on vfio-pci.ids=10de:1401,10de:0fba iommu=off hugepagesz=1G hugepages=8".into());
        for token in ["intel_iommu=on", "vfio-pci.ids=10DE:0fba", "-amd_iommu=off", "hugepagesz=1G hugepages=8", "quiet"] {
            assert!(says(&line, token), "{token}");
        }
        for token in ["-iommu=off", "vfio-pci.ids=1002:aaf0", "hugepagesz=1G hugepages=9", "debug"] {
            assert!(!says(&line, token), "{token}");
        }
        assert_eq!(turns_off(&line), Some("iommu"));
        assert_eq!(turns_off(&Cmdline("iommu=pt".into())), None);
    }
}
