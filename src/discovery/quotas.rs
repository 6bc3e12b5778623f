//! How much of the host CPUs control groups let QEMU's threads have, and how long these were held back.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{CpuQuota, Reading};
use crate::root::Root;

/// The quotas of these threads, the innermost group first: those of their own groups and of all above.
pub(super) fn quotas(root: &Root, pid: u32, threads: &[u32]) -> Reading<Vec<CpuQuota>> {
    if threads.is_empty() {
        return Reading::Unknown("none of QEMU's threads is named as that of a virtual CPU".to_owned());
    }
    let mut quotas: BTreeMap<String, Option<CpuQuota>> = BTreeMap::new();
    for tid in threads {
        let text = match root.reading(&format!("/proc/{pid}/task/{tid}/cgroup")) {
            Reading::Known(text) => text,
            // It has ended, or the kernel has no control groups.
            Reading::Absent => continue,
            Reading::Unknown(because) => return Reading::Unknown(because),
        };
        let Some((version, path)) = group(&text) else { continue };
        if path.split('/').any(|name| name == "..") {
            return Reading::Unknown("the control groups of QEMU are out of sight from here (a container)".to_owned());
        }
        for path in above(path) {
            let known = match quotas.entry(path.to_owned()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => match version.quota(root, path) {
                    Reading::Known(quota) => new.insert(Some(quota)),
                    Reading::Absent => new.insert(None),
                    Reading::Unknown(because) => return Reading::Unknown(because),
                },
            };
            if let Some(quota) = known {
                quota.threads.insert(*tid);
            }
        }
    }
    let mut quotas: Vec<CpuQuota> = quotas.into_values().flatten().collect();
    quotas.sort_by_key(|quota| std::cmp::Reverse(quota.group.len()));
    Reading::Known(quotas)
}

/// The versions of control groups (Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The group that decides about a thread's time: `4:cpu,cpuacct:/machine.slice/…`, or `0::/machine.slice/…`.
fn group(text: &str) -> Option<(Version, &str)> {
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == "cpu")).map(|(_, path)| (Version::One, path));
    first.or_else(|| lines().find(|(controllers, _)| controllers.is_empty()).map(|(_, path)| (Version::Two, path)))
}

/// A group and those above it, without the root, which has no quota.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path.trim_end_matches('/')), |path| path.rsplit_once('/').map(|(above, _)| above))
        .filter(|path| !path.is_empty())
}

impl Version {
    fn quota(self, root: &Root, path: &str) -> Reading<CpuQuota> {
        let home = match self {
            Self::One => format!("/sys/fs/cgroup/cpu{path}"),
            Self::Two => format!("/sys/fs/cgroup{path}"),
        };
        let read = |name: &str| root.attribute_reading(&format!("{home}/{name}"));
        let limit = match self {
            Self::One => read("cpu.cfs_quota_us").then(|quota| read("cpu.cfs_period_us").map(|period| format!("{quota} {period}"))),
            Self::Two => read("cpu.max"),
        };
        let percent = match limit.and_then(|limit| percent(&limit)) {
            Reading::Known(Some(percent)) => percent,
            Reading::Known(None) => return Reading::Absent,
            // A group whose controller is off has no such file.
            Reading::Absent if root.exists(&home) => return Reading::Absent,
            Reading::Absent => {
                return Reading::Unknown(format!("{home} is not there: control groups are mounted elsewhere, or QEMU has ended"));
            }
            Reading::Unknown(because) => return Reading::Unknown(because),
        };
        let stat = root.reading(&format!("{home}/cpu.stat")).known();
        let line = |name: &str| stat.as_deref()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let number = |name: &str| line(name)?.trim().parse::<u64>().ok();
        let held = match self {
            Self::One => number("throttled_time").map(Duration::from_nanos),
            Self::Two => number("throttled_usec").map(Duration::from_micros),
        };
        Reading::Known(CpuQuota { group: path.to_owned(), threads: BTreeSet::new(), percent, held })
    }
}

/// `200000 100000` are two host CPUs; `max` and -1 are no quota.
fn percent(limit: &str) -> Result<Option<u64>, String> {
    let odd = || format!("a quota of CPU time is not as expected: {}", limit.trim());
    let words: Vec<&str> = limit.split_whitespace().collect();
    let [quota, period] = words[..] else { return Err(odd()) };
    if ["max", "-1"].contains(&quota) {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u64>().map_err(|_| odd());
    let percent = number(quota)?.saturating_mul(100).checked_div(number(period)?);
    percent.map(Some).ok_or_else(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_thread() {
        let two = "0::/machine.slice/machine-qemu.scope/libvirt/vcpu0\n";
        assert_eq!(group(two), Some((Version::Two, "/machine.slice/machine-qemu.scope/libvirt/vcpu0")));
        // Both versions are mounted, and the first one has the processor.
        assert_eq!(group("9:cpuset:/a\n4:cpu,cpuacct:/m/vcpu0\n0::/m\n"), Some((Version::One, "/m/vcpu0")));
        assert_eq!(above("/m/libvirt/vcpu0").collect::<Vec<_>>(), ["/m/libvirt/vcpu0", "/m/libvirt", "/m"]);
        assert_eq!((above("/").count(), group("x\n")), (0, None));
    }

    #[test]
    fn a_quota_is_a_share_of_its_period() {
        for (limit, share) in [("150000 100000", Some(150)), ("max 100000", None), ("-1 100000", None)] {
            assert_eq!(percent(limit), Ok(share), "{limit}");
        }
        for limit in ["", "1", "x 1", "1 0"] {
            assert!(percent(limit).is_err(), "{limit}");
        }
    }
}
