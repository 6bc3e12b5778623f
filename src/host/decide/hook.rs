//! The hook by which libvirt calls vgapt before and after a domain runs, whoever starts it.

use crate::host::plan::{Command, Edits};
use crate::model::{Finding, HOOK, HOOK_DAEMONS, HOOK_PROGRAMS, Setup};

/// A copy of vgapt at a path from which every libvirt may run it.
const PROGRAM: &str = HOOK_PROGRAMS[0];
/// The text of the hook.
pub const HOOK_TEXT: &str = include_str!("hook.sh");

/// Whether there is a libvirt that calls hooks: judged by its configuration and its daemons.
pub fn calls_hooks(setup: &Setup) -> bool {
    setup.files.exists("/etc/libvirt/qemu.conf") || setup.has("libvirtd") || setup.has("virtqemud")
}

/// The hook, where there is a libvirt to call it; and the copy of the program that it runs, if it would run another one.
pub(super) fn edits(setup: &Setup, program: Option<&str>) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    if !calls_hooks(setup) {
        return Ok(edits);
    }
    let why = "libvirt calls vgapt before a domain starts and after it stops, whoever starts it";
    edits.write(setup, HOOK, HOOK_TEXT.to_owned(), 0o755, why)?;
    if let Some(program) = program {
        let why = "to a path from which libvirt may run it";
        edits.commands.push(Command::of(&["install", "-m", "755", program, PROGRAM], why).making([PROGRAM]));
    }
    let running = HOOK_DAEMONS.iter().rfind(|(pid, _)| setup.files.exists(pid));
    if let Some((_, daemon)) = running.filter(|_| !edits.writes.is_empty()) {
        // If the directory of hooks was empty when the daemon started, the daemon does not look into it again before
        // a reload. A daemon that has exited idle since, and left its pid file, sees the hooks when it starts again.
        let why = "libvirt looks for hooks only when it starts and when it is reloaded";
        edits.commands.push(Command::of(&["systemctl", "try-reload-or-restart", &format!("{daemon}.service")], why));
    }
    Ok(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_differs_is_copied_again() {
        let setup = Setup { programs: ["libvirtd".to_owned()].into(), ..Setup::with_file(HOOK, HOOK_TEXT) };
        assert_eq!(edits(&setup, None).unwrap(), Edits::default(), "all is up to date");
        let renewed = edits(&setup, Some("/root/.cargo/bin/vgapt")).unwrap();
        assert!(renewed.writes.is_empty(), "the hook itself is up to date");
        let [command] = &renewed.commands[..] else { panic!("{renewed:?}") };
        assert_eq!(command.argv, ["install", "-m", "755", "/root/.cargo/bin/vgapt", PROGRAM]);
        assert_eq!(command.makes, [PROGRAM], "undo restores the previous copy");
    }
}
