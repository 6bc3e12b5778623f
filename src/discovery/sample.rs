//! One moment of a running QEMU and its host: `/proc`, and KVM's counters in debugfs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::quotas::quotas;
use super::surroundings::links;
use crate::model::{CpuSet, CpuTimes, IdleState, Interrupts, PciAddress, Reading, Sample, Thread};
use crate::root::Root;

/// `kvm_create_vm_debugfs` makes a folder `PID-FD` here for each virtual machine.
const KVM: &str = "/sys/kernel/debug/kvm";
/// The flag of a thread of the kernel (`PF_KTHREAD` of include/linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;
/// That of one whose CPUs nobody may change (`PF_NO_SETAFFINITY`).
const FIXED_THREAD: u64 = 0x0400_0000;

/// A moment of this QEMU, and of the host CPUs that are its own; `None` where it has ended.
///
/// # Errors
/// Where `/proc` itself cannot be read.
pub fn sample(root: &Root, pid: u32, functions: &[PciAddress], own: &CpuSet) -> Result<Option<Sample>, String> {
    let needed = |path: &str| root.text(path).map_err(|error| format!("cannot read {path}: {error}"));
    let uptime = needed("/proc/uptime")?;
    let at = uptime.split_whitespace().next().and_then(|seconds| seconds.parse().ok());
    let at = at.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or("/proc/uptime cannot be read")?;
    let threads = threads(root, pid, true);
    if threads.is_empty() {
        return Ok(None);
    }
    // What is compared with QEMU's times is read at once; the threads of all other processes take longest.
    let cpus = cpu_times(&needed("/proc/stat")?);
    let interrupts_now = root.reading("/proc/interrupts").and_then(|text| interrupts(&text));
    let softirqs = root.reading("/proc/softirqs").and_then(|text| interrupts(&text));
    let kvm = kvm(root, pid);
    let others = root.entries("/proc").map(|names| {
        let pids = names.iter().filter_map(|name| name.parse().ok()).filter(|other| *other != pid);
        pids.flat_map(|other| self::threads(root, other, false)).collect::<Vec<Thread>>()
    });
    // The kernel's threads are there on every host.
    let others = others.and_then(|others| {
        let are_all = others.iter().any(|thread| thread.is_kernel);
        are_all.then_some(others).ok_or_else(|| "the host's own threads cannot be seen (hidepid, or a container)".to_owned())
    });
    let vcpus: Vec<u32> = threads.iter().filter(|thread| thread.vcpu().is_some()).map(|thread| thread.tid).collect();
    Ok(Some(Sample {
        at,
        threads,
        others,
        idle: cpus.keys().map(|cpu| (*cpu, idle_states(root, *cpu))).collect(),
        cpus,
        interrupts: interrupts_now,
        softirqs,
        kvm,
        quotas: quotas(root, pid, &vcpus),
        links: functions.iter().flat_map(|address| links(root, *address)).collect(),
        khz: own.0.iter().filter_map(|cpu| Some((*cpu, khz(root, *cpu)?))).collect(),
        throttled: own.0.iter().filter_map(|cpu| Some((*cpu, throttled(root, *cpu)?))).collect(),
    }))
}

/// The threads of a process; one that ends meanwhile is left out. `all` of a thread is read of QEMU's only.
fn threads(root: &Root, pid: u32, all: bool) -> Vec<Thread> {
    let tids = root.names(&format!("/proc/{pid}/task")).into_iter().filter_map(|tid| tid.parse().ok());
    tids.filter_map(|tid| thread(root, pid, tid, all)).collect()
}

fn thread(root: &Root, pid: u32, tid: u32, all: bool) -> Option<Thread> {
    let home = format!("/proc/{pid}/task/{tid}");
    let stat = root.text(&format!("{home}/stat")).ok()?;
    // A name may contain spaces and parentheses; behind the last one is the state, field 3 of proc(5).
    let (before, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let status = if all { root.text(&format!("{home}/status")).ok() } else { None };
    let line = |name: &str| status.as_ref()?.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // `run_delay` and the time on a CPU (Documentation/scheduler/sched-stats.rst).
    let schedstat = root.attribute(&format!("{home}/schedstat"));
    let mut times = schedstat.iter().flat_map(|text| text.split_whitespace()).map(|time| time.parse().ok());
    let (ran, waited) = (times.next().flatten(), times.next().flatten());
    Some(Thread {
        pid,
        tid,
        started: field(22)?,
        name: before.split_once('(')?.1.to_owned(),
        is_kernel: field(9)? & KERNEL_THREAD != 0,
        is_fixed: field(9)? & FIXED_THREAD != 0,
        cpu: field(39)?.try_into().ok()?,
        user: field(14)?,
        system: field(15)?,
        guest: field(43)?,
        ran,
        waited,
        preempted: line("nonvoluntary_ctxt_switches:").and_then(|count| count.parse().ok()),
        allowed: line("Cpus_allowed_list:").and_then(|list| list.parse::<CpuSet>().ok()),
    })
}

fn cpu_times(stat: &str) -> BTreeMap<u32, CpuTimes> {
    let cpu = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let cpu = words.next()?.parse().ok()?;
        let times: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, iowait, interrupts, softirqs, steal, guest, guest_nice] = times.get(..10)?.try_into().ok()?;
        let user = user.checked_add(nice)?;
        let guest = guest.checked_add(guest_nice)?;
        Some((cpu, CpuTimes { user, system, idle: idle.checked_add(iowait)?, interrupts, softirqs, steal, guest }))
    };
    // The first line is the sum of all, without a number.
    stat.lines().take_while(|line| line.starts_with("cpu")).filter_map(cpu).collect()
}

/// The first line names the CPUs that are online; `ERR` and `MIS` have one count for all of them and are left out.
fn interrupts(text: &str) -> Result<Vec<Interrupts>, String> {
    let mut lines = text.lines();
    let cpus: Vec<u32> =
        lines.next().into_iter().flat_map(str::split_whitespace).filter_map(|word| word.strip_prefix("CPU")?.parse().ok()).collect();
    if cpus.is_empty() {
        return Err("the table of interrupts names no CPUs".to_owned());
    }
    let line = |line: &str| {
        let (name, rest) = line.trim_start().split_once(':')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let counts: BTreeMap<u32, u64> = cpus.iter().zip(&words).map_while(|(cpu, word)| Some((*cpu, word.parse().ok()?))).collect();
        let is_whole = counts.len() == cpus.len();
        is_whole.then(|| Interrupts { name: name.to_owned(), about: words[cpus.len()..].join(" "), counts })
    };
    Ok(lines.filter_map(line).collect())
}

fn idle_states(root: &Root, cpu: u32) -> Vec<IdleState> {
    let home = format!("/sys/devices/system/cpu/cpu{cpu}/cpuidle");
    let state = |name: String| {
        let read = |file: &str| root.attribute(&format!("{home}/{name}/{file}"));
        Some(IdleState { name: read("name")?, latency: read("latency")?.parse().ok()?, used: read("usage")?.parse().ok()? })
    };
    root.names(&home).into_iter().filter_map(state).collect()
}

fn khz(root: &Root, cpu: u32) -> Option<u64> {
    root.attribute(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq"))?.parse().ok()
}

/// Intel's processors only (`therm_throt.c` of the kernel).
fn throttled(root: &Root, cpu: u32) -> Option<u64> {
    let home = format!("/sys/devices/system/cpu/cpu{cpu}/thermal_throttle");
    let count = |what: &str| root.attribute(&format!("{home}/{what}_throttle_count"))?.parse::<u64>().ok();
    count("core").map(|core| core.saturating_add(count("package").unwrap_or_default()))
}

/// The counters of the process's virtual machine. debugfs is root's.
fn kvm(root: &Root, pid: u32) -> Reading<BTreeMap<String, u64>> {
    let prefix = format!("{pid}-");
    let counters = |name: String| {
        let home = format!("{KVM}/{name}");
        root.entries(&home).then(|names| {
            let mut counters = BTreeMap::new();
            // Folders of the vCPUs are no counters. With Secure Boot, the kernel may show the names and not let them be read.
            for name in names.into_iter().filter(|name| !name.starts_with("vcpu")) {
                match root.attribute_reading(&format!("{home}/{name}")) {
                    Reading::Known(text) => counters.extend(text.trim().parse().ok().map(|count| (name, count))),
                    Reading::Unknown(because) => return Reading::Unknown(because),
                    Reading::Absent => {}
                }
            }
            Reading::Known(counters)
        })
    };
    root.entries(KVM).then(|names| names.into_iter().find(|name| name.starts_with(&prefix)).map_or(Reading::Absent, counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_interrupts_belong_to_the_cpus_of_the_first_line() {
        let text = "           CPU0       CPU2\n  45:          7          9   IR-PCI-MSI 1-edge      eth0\n LOC:  1  2  Local timer interrupts\n ERR:  0\n";
        let lines = interrupts(text).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].name.as_str(), lines[0].about.as_str()), ("45", "IR-PCI-MSI 1-edge eth0"));
        assert_eq!(lines[0].counts, BTreeMap::from([(0, 7), (2, 9)]));
        for odd in ["CPU0", "CPU0\n1:", "CPU0 CPU1\n: x\n\n5: 18446744073709551616 1"] {
            assert_eq!(interrupts(odd), Ok(Vec::new()), "{odd:?}");
        }
        assert!(interrupts("").is_err() && interrupts(" 1: 5 x").is_err());
    }

    #[test]
    fn times_of_a_cpu_with_nice_ones_in_them() {
        let times = cpu_times("cpu  1 2 3 4 5 6 7 8 9 10\ncpu3 1 2 3 4 5 6 7 8 9 10\ncpu4 1 2\ncpux\nintr 5\ncpu9 1 2 3 4 5 6 7 8 9 10\n");
        let known = CpuTimes { user: 3, system: 3, idle: 9, interrupts: 6, softirqs: 7, steal: 8, guest: 19 };
        assert_eq!(times, BTreeMap::from([(3, known)]));
    }
}
