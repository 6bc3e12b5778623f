//! From the request and the present state to the plan.

use std::slice;

use super::initramfs::{self, Inclusion};
use super::parameters::{self, Needed};
use super::{
    at_start, binding, bound, checks, generated, hook, hugepages, isolation, kvmfr, loaders, mounts, others, overruled, packages, refusals,
    samba, update_hook, virtual_functions,
};
use crate::host::plan::{Command, Edits, NEW_INITRAMFS, Parameter, Plan};
use crate::host::request::{Bind, Wanted};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, HOOK_PROGRAMS, Host, Setup};
use crate::passthrough::{of_binding, record_groups};

/// Plans what has to be done. Blockers and warnings are in the plan's findings.
pub fn plan(host: &Host, setup: &Setup, wanted: &Wanted) -> Plan {
    let groups = record_groups(host, &wanted.functions);
    let mut plan = Plan { groups, findings: refusals::of(host, setup, wanted), ..Plan::default() };
    plan.findings.extend(of_binding(host, &wanted.functions, wanted.bind == Bind::Boot));
    plan.findings.extend(parameters::firmware(host).filter(|_| !wanted.passes_none));
    if wanted.bind == Bind::Start {
        plan.findings.extend(refusals::of_bind_start(host, setup, &wanted.functions));
    }
    let binding = binding::decide(host, setup, wanted, &mut plan);
    plan.switch_off = binding.switch_off().map(str::to_owned);
    let bound_before = !bound::bound(setup).is_empty();

    if !wanted.functions.is_empty() || bound_before {
        plan.findings.extend(refusals::without_vfio(setup));
    }

    let mut needed = parameters::of_iommu(host, wanted);
    needed.extend(parameters::of_binding(&binding));
    if let Some(pages) = wanted.hugepages {
        plan.findings.extend(hugepages::refusal(host, setup, pages));
        plan.findings.extend(hugepages::shared(host, setup, pages));
        plan.findings.extend(hugepages::conflicts(host, setup, pages));
        plan.findings.extend(hugepages::replaced(host, setup, pages));
        if let Some((parameter, finding)) = hugepages::parameter(host, setup, wanted, pages) {
            needed.push(parameter);
            plan.findings.extend(finding);
        }
        take(&mut plan, hugepages::edits(host, setup, pages));
    }
    if let Some(cpus) = &wanted.isolate {
        match isolation::refusal(host, cpus) {
            Some(refusal) => plan.findings.push(refusal),
            None => {
                plan.findings.extend(isolation::warning(host));
                needed.extend(isolation::parameters(host, cpus));
            }
        }
    }
    take(&mut plan, parameters::nested_paging(host, setup));

    plan.findings.extend(others::findings(host, setup, wanted));
    if plan.findings.iter().any(|finding| finding.code == "no-display") {
        // Which says the same, and why.
        plan.findings.retain(|finding| finding.code != "host-blind");
    }
    take(&mut plan, binding.edits(host, setup));
    take(&mut plan, at_start::edits(host, setup, wanted));
    let overruled = overruled::findings(setup, &plan, wanted, &binding);
    plan.findings.extend(overruled);
    let (modules, files) = binding.in_initramfs();
    if !binding.is_empty() || bound_before {
        initramfs_edits(host, setup, &Inclusion { modules, files, image: initramfs::image(host, setup) }, &mut plan);
    }
    loader_edits(host, setup, needed, &mut plan);
    take(&mut plan, hook::edits(setup, wanted.program.as_deref()));
    let made = virtual_functions::edits(host, setup, wanted, &mut plan.findings);
    take(&mut plan, made);
    if let Some(uses) = &wanted.install {
        take(&mut plan, packages::edits(host, setup, wanted, uses));
    }
    // After the packages: one of them may be Samba.
    take(&mut plan, samba::edits(host, setup, wanted));
    plan.findings.extend(samba::warnings(setup, &wanted.shares.shares));
    if let Some(mib) = wanted.kvmfr {
        let edits = kvmfr::edits(host, setup, mib);
        if edits.as_ref().is_ok_and(|edits| !edits.writes.is_empty()) {
            plan.reboot.push("the module of Looking Glass is loaded with its size, and libvirt reads qemu.conf, at boot".to_owned());
            plan.findings.extend(kvmfr::warnings(setup));
        }
        take(&mut plan, edits);
    }
    if plan.writes.is_empty() {
        plan.findings = plan.findings.into_iter().map(|finding| refusals::decided(finding, wanted)).collect();
    }
    // After that: what only looks is no change that a refusal could be about.
    if bound_before || !wanted.functions.is_empty() {
        take(&mut plan, update_hook::edits(host, setup));
    }
    correct_labels(setup, &mut plan);
    plan.findings.extend(others::of_initramfs(host, setup, &plan.commands));
    generated::refuse(host, setup, wanted, &mut plan);
    let findings = mounts::findings(setup, &mut plan);
    plan.findings.extend(findings);
    if !plan.is_empty() {
        let findings = checks::findings(host, setup, &plan, wanted);
        plan.findings.extend(findings);
    }
    plan
}

fn take(plan: &mut Plan, edits: Result<Edits, Finding>) {
    match edits {
        Ok(edits) => plan.add(edits),
        Err(finding) => plan.findings.push(finding),
    }
}

/// The initramfs is regenerated only if something in it changes.
fn initramfs_edits(host: &Host, setup: &Setup, inclusion: &Inclusion, plan: &mut Plan) {
    let tool = match initramfs::chosen(host, setup) {
        Ok(tool) => tool,
        Err(finding) => return plan.findings.push(finding),
    };
    plan.in_initramfs = inclusion.modules.iter().filter(|module| **module == "vfio_pci").map(|_| "vfio-pci.ko".to_owned()).collect();
    plan.in_initramfs.extend(inclusion.files.iter().map(|file| file.trim_start_matches('/').to_owned()));
    let bound_changes = plan.writes.iter().any(|write| inclusion.files.contains(&write.path.as_str()) || write.after.is_none());
    match initramfs::edits(tool, setup, inclusion, bound_changes) {
        Err(finding) => plan.findings.push(finding),
        Ok(edits) => {
            if !edits.commands.is_empty() {
                plan.reboot.push(NEW_INITRAMFS.to_owned());
            }
            plan.add(edits);
        }
    }
}

fn loader_edits(host: &Host, setup: &Setup, needed: Vec<Needed>, plan: &mut Plan) {
    let running = host.platform.cmdline.clone().unwrap_or_default().0;
    let is_shown =
        |want: &ParameterChange| !matches!(want, ParameterChange::Without(..)) || !tokens::has_all(&running, slice::from_ref(want));
    let wants: Vec<ParameterChange> = needed.iter().map(|one| one.want.clone()).collect();
    let shown = needed.into_iter().filter(|one| is_shown(&one.want));
    plan.parameters = shown.map(|one| Parameter { token: one.want.to_string(), why: one.why }).collect();
    let chosen = match loaders::chosen(host, setup) {
        Ok(chosen) => chosen,
        // Nothing has to be added, so the boot loader does not matter.
        Err(_) if plan.parameters.is_empty() => return,
        // The user has set all of them in the boot loader's configuration.
        Err(_) if host.platform.cmdline.is_some() && tokens::has_all(&running, &wants) => return,
        Err(mut finding) => {
            let line: Vec<&str> = plan.parameters.iter().map(|parameter| parameter.token.as_str()).collect();
            finding.remedy = finding.remedy.replace(loaders::PARAMETERS, &line.join(" "));
            return plan.findings.push(finding);
        }
    };
    plan.findings.extend(loaders::by_hand(&chosen, setup, &wants).filter(|_| !plan.parameters.is_empty()));
    let mut are_made = false;
    match (chosen.loader.edit)(host, setup, &wants) {
        Err(finding) => plan.findings.push(finding),
        Ok(edits) => {
            // Somebody may have written them, without a boot since.
            let lacks_now = host.platform.cmdline.is_some() && !tokens::has_all(&running, &wants);
            if edits != Edits::default() || lacks_now {
                let loaders::Chosen { loader, evidence } = &chosen;
                plan.reboot.push(format!("kernel parameters take effect at the next boot (boot loader: {}; {evidence})", loader.name));
            }
            are_made = !edits.commands.is_empty();
            plan.add(edits);
        }
    }
    let has_unified = chosen.loader.kind == BootLoader::UnifiedKernelImage && !plan.commands.is_empty();
    plan.findings.extend(loaders::dropped(&chosen, host, setup).filter(|_| are_made || has_unified));
    // Also if only the initramfs in them changes.
    if has_unified {
        plan.findings.extend(loaders::unsigned(setup));
    }
    // Only while something changes at the next boot; later, the entry would be a copy of vgapt's own. What is there before vgapt's
    // first change is the user's.
    let ours: &[ParameterChange] = if bound(setup).is_empty() { &[] } else { &wants };
    let fallback = (chosen.loader.fallback)(host, setup, ours, plan.switch_off.as_deref()).filter(|_| !plan.reboot.is_empty());
    if let Some((path, text)) = fallback {
        let mut edits = Edits::default();
        let written = edits.write(setup, &path, text, 0o644, "an entry that boots as before, if there is a problem");
        take(plan, written.map(|()| edits));
    }
}

/// Corrects the SELinux labels of new files, which inherit their directory's label: before a daemon is reloaded, since it
/// ignores a hook that it may not run.
fn correct_labels(setup: &Setup, plan: &mut Plan) {
    if !setup.enforces_labels() {
        return;
    }
    let new = plan.writes.iter().filter(|write| write.before.is_none() && write.after.is_some()).map(|write| write.place.as_str());
    let is_copied = |program: &&str| plan.commands.iter().any(|command| command.makes.iter().any(|made| made == program));
    let copied = HOOK_PROGRAMS.into_iter().filter(is_copied);
    let files: Vec<&str> = new.chain(copied).collect();
    if files.is_empty() {
        return;
    }
    let argv = [&["restorecon", "-i"], &files[..]].concat();
    let reload = plan.commands.iter().position(|command| command.argv[0] == "systemctl").unwrap_or(plan.commands.len());
    plan.commands.insert(reload, Command::of(&argv, "SELinux needs the labels of its policy, and new files have those of their directory"));
}
