//! libvirt's hook: whether it is there, can be run, and is called.

use super::check::{Check, Group};
use super::prepared::Prepared;
use crate::host;
use crate::model::{ConfigFile, Daemon, HOOK, HOOK_PROGRAMS, HookSeen, Reach};

const WHY: &str = "it looks at the devices before each start, whoever starts a domain, and makes room for it";
const EXECUTABLE: u32 = 0o111;

/// libvirt's own page on hooks.
const WHY_ASKS: &str = "libvirt waits for the hook, and what the hook asks of libvirt waits for libvirt: the start hangs";
const WHY_OTHERS: &str = "it does at the same moment what vgapt's hook, --handover or libvirt itself (managed='yes') does";

pub(super) fn checks(prepared: &Prepared) -> Vec<Check> {
    let mut checks = own(prepared);
    checks.extend(others(prepared));
    checks
}

/// Hooks that others have written, around the same domains.
fn others(prepared: &Prepared) -> Vec<Check> {
    let seen = &prepared.facts.observed.hook;
    let told = seen.others.iter().filter_map(|hook| {
        let finding = hook.finding()?;
        let why = if hook.calls_libvirt.is_some() { WHY_ASKS } else { WHY_OTHERS };
        Some(Check::ok(finding.code, Group::Software, "another's hook", finding.message).care(why, finding.remedy))
    });
    let mut checks: Vec<Check> = told.collect();
    if let Some(because) = seen.unread.as_ref().filter(|_| prepared.facts.setup.files.exists(HOOK)) {
        checks.push(Check::ok("other-hook", Group::Software, "another's hook", String::new()).unknown(because).minor());
    }
    checks
}

fn own(prepared: &Prepared) -> Vec<Check> {
    if !host::calls_hooks(prepared.facts.setup) {
        return Vec::new();
    }
    let Some(file) = prepared.facts.setup.files.0.get(HOOK) else {
        if let Some(because) = &prepared.facts.observed.hook.unread {
            return vec![check("hook", "libvirt's hook", String::new()).unknown(because)];
        }
        return vec![check("hook", "libvirt's hook", "is not installed".into()).care(WHY, prepared.command())];
    };
    [Some(installed(file, prepared)), Some(program(prepared)), labels(prepared), Some(called(prepared))].into_iter().flatten().collect()
}

fn check(code: &'static str, subject: &str, seen: String) -> Check {
    Check::ok(code, Group::Software, subject, seen)
}

fn installed(file: &ConfigFile, prepared: &Prepared) -> Check {
    let check = |seen: &str| check("hook", "libvirt's hook", format!("{HOOK} {seen}"));
    match &file.text {
        Err(what) => check(&what.to_string()).care(WHY, format!("put {HOOK} away, then: {}", prepared.command())),
        Ok(text) if text != host::HOOK_TEXT => check("is not this vgapt's").care(WHY, prepared.command()),
        Ok(_) if file.mode & EXECUTABLE == 0 => check("cannot be executed").care(WHY, format!("chmod 755 {HOOK}")),
        Ok(_) => check("is there").minor(),
    }
}

fn program(prepared: &Prepared) -> Check {
    let check = |seen: String| check("hook-program", "the hook's program", seen);
    let Some(program) = &prepared.facts.setup.hook_program else {
        let places = HOOK_PROGRAMS.join(", ");
        return check(format!("is in none of {places}")).care("without it the hook does nothing", prepared.command());
    };
    if prepared.facts.observed.hook.is_own_program == Some(false) {
        let remedy = format!("install -m 755 \"$(command -v vgapt)\" {program}");
        return check(format!("{program} is another version than this vgapt")).care("what it does may not fit what vgapt says", remedy);
    }
    let observed = &prepared.facts.observed;
    if observed.hook.is_own_program.is_none() && observed.reach.is_live() {
        return check(String::new()).unknown(&format!("{program} could not be compared with this vgapt")).minor();
    }
    check(format!("{program} lies where libvirt may run it")).minor()
}

/// What is labelled as something else may not be run by libvirt.
fn labels(prepared: &Prepared) -> Option<Check> {
    let observed = &prepared.facts.observed;
    let check = |seen: String| check("hook-labels", "SELinux's labels of the hook", seen);
    let Some(files) = &observed.hook.mislabelled else {
        let may_be_wrong = observed.reach.is_live() && prepared.facts.setup.enforces_labels();
        return may_be_wrong.then(|| check(String::new()).unknown("restorecon could not tell").minor());
    };
    (!files.is_empty()).then(|| {
        let files = files.join(" ");
        check(format!("are not what the policy says: {files}"))
            .care("SELinux may keep libvirt from running it", format!("restorecon {files}"))
    })
}

/// libvirt looks whether there are hooks when it starts and when it is told to, and only then.
fn called(prepared: &Prepared) -> Check {
    let (seen, reach) = (&prepared.facts.observed.hook, prepared.facts.observed.reach);
    let check = |words: String| check("hook-called", "libvirt calls its hook", words);
    let Some(daemon) = &seen.daemon else { return without_daemon(check(String::new()), reach) };
    if seen.called_by.as_ref().is_some_and(|caller| daemon.is(caller)) {
        return check(format!("{} (pid {}) has called it", daemon.name, daemon.pid));
    }
    if seen.called_by.as_ref().is_some_and(|caller| daemon.is_after(caller)) {
        return check(format!("{} was started after it had been called", daemon.name));
    }
    if daemon.started.is_none() {
        return match reach {
            Reach::Live { .. } => check(format!("{} sleeps, and looks for hooks when it wakes up", daemon.name)),
            _ => check(String::new()).unknown(reach.because()).minor(),
        };
    }
    by_time(check(String::new()), seen, daemon, reach)
}

fn without_daemon(check: Check, reach: Reach) -> Check {
    match reach {
        Reach::Live { .. } => check.unknown("no daemon of libvirt's tells in /run that it runs").minor(),
        _ => check.unknown(reach.because()).minor(),
    }
}

/// It was not called yet: what remains is whether the daemon has looked since the hook is there.
fn by_time(check: Check, seen: &HookSeen, daemon: &Daemon, reach: Reach) -> Check {
    let started = seen.booted.and_then(|booted| daemon.started_at(booted));
    let (Some(looked), Some(written)) = (started.max(seen.told), seen.written) else {
        return check.unknown(reach.because()).minor();
    };
    let remedy = format!("systemctl try-reload-or-restart {}", daemon.name);
    if looked >= written {
        Check { seen: format!("{} has looked for hooks since it is there, and has not called it yet", daemon.name), ..check }
    } else if seen.told.is_some() {
        Check { seen: format!("{} has not looked for hooks since it is there", daemon.name), ..check }.care(WHY, remedy)
    } else {
        let because = format!("{} runs since before it was there, and whether it was told to look again cannot be seen", daemon.name);
        Check { why: WHY.to_owned(), remedy, ..check.unknown(&because) }
    }
}
