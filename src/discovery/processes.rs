//! Processes that run QEMU: `/proc/PID`.

use std::collections::BTreeMap;

use crate::model::{Descriptor, QemuProcess, Reading, Tap};
use crate::root::Root;

/// The file of a tap of the kernel's tun driver.
const TUN: &str = "/dev/net/tun";

/// All of them. A process that ends meanwhile is left out.
pub fn qemu_processes(root: &Root) -> Reading<Vec<QemuProcess>> {
    if root.is_capture() {
        return Reading::Unknown("a capture contains no processes".into());
    }
    root.entries("/proc").map(|names| {
        let mut pids: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        pids.sort_unstable();
        pids.into_iter().filter_map(|pid| qemu(root, pid)).collect()
    })
}

fn qemu(root: &Root, pid: u32) -> Option<QemuProcess> {
    let argv = strings(&root.text(&format!("/proc/{pid}/cmdline")).ok()?);
    // An update replaces the file of a program that runs.
    let program = root.link(&format!("/proc/{pid}/exe")).filter(|path| !path.ends_with(" (deleted)"));
    if !is_qemu(argv.first()?) && !program.as_deref().is_some_and(is_qemu) {
        return None;
    }
    let folder = format!("/proc/{pid}/cwd");
    let because = || Reading::Unknown(format!("cannot read {folder}"));
    Some(QemuProcess {
        pid,
        folder: root.link(&folder).map_or_else(because, Reading::Known),
        environment: root.reading(&format!("/proc/{pid}/environ")).map(|text| {
            let setting = |setting: String| setting.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            strings(&text).into_iter().filter_map(setting).collect()
        }),
        descriptors: descriptors(root, pid),
        processors: processors(root, pid),
        pins: pins(root, pid),
        argv,
        program,
    })
}

/// Whether a path is a QEMU program's, also of a wrapper such as `.qemu-system-x86_64-wrapped`.
fn is_qemu(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default().trim_start_matches('.');
    name.starts_with("qemu-system-") || name == "qemu-kvm" || name == "kvm"
}

/// Strings that each end in a NUL byte.
fn strings(text: &str) -> Vec<String> {
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn descriptors(root: &Root, pid: u32) -> Reading<BTreeMap<u32, Descriptor>> {
    root.entries(&format!("/proc/{pid}/fd")).map(|names| {
        let read = |name: String| {
            let path = root.link(&format!("/proc/{pid}/fd/{name}"))?;
            let tap = tap(root, pid, &name, &path);
            Some((name.parse().ok()?, Descriptor { path, tap }))
        };
        names.into_iter().filter_map(read).collect()
    })
}

/// The network device of an open file: `iff:` in its information (`tun_chr_show_fdinfo`), or the number in `/dev/tap7`.
fn tap(root: &Root, pid: u32, number: &str, path: &str) -> Option<Tap> {
    let name = if path == TUN {
        let about = root.text(&format!("/proc/{pid}/fdinfo/{number}")).ok()?;
        about.lines().find_map(|line| line.strip_prefix("iff:"))?.trim().to_owned()
    } else {
        let index = path.strip_prefix("/dev/tap")?;
        root.names("/sys/class/net").into_iter().find(|name| root.attribute(&in_sys(name, "ifindex")).as_deref() == Some(index))?
    };
    let below = root.names(&in_sys(&name, "")).into_iter().find_map(|file| file.strip_prefix("lower_").map(str::to_owned));
    Some(Tap { bridge: root.link_name(&in_sys(&name, "master")), below, name })
}

fn in_sys(name: &str, file: &str) -> String {
    format!("/sys/class/net/{name}/{file}")
}

/// The CPUs that a process may use, where these are not all of the host.
fn processors(root: &Root, pid: u32) -> Option<String> {
    let allowed = allowed(root, &format!("/proc/{pid}/status"))?;
    let all = ["possible", "online"].map(|which| root.attribute(&format!("/sys/devices/system/cpu/{which}")));
    let is_all = all.iter().any(|all| all.as_deref() == Some(&allowed));
    (!is_all && all.iter().any(Option::is_some)).then_some(allowed)
}

fn allowed(root: &Root, status: &str) -> Option<String> {
    let status = root.text(status).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim().to_owned())
}

/// The host CPUs of the threads `CPU 0/KVM` and so on (`kvm_start_vcpu_thread`), where they are others than the process's.
fn pins(root: &Root, pid: u32) -> Vec<(u32, String)> {
    let all = allowed(root, &format!("/proc/{pid}/status"));
    let pin = |thread: String| {
        let name = root.attribute(&format!("/proc/{pid}/task/{thread}/comm"))?;
        let vcpu = name.strip_prefix("CPU ")?.split('/').next()?.parse().ok()?;
        let own = allowed(root, &format!("/proc/{pid}/task/{thread}/status"))?;
        (all.as_ref() != Some(&own)).then_some((vcpu, own))
    };
    let mut pins: Vec<(u32, String)> = root.names(&format!("/proc/{pid}/task")).into_iter().filter_map(pin).collect();
    pins.sort_unstable();
    pins
}
