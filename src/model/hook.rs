//! libvirt's hook: its paths and its state.

use super::Finding;

/// vgapt's hook. libvirt runs every file in `qemu.d` before the start and after the stop of every domain (since 6.5).
pub const HOOK: &str = "/etc/libvirt/hooks/qemu.d/vgapt";
/// Where the hook looks for vgapt. `AppArmor` allows libvirt to run programs there, but not in /usr/local/bin or a home.
pub const HOOK_PROGRAMS: [&str; 3] = ["/etc/libvirt/hooks/vgapt", "/usr/bin/vgapt", "/usr/sbin/vgapt"];
/// The daemons that run hooks, by their PID files.
pub const HOOK_DAEMONS: [(&str, &str); 2] = [("/run/virtqemud.pid", "virtqemud"), ("/run/libvirtd.pid", "libvirtd")];
/// The file that stores which libvirt daemon called the hook last.
pub const HOOK_MARK: &str = "/run/vgapt/called";

/// The state of the hook. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookState {
    /// The daemon that runs hooks.
    pub daemon: Option<Daemon>,
    /// The daemon that called the hook last.
    pub called_by: Option<Daemon>,
    /// The boot time, in seconds since 1970.
    pub booted: Option<u64>,
    /// When the hook was installed, in seconds since 1970.
    pub written: Option<u64>,
    /// When the daemon last reloaded its configuration, in seconds since 1970.
    pub reloaded: Option<u64>,
    /// Whether the program that the hook runs is this one.
    pub is_own_program: Option<bool>,
    /// The files with a wrong `SELinux` label; `None` if unknown.
    pub mislabelled: Option<Vec<String>>,
    /// Other hooks, which vgapt did not write.
    pub others: Vec<OtherHook>,
    /// Why the hook folders could not be read.
    pub unread: Option<String>,
}

/// A libvirt hook that vgapt did not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherHook {
    pub path: String,
    /// The domain that it is for, if its folder is named after one.
    pub domain: Option<String>,
    /// The number and the text of the line that calls libvirt.
    pub calls_libvirt: Option<(usize, String)>,
    /// The first line that unbinds devices or stops the display, likewise.
    pub takes: Option<(usize, String)>,
}

impl OtherHook {
    /// Whether libvirt runs it for this domain.
    pub fn is_for(&self, domain: &str) -> bool {
        self.domain.as_ref().is_none_or(|name| name == domain)
    }

    /// The warning about its conflict with vgapt's hook.
    pub fn finding(&self) -> Option<Finding> {
        let asks = self.calls_libvirt.as_ref().map(|line| (line, "calls libvirt"));
        let ((number, line), what) = asks.or_else(|| Some((self.takes.as_ref()?, "takes devices or the display from the host")))?;
        let of = self.domain.as_ref().map(|name| format!(", for the domain {name}")).unwrap_or_default();
        Some(Finding::warning(
            "other-hook",
            format!("{}{of}: line {number} {what}: {line}", self.path),
            format!(
                "let vgapt do this (vgapt define NAME --gpu ADDRESS, with --handover for the only card), and move the hook out of the folder: {}",
                self.put_away()
            ),
        ))
    }

    /// The hook is moved, not just made non-executable, and its folder is removed if it becomes empty: else a hook dispatcher
    /// may fail, and libvirt refuses the start.
    fn put_away(&self) -> String {
        let folder = self.path.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| folder.contains("/qemu.d/"));
        let emptied = folder.map(|folder| format!(" && rmdir --ignore-fail-on-non-empty {folder}")).unwrap_or_default();
        format!("mv {} /root/{emptied}", self.path)
    }
}

/// A libvirt daemon, identified by PID and start time, because PIDs are reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// libvirtd or virtqemud.
    pub name: String,
    pub pid: u32,
    /// When it was started, in kernel ticks since boot; `None` if it does not run.
    pub started: Option<u64>,
}

impl Daemon {
    /// The kernel's ticks per second, as exposed to programs (`USER_HZ`).
    const TICKS: u64 = 100;

    pub fn is(&self, other: &Self) -> bool {
        self.started.is_some() && self == other
    }

    pub fn is_after(&self, other: &Self) -> bool {
        self.started.zip(other.started).is_some_and(|(own, other)| own > other)
    }

    /// When it was started, in seconds since 1970.
    pub fn started_at(&self, booted: u64) -> Option<u64> {
        Some(booted + self.started? / Self::TICKS)
    }

    /// Parses the output of [`Self::mark`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (name, pid, started) = (words.next()?.to_owned(), words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { name, pid, started: Some(started) })
    }

    /// The daemon as one line; `None` if it does not run.
    pub fn mark(&self) -> Option<String> {
        Some(format!("{} {} {}\n", self.name, self.pid, self.started?))
    }

    /// The start time of a process, from its `/proc/PID/stat` (proc(5), field 22); the name in it may contain anything.
    pub fn ticks(stat: &str) -> Option<u64> {
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back() {
        let stat = "812 (libvirtd) S 1 812 812 0 -1 4194560 3 4 0 0 5 6 0 0 20 0 17 0 1234 1 2 3";
        assert_eq!(Daemon::ticks(stat), Some(1234));
        assert_eq!(Daemon::ticks(&stat.replace("libvirtd", "a) b (c")), Some(1234));
        let daemon = Daemon { name: "libvirtd".into(), pid: 812, started: Daemon::ticks(stat) };
        assert_eq!(Daemon::parse(&daemon.mark().unwrap()), Some(daemon.clone()));
        assert_eq!(daemon.started_at(1000), Some(1012));
        assert!(Daemon::ticks("").is_none() && Daemon::parse("libvirtd 1").is_none() && Daemon::parse("a b c").is_none());
        let gone = Daemon { started: None, ..daemon.clone() };
        assert!(daemon.is(&daemon) && !gone.is(&gone) && !gone.is_after(&daemon) && gone.mark().is_none());
    }
}
