//! SELinux labels of new files: they inherit their directory's label, which may differ from the policy.

use crate::host::plan::{Command, Plan};
use crate::model::{HOOK_PROGRAMS, Setup};

/// Corrects the labels before a daemon is reloaded: a hook that the daemon may not run is ignored.
pub(super) fn add(setup: &Setup, plan: &mut Plan) {
    if !setup.enforces_labels() {
        return;
    }
    let new = plan.writes.iter().filter(|write| write.before.is_none() && write.after.is_some()).map(|write| write.place.as_str());
    let copied = HOOK_PROGRAMS
        .iter()
        .copied()
        .filter(|program| plan.commands.iter().any(|command| command.makes.iter().any(|made| made == program)));
    let files: Vec<&str> = new.chain(copied).collect();
    if files.is_empty() {
        return;
    }
    let argv = [&["restorecon", "-i"], &files[..]].concat();
    let reload = plan.commands.iter().position(|command| command.argv[0] == "systemctl").unwrap_or(plan.commands.len());
    plan.commands.insert(reload, Command::of(&argv, "SELinux needs the labels of its policy, and new files have those of their directory"));
}
