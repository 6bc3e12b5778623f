//! vgapt's hooks: libvirt's, whether it is installed, executable and called; and those in updates of kernels.

use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host;
use crate::model::{ConfigFile, Daemon, HOOK, HOOK_PROGRAMS, HookState, HostSource};

const WHY: &str = "it checks the devices and frees what the domain needs before each start, whoever starts a domain";
const EXECUTABLE: u32 = 0o111;

/// libvirt's own page on hooks.
const WHY_ASKS: &str = "libvirt waits for the hook, and the hook's call to libvirt waits for libvirt: the start hangs";
const WHY_OTHERS: &str = "it does at the same time what vgapt's hook, --handover or libvirt itself (managed='yes') does";

/// Hooks not managed by vgapt, for the same domains.
pub(super) fn others(facts: &Facts) -> Vec<Check> {
    let seen = &facts.observed.hook;
    let told = seen.others.iter().filter_map(|hook| {
        let finding = hook.finding()?;
        let why = if hook.calls_libvirt.is_some() { WHY_ASKS } else { WHY_OTHERS };
        Some(Check::ok(finding.code, Topic::Software, "another hook", finding.message).care(why, finding.remedy))
    });
    let mut checks: Vec<Check> = told.collect();
    if let Some(because) = seen.unread.as_ref().filter(|_| facts.setup.files.exists(HOOK)) {
        checks.push(Check::ok("other-hook", Topic::Software, "another hook", String::new()).unknown(because).minor());
    }
    checks
}

/// vgapt's own hook.
pub(super) fn own(facts: &Facts) -> Vec<Check> {
    if !host::calls_hooks(facts.setup) {
        return Vec::new();
    }
    let Some(file) = facts.setup.files.0.get(HOOK) else {
        if let Some(because) = &facts.observed.hook.unread {
            return vec![check("hook", "libvirt's hook", String::new()).unknown(because)];
        }
        let check = check("hook", "libvirt's hook", "is not installed".into());
        return vec![if facts.hands_over {
            check
                .missing(NextStep::Prepare, "it hands the host's display over to the guest, and takes it back", facts.command())
                .by_command()
        } else {
            check.care(WHY, facts.command())
        }];
    };
    let checks = [Some(installed(file, facts)), Some(program(facts)), labels(facts), Some(called(facts)), Some(interrupts(facts))];
    checks.into_iter().flatten().collect()
}

/// What the hook will do with the host's interrupts.
fn interrupts(facts: &Facts) -> Check {
    let balancer = match facts.observed.irqbalance {
        Some(true) => "; irqbalance, which runs, is told to leave these CPUs out",
        Some(false) => "",
        None => "; whether irqbalance runs, which would bring them back, is unknown",
    };
    let seen = format!("while a pinned guest runs, they are moved off its CPUs, but for those that the kernel manages{balancer}");
    check("interrupts", "the host's interrupts", seen).minor()
}

/// The hooks in updates of kernels, on a host whose cards vgapt binds.
pub(super) fn in_updates(facts: &Facts) -> Option<Check> {
    let hooks = host::update_hooks(facts.host, facts.setup);
    if hooks.is_empty() || host::bound(facts.setup).is_empty() {
        return None;
    }
    let files = &facts.setup.files;
    let check = |seen: String| check("update-hook", "hook in updates of kernels", seen).minor();
    let is_as_written = |path: &str, text: &str| files.text(path) == Some(text);
    Some(match hooks.iter().find(|(path, text)| !is_as_written(path, text)) {
        None => check(format!("{} is installed", hooks[0].0)),
        Some((path, _)) => {
            let seen = if files.exists(path) { "is not from this version of vgapt" } else { "is not installed" };
            check(format!("{path} {seen}"))
                .care("an update does not say what its kernel lacks for a guest; vgapt check --next does", facts.command())
        }
    })
}

fn check(code: &'static str, subject: &str, seen: String) -> Check {
    Check::ok(code, Topic::Software, subject, seen)
}

fn installed(file: &ConfigFile, facts: &Facts) -> Check {
    let check = |seen: &str| check("hook", "libvirt's hook", format!("{HOOK} {seen}"));
    match &file.text {
        Err(what) => check(&what.to_string()).care(WHY, format!("move {HOOK} away, then: {}", facts.command())),
        Ok(text) if text != host::HOOK_TEXT => check("is not from this version of vgapt").care(WHY, facts.command()),
        Ok(_) if file.mode & EXECUTABLE == 0 => check("cannot be executed").care(WHY, format!("chmod 755 {HOOK}")),
        Ok(_) => check("is installed").minor(),
    }
}

fn program(facts: &Facts) -> Check {
    let check = |seen: String| check("hook-program", "the hook's program", seen);
    let Some(program) = &facts.setup.hook_program else {
        let places = HOOK_PROGRAMS.join(", ");
        return check(format!("was not found in {places}")).care("without it the hook does nothing", facts.command());
    };
    if facts.observed.hook.is_own_program == Some(false) {
        let remedy = format!("install -m 755 \"$(command -v vgapt)\" {program}");
        return check(format!("{program} is a different version of vgapt"))
            .care("it may behave differently from what this vgapt reports", remedy);
    }
    let observed = &facts.observed;
    if observed.hook.is_own_program.is_none() && observed.reach.is_live() {
        return check(String::new()).unknown(&format!("{program} could not be compared with this vgapt")).minor();
    }
    check(format!("{program} is where libvirt may run it")).minor()
}

/// A wrong SELinux label may keep libvirt from running a file.
fn labels(facts: &Facts) -> Option<Check> {
    let observed = &facts.observed;
    let check = |seen: String| check("hook-labels", "SELinux's labels of the hook", seen);
    let Some(files) = &observed.hook.mislabelled else {
        let may_be_wrong = observed.reach.is_live() && facts.setup.enforces_labels();
        return may_be_wrong.then(|| check(String::new()).unknown("restorecon could not check them").minor());
    };
    (!files.is_empty()).then(|| {
        let files = files.join(" ");
        check(format!("differ from the policy: {files}")).care("SELinux may keep libvirt from running it", format!("restorecon {files}"))
    })
}

/// libvirt looks for hooks only when it starts and when it is reloaded.
fn called(facts: &Facts) -> Check {
    let (seen, reach) = (&facts.observed.hook, facts.observed.reach);
    let check = |words: String| check("hook-called", "libvirt calls its hook", words);
    let Some(daemon) = &seen.daemon else { return without_daemon(check(String::new()), reach) };
    if seen.called_by.as_ref().is_some_and(|caller| daemon.is(caller)) {
        return check(format!("{} (pid {}) has called it", daemon.name, daemon.pid));
    }
    if seen.called_by.as_ref().is_some_and(|caller| daemon.is_after(caller)) {
        return check(format!("{} was started after the last call of the hook", daemon.name));
    }
    if daemon.started.is_none() {
        return match reach {
            HostSource::Live { .. } => {
                check(format!("{} has exited because it was idle, and looks for hooks when it starts again", daemon.name))
            }
            _ => check(String::new()).unknown(reach.because()).minor(),
        };
    }
    by_time(check(String::new()), seen, daemon, reach)
}

fn without_daemon(check: Check, reach: HostSource) -> Check {
    match reach {
        HostSource::Live { .. } => check.unknown("no running libvirt daemon was found in /run").minor(),
        _ => check.unknown(reach.because()).minor(),
    }
}

/// The hook was not called yet: has the daemon looked for hooks since it was installed?
fn by_time(check: Check, seen: &HookState, daemon: &Daemon, reach: HostSource) -> Check {
    let started = seen.booted.and_then(|booted| daemon.started_at(booted));
    let (Some(looked), Some(written)) = (started.max(seen.reloaded), seen.written) else {
        return check.unknown(reach.because()).minor();
    };
    let remedy = format!("systemctl try-reload-or-restart {}", daemon.name);
    if looked >= written {
        Check { seen: format!("{} has looked for hooks since this one was installed, and has not called it yet", daemon.name), ..check }
    } else if seen.reloaded.is_some() {
        Check { seen: format!("{} has not looked for hooks since this one was installed", daemon.name), ..check }.care(WHY, remedy)
    } else {
        let because = format!("{} was started before the hook was installed, and it is unknown whether it was reloaded since", daemon.name);
        Check { why: WHY.to_owned(), remedy, ..check.unknown(&because) }
    }
}
