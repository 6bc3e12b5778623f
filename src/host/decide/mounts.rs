//! File systems on which what is written does not count: read-only ones, those whose content is lost at the next boot, and
//! the folder below a file system that is not mounted.

use crate::host::plan::Plan;
use crate::model::{Finding, Setup};

/// What boots is below it, or below one of the others.
const BOOT: [&str; 3] = ["/boot", "/boot/efi", "/efi"];
/// File systems in memory, and those that live systems lay over an image (casper, archiso, overlayroot).
const LOST: [&str; 6] = ["overlay", "aufs", "unionfs", "tmpfs", "ramfs", "rootfs"];

/// A line of /proc/mounts or of fstab, which have the same fields.
struct Mount<'a> {
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn table<'a>(setup: &'a Setup, path: &str) -> Option<Vec<Mount<'a>>> {
    let lines = setup.files.text_lossy(path)?.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mount = |line: &'a str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, point, kind, options, ..] => Some(Mount { point, kind, options }),
        _ => None,
    };
    Some(lines.filter_map(mount).collect())
}

fn holds(point: &str, path: &str) -> bool {
    path.strip_prefix(point).is_some_and(|rest| point == "/" || rest.is_empty() || rest.starts_with('/'))
}

/// The parts of what boots that fstab names and that are not mounted; none where the mounts are unknown.
fn missing(setup: &Setup) -> Vec<&'static str> {
    let Some(mounted) = table(setup, "/proc/mounts").filter(|mounts| !mounts.is_empty()) else { return Vec::new() };
    let wanted = table(setup, "/etc/fstab").unwrap_or_default();
    let has = |mounts: &[Mount<'_>], point: &str| mounts.iter().any(|one| one.point == point);
    BOOT.into_iter().filter(|point| has(&wanted, point) && !has(&mounted, point)).collect()
}

/// Why what the plan would write does not count. What is not known to be mounted is not judged.
pub(super) fn findings(setup: &Setup, plan: &mut Plan) -> Vec<Finding> {
    let made = plan.commands.iter().flat_map(|command| &command.makes).map(String::as_str);
    let paths: Vec<&str> = plan.writes.iter().map(|write| write.place.as_str()).chain(made).collect();
    let unknown_loader = plan.findings.iter().any(|finding| finding.code == "boot-loader");
    let mut missing = missing(setup).into_iter().filter(|point| unknown_loader || paths.iter().any(|path| holds(point, path)));
    if let Some(first) = missing.next() {
        let message = format!(
            "{first} is in /etc/fstab, but not mounted: what is there now is not what boots the host, and what is written there is not read"
        );
        let finding = Finding::error("not-mounted", message, format!("mount {first}, and run vgapt prepare again"));
        // What a missing file system holds explains why no boot loader's configuration was found.
        plan.findings.retain(|finding| finding.code != "boot-loader");
        return vec![finding];
    }
    let mounts = table(setup, "/proc/mounts").unwrap_or_default();
    // Of several mounts of one place the last one is visible.
    let of = |path: &str| mounts.iter().filter(|one| holds(one.point, path)).max_by_key(|one| one.point.len());
    let on = |is: fn(&Mount<'_>) -> bool| paths.iter().find_map(|path| of(path).filter(|mount| is(mount)).map(|mount| (*path, mount)));
    if let Some((path, mount)) = on(|mount| mount.point == "/" && LOST.contains(&mount.kind)).filter(|_| !setup.is_of_ostree()) {
        let message = format!(
            "{path} is on {}, of type {}: as in a live system, what is written there is lost at the next boot",
            mount.point, mount.kind
        );
        return vec![Finding::error(
            "lost-at-boot",
            message,
            "install the system, or start the installed one, and run vgapt prepare there",
        )];
    }
    let read_only = on(|mount| mount.options.split(',').any(|option| option == "ro")).map(|(path, mount)| {
        let snapshot = mount.options.contains("/.snapshots/") || mount.options.contains("/snapshot");
        let remedy = if snapshot {
            "boot the system itself, not one of its snapshots (or roll back to this one: snapper rollback), and run vgapt prepare there"
                .to_owned()
        } else {
            format!("find out why (dmesg | grep -i remount; an error of the disk?), then: mount -o remount,rw {}", mount.point)
        };
        let what = if snapshot { ", a snapshot that is booted" } else { "" };
        Finding::error("read-only", format!("{path} cannot be written: {} is mounted read-only{what}", mount.point), remedy)
    });
    read_only.into_iter().collect()
}
