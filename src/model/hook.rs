//! libvirt's hook: where it lies, and what is seen of it.

use super::Finding;

/// What libvirt runs around the start and the stop of every domain; all that is in `qemu.d` since 6.5.
pub const HOOK: &str = "/etc/libvirt/hooks/qemu.d/vgapt";
/// Where it looks for vgapt. `AppArmor` lets libvirt run what is there, and nothing in /usr/local/bin or a home.
pub const HOOK_PROGRAMS: [&str; 3] = ["/etc/libvirt/hooks/vgapt", "/usr/bin/vgapt", "/usr/sbin/vgapt"];
/// The daemons that run hooks, by the files in which they tell their numbers.
pub const HOOK_DAEMONS: [(&str, &str); 2] = [("/run/virtqemud.pid", "virtqemud"), ("/run/libvirtd.pid", "libvirtd")];
/// Which of libvirt's daemons has called it last.
pub const HOOK_MARK: &str = "/run/vgapt/called";

/// What is seen of the hook. What could not be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookSeen {
    /// The daemon that runs hooks.
    pub daemon: Option<Daemon>,
    /// The daemon that has called the hook last.
    pub called_by: Option<Daemon>,
    /// When the kernel was started, in seconds since 1970.
    pub booted: Option<u64>,
    /// When the hook came to where it is, in seconds since 1970.
    pub written: Option<u64>,
    /// When the daemon was last told to look at its configuration, in seconds since 1970.
    pub told: Option<u64>,
    /// Whether the program that it runs is this one.
    pub is_own_program: Option<bool>,
    /// The files that `SELinux` would have labelled otherwise; `None` where that could not be told.
    pub mislabelled: Option<Vec<String>>,
    /// Hooks that others have put there.
    pub others: Vec<OtherHook>,
    /// Why the folders of hooks could not be read.
    pub unread: Option<String>,
}

/// A hook of libvirt's that vgapt has not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherHook {
    /// Its path.
    pub path: String,
    /// The domain that it is for, where its folder says so.
    pub domain: Option<String>,
    /// The line that calls libvirt back, and how it reads.
    pub calls_libvirt: Option<(usize, String)>,
    /// The first line that takes devices or the display from the host.
    pub takes: Option<(usize, String)>,
}

impl OtherHook {
    /// Whether libvirt runs it around this domain.
    pub fn is_for(&self, domain: &str) -> bool {
        self.domain.as_ref().is_none_or(|name| name == domain)
    }

    /// What it does that conflicts with vgapt's hook, and what to do about it.
    pub fn finding(&self) -> Option<Finding> {
        let asks = self.calls_libvirt.as_ref().map(|line| (line, "asks libvirt"));
        let ((number, line), what) = asks.or_else(|| Some((self.takes.as_ref()?, "takes devices or the display from the host")))?;
        let of = self.domain.as_ref().map(|name| format!(", for the domain {name}")).unwrap_or_default();
        Some(Finding::warning(
            "other-hook",
            format!("{}{of}: line {number} {what}: {line}", self.path),
            format!(
                "let vgapt do it (vgapt define NAME --gpu ADDRESS, with --handover for the only card) and move it out of the folder: {}",
                self.put_away()
            ),
        ))
    }

    /// Without permission to execute, or in an empty folder, a dispatcher fails over what it does not find, and libvirt
    /// refuses the start.
    fn put_away(&self) -> String {
        let folder = self.path.rsplit_once('/').map(|(folder, _)| folder).filter(|folder| folder.contains("/qemu.d/"));
        let emptied = folder.map(|folder| format!(" && rmdir --ignore-fail-on-non-empty {folder}")).unwrap_or_default();
        format!("mv {} /root/{emptied}", self.path)
    }
}

/// A daemon of libvirt's: its number alone is given out again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// libvirtd or virtqemud.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since boot; `None` where it does not run.
    pub started: Option<u64>,
}

impl Daemon {
    /// The kernel's ticks in a second, as it shows them to programs (`USER_HZ`).
    const TICKS: u64 = 100;

    /// Whether it is this very one.
    pub fn is(&self, other: &Self) -> bool {
        self.started.is_some() && self == other
    }

    /// Whether it was started after another one.
    pub fn is_after(&self, other: &Self) -> bool {
        self.started.zip(other.started).is_some_and(|(own, other)| own > other)
    }

    /// When it was started, in seconds since 1970.
    pub fn started_at(&self, booted: u64) -> Option<u64> {
        Some(booted + self.started? / Self::TICKS)
    }

    /// Reads what [`Self::mark`] has written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (name, pid, started) = (words.next()?.to_owned(), words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { name, pid, started: Some(started) })
    }

    /// It as one line; `None` where it does not run.
    pub fn mark(&self) -> Option<String> {
        Some(format!("{} {} {}\n", self.name, self.pid, self.started?))
    }

    /// When a process was started, by its `/proc/PID/stat` (proc(5), field 22): the name in it may hold anything.
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
