//! SELinux's labels of what is new: it has its folder's, which need not be what the policy says.

use super::plan::{Command, Plan};
use crate::model::{HOOK_PROGRAMS, Setup};

/// Puts the labels right before any daemon is told to look: one that may not run its hook does not see it.
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
    plan.commands.insert(reload, Command::of(&argv, "SELinux goes by the labels of files, and new ones have their folder's"));
}
