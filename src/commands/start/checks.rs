//! What a start depends on: what is read, the findings against the start, and the steps that are announced.

use anyhow::Result;

use super::super::Context;
use super::super::shared::existing::Existing;
use super::super::shared::facts::{HostPaths, other_domains};
use super::super::shared::holders::held;
use super::super::shared::next;
use super::super::shared::refused::Refused;
use super::free::Freed;
use crate::discovery::{self, Scope};
use crate::domain::{self, HostResources, OtherDomain, Passed, PassedTo, Record, Summary};
use crate::domain_xml;
use crate::hypervisor::Hypervisor;
use crate::interrupt::Interrupted;
use crate::model::{Finding, HOOK, Host, Next, PciAddress, PciDevice, RecordedGroup, Uses, shell_word};
use crate::output;
use crate::root::Root;
use crate::xml::Document;

/// What a start depends on.
pub(super) struct Facts<'a> {
    name: &'a str,
    domain: &'a Document,
    record: Option<&'a Record>,
    /// The root of the host's files; `None` where only libvirt describes the host.
    root: Option<&'a Root>,
    host: Host,
    uses: Uses,
    other_domains: Vec<OtherDomain>,
    passed: Vec<Passed>,
    groups: &'a [RecordedGroup],
    functions: Vec<PciAddress>,
    /// What the domain takes from the host, if vgapt manages it.
    needs: Option<HostResources>,
}

impl<'a> Facts<'a> {
    pub(super) fn read(
        context: &Context,
        connection: &dyn Hypervisor,
        name: &'a str,
        existing: &'a Existing,
        root: Option<&'a Root>,
    ) -> Result<Self> {
        let passed = existing.passed();
        Ok(Self {
            name,
            domain: &existing.document,
            record: existing.record.as_ref(),
            root,
            host: context.host(root, Scope::Devices)?,
            uses: discovery::uses(root),
            other_domains: other_domains(connection, name)?,
            functions: passed.iter().map(|passed| passed.address).collect(),
            passed,
            groups: existing.groups(),
            needs: existing.needs(name)?,
        })
    }

    /// What is against the start.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let Self { host, uses, .. } = self;
        let domain = PassedTo { name: self.name, passed: &self.passed, groups: self.groups };
        let mut findings = domain::of_functions(&domain, host, uses);
        // A display that is handed over is returned.
        findings.retain(|finding| finding.code != "only-display" || !self.is_handed_over());
        let taken = domain_xml::taken(self.domain, host);
        let usb: Vec<_> = taken.usb.iter().copied().collect();
        findings.extend(domain::of_keyboard(&usb, host, uses));
        findings.extend(domain::of_others(&taken, &self.other_domains, host, true, &HostPaths(self.root)));
        findings.extend(domain::of_start(self.domain, host));
        let Some(root) = self.root else { return findings };
        if !self.functions.is_empty() {
            findings.extend(discovery::other_hooks(root, Some(self.name)));
        }
        if self.is_handed_over() {
            findings.extend(handover(root));
        } else {
            findings.extend(held(root, host, &self.functions));
            findings.extend(self.others_unseen(root));
        }
        findings
    }

    /// What was checked and is right, and what libvirt and its hook do.
    pub(super) fn steps(&self, findings: &[Finding]) -> Vec<String> {
        let hook = self.root.and_then(|root| hook(self.needs.as_ref(), root.exists(HOOK)));
        [self.checked(findings), self.unbound(), hook].into_iter().flatten().collect()
    }

    /// What the host lacks for the domain's cards.
    pub(super) fn next_on_host(&self, context: &Context) -> Result<Option<Next>> {
        let host = context.host(self.root, Scope::All)?;
        next::of_host(context, self.root, &host, &self.functions, self.is_handed_over())
    }

    /// Takes the functions from their drivers, where this program may.
    pub(super) fn freed(&self, context: &Context) -> Result<Option<Freed<'a>>> {
        let (Some(needs), Some(root)) = (&self.needs, self.root) else { return Ok(None) };
        Freed::take(context, self.name, needs, &self.host, root).map_err(|error| {
            if error.is::<Interrupted>() {
                return error;
            }
            let remedy = format!("start it again once nothing uses the device: vgapt start {}", shell_word(self.name));
            let findings = vec![Finding::error("not-released", format!("{error:#}"), remedy)];
            Refused { findings, end: format!("'{}' was not started, and libvirt was not asked.", self.name), next: None }.into()
        })
    }

    /// Where the guest's picture is, if it has a card.
    pub(super) fn picture(&self) -> Option<String> {
        output::picture(&Summary::of(self.domain, self.record, &self.host))
    }

    fn is_handed_over(&self) -> bool {
        self.needs.as_ref().is_some_and(|needs| needs.handover)
    }

    /// Whether libvirt has to unbind a function from a host driver; else no process can have one open.
    fn is_bound(&self) -> bool {
        self.host.devices(&self.functions).any(|device| device.driver.is_some() && !device.on_vfio())
    }

    /// Only root can see what processes of other users have open; for others it is unknown.
    fn others_unseen(&self, root: &Root) -> Option<Finding> {
        (root.is_live() && self.is_bound() && !rustix::process::geteuid().is_root()).then(|| {
            Finding::warning(
                "holders-unknown",
                "it is unknown whether processes of other users have the devices open",
                "run vgapt as root: unbinding a device that a process has open hangs the kernel",
            )
        })
    }

    /// Whether it is known which processes have the functions open.
    fn holders_are_known(&self, findings: &[Finding]) -> bool {
        let sees_all = self.root.is_some_and(|root| !root.is_capture() && (!root.is_live() || rustix::process::geteuid().is_root()));
        self.host.unknown.is_empty()
            && !findings.iter().any(|finding| finding.code == "holders-unknown")
            && (!self.is_bound() || (sees_all && !self.is_handed_over()))
    }

    /// What was checked and is right, and what could not be checked.
    fn checked(&self, findings: &[Finding]) -> Option<String> {
        let has = |codes: &[&str]| findings.iter().any(|finding| codes.contains(&finding.code));
        let named = |is_recorded: bool, words: &str| {
            let of_kind = self.passed.iter().filter(|passed| passed.id.is_some() == is_recorded);
            let functions: Vec<String> = of_kind.map(|passed| passed.address.short()).collect();
            (!functions.is_empty()).then(|| format!("{} {words}", functions.join(", ")))
        };
        // Of a function that vgapt did not add, no id is recorded: it could be another device now.
        let recorded = named(true, if has(&["device-moved"]) { "present" } else { "as recorded" });
        let found: Vec<String> = [recorded, named(false, "present")].into_iter().flatten().collect();
        if found.is_empty() || has(&["host-unknown"]) {
            return None;
        }
        let mut text = format!("checked: {}", found.join("; "));
        let mut unknown = Vec::new();
        // With --force a start continues in spite of findings. libvirt's node devices do not name drivers, so whether a
        // group is in use is then unknown.
        if !self.host.unknown.is_empty() {
            unknown.push("the drivers in their group");
        } else if !has(&["group-grew", "group-not-viable", "no-group", "not-known"]) {
            text.push_str(", their group not in use");
        }
        if !self.holders_are_known(findings) {
            unknown.push("which processes have them open");
        } else if !has(&["device-held"]) {
            text.push_str(", not in use by processes");
        }
        if !unknown.is_empty() {
            text.push_str(&format!("; unknown: {}", unknown.join(", ")));
        }
        Some(text)
    }

    /// What libvirt unbinds from the host's drivers.
    fn unbound(&self) -> Option<String> {
        let are_drivers_unknown = self.host.unknown.iter().any(|what| what.starts_with("drivers"));
        let from = |device: &PciDevice| match device.driver.as_deref() {
            Some(driver) if !device.on_vfio() => format!("{} from {driver}", device.address.short()),
            Some(driver) => format!("{} is already bound to {driver}", device.address.short()),
            None if are_drivers_unknown => format!("{} from an unknown driver", device.address.short()),
            None => format!("{} from no driver", device.address.short()),
        };
        let named: Vec<String> = self.host.devices(&self.functions).map(from).collect();
        (!named.is_empty()).then(|| format!("devices: {}", named.join(", ")))
    }
}

/// What libvirt's hook does for the domain, where there is one.
fn hook(needs: Option<&HostResources>, is_installed: bool) -> Option<String> {
    let needs = needs?;
    let pages = needs.pages.as_ref().map(|pages| format!("{} in huge pages", pages.memory));
    let cpus = (!needs.cpus.0.is_empty()).then(|| format!("CPUs {} isolated", needs.cpus));
    let display = needs.handover.then(|| "the display manager stops until the domain ends".to_owned());
    let all: Vec<String> = [pages, cpus, display].into_iter().flatten().collect();
    let does = if all.is_empty() { "checks the devices again".to_owned() } else { all.join(", ") };
    Some(if is_installed { format!("hook: {does}") } else { "hook: not installed, see `vgapt check`".to_owned() })
}

/// What prevents the hook from handing over the display.
fn handover(root: &Root) -> Option<Finding> {
    let no_hook = match root.presence(HOOK) {
        Some(true) => None,
        _ if root.is_capture() => None,
        Some(false) => Some(Finding::error(
            "no-hook",
            format!("libvirt's hook hands over the display, and {HOOK} does not exist"),
            "vgapt prepare installs it",
        )),
        None => Some(Finding::blocked(
            "no-hook",
            format!("libvirt's hook hands over the display, and whether {HOOK} exists is unknown"),
            "start the domain as root, which may read it",
        )),
    };
    domain::of_handover(discovery::runs_systemd(root)).or(no_hook)
}
