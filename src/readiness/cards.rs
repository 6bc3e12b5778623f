//! The cards selected for a guest: the verdict on each, warnings, boot framebuffer, ROM, processes that use it.

use super::binding::REPORTED_WITH_BINDING;
use super::check::{Check, NextStep, Topic};
use super::facts::Facts;
use crate::host::{self, Bind, ExternalBinding};
use crate::model::{Finding, HostSource, Iommu, LibvirtAnswer, PciAddress, PciDevice, Rom, RomCode, RomState, Severity, Size};
use crate::passthrough::{self, Assessment, Choice, DangerKind, Resets, Verdict, assess, choose, missing_iommu, resets};

const WHY_GROUP: &str =
    "devices in one IOMMU group can access each other's memory, so a group is assigned to a guest as a whole or not at all";

/// Refusals of prepare that the verdict already covers.
const COVERED_BY_VERDICT: [&str; 4] = ["blocked-group", "bmc", "has-virtual-functions", "reserved-memory"];

/// The domains that the card is passed through to.
pub(super) fn domains(facts: &Facts, card: &Assessment) -> Option<Check> {
    let Some(LibvirtAnswer::Connected { domains, .. }) = &facts.observed.libvirt else { return None };
    let users = domains.iter().filter(|user| card.functions.iter().any(|function| user.functions.contains(function)));
    let users: Vec<String> = users.map(|user| format!("'{}' ({})", user.name, user.state)).collect();
    let seen = format!("is passed through to the domain {}", users.join(" and to "));
    (!users.is_empty()).then(|| Check::ok("card-domains", Topic::Cards, subject(card), seen))
}

/// Why this card was chosen among several.
pub(super) fn chosen(facts: &Facts) -> Option<Check> {
    let [card] = facts.cards else { return None };
    let all = assess(facts.host);
    let Choice::Chosen(chosen, because) = choose(&all) else { return None };
    (chosen.address == card.address && all.len() > 1)
        .then(|| Check::ok("choice", Topic::Cards, subject(card), format!("is chosen if none is named: {because}")).minor())
}

fn subject(card: &Assessment) -> String {
    card.address.short()
}

/// No card is selected.
pub(super) fn none(facts: &Facts) -> Option<Check> {
    if !facts.cards.is_empty() {
        return None;
    }
    let all = assess(facts.host);
    let choice = choose(&all);
    let check = Check::ok("card", Topic::Cards, "graphics card", choice.because());
    if let Some(why) = facts.host.pci_is_unknown() {
        let check = Check { seen: format!("which there are is unknown: {why}"), ..check };
        let remedy = "make sysfs visible, as by mount -t sysfs sysfs /sys; or name what holds a copy of it: vgapt --root PATH";
        return Some(check.missing(NextStep::Choose, "without the list of PCI functions, nothing is known of the host's cards", remedy));
    }
    Some(match choice {
        Choice::None(cards, _) | Choice::Ambiguous(cards, _) if cards.is_empty() => check.missing(
            NextStep::Choose,
            "without a card to pass through, a guest has no GPU of its own and does not need vgapt",
            "install a graphics card",
        ),
        Choice::None(cards, _) => {
            let first = cards.first().map(|card| card.address.short()).unwrap_or_default();
            check.missing(NextStep::Choose, WHY_GROUP, format!("see what blocks a card: vgapt check --gpu {first}"))
        }
        Choice::Ambiguous(cards, _) => {
            let first = cards.first().map(|card| card.address.short()).unwrap_or_default();
            let why = "what has to be done depends on the card";
            check.missing(NextStep::Choose, why, format!("choose one: vgapt check --gpu {first}"))
        }
        // A chosen card is always among the selected ones.
        Choice::Chosen(..) => check,
    })
}

/// Functions that a udev rule removed from the bus are in no list: what it matches is not among the functions here.
pub(super) fn removed(facts: &Facts) -> Option<Check> {
    let rules: Vec<String> = host::hiding(facts.host, facts.setup).iter().map(ExternalBinding::cited).collect();
    (!rules.is_empty()).then(|| {
        let seen = format!("are removed from the PCI bus at each boot by {}", rules.join(", and by "));
        let check = Check::ok("removed-functions", Topic::Cards, "functions that are not here", seen);
        let why = "a card, or its audio or USB function, that the rule matches is not listed and cannot be passed through; tools that switch laptop graphics write such rules";
        // The host's own display is no card for a guest where the one that is meant may be hidden.
        if facts.cards.iter().all(passthrough::is_hosts_own) {
            return check.missing(NextStep::Kernel, why, "remove that rule, regenerate the initramfs, and reboot: the card for the guest may be what it hides");
        }
        check.care(why, "if a function of the card for the guest is missing, remove that rule and reboot")
    })
}

pub(super) fn warnings(facts: &Facts, card: &Assessment) -> Vec<Check> {
    // Devices with the same id matter only for binding by id; what is bound or facts already was bound correctly.
    let is_bound = card.verdict == Verdict::Ready || !facts.writes();
    // The check of the IOMMU reports that there is no group.
    let told = |warning: &&Finding| match warning.code {
        "no-group" => false,
        "twins" => !is_bound,
        // Prepare's finding says the same, and why.
        "host-blind" => facts.finding("no-display").is_none(),
        _ => true,
    };
    let check = |warning: &Finding| {
        let check = Check::of_finding(warning, Topic::Cards, &subject(card), why(warning.code));
        if warning.code == "twins" { Check { remedy: facts.command(), ..check } } else { check }
    };
    card.warnings.iter().filter(told).map(check).collect()
}

pub(super) fn verdict(facts: &Facts, card: &Assessment) -> Check {
    let name = card.name.clone().unwrap_or_else(|| format!("graphics [{}]", card.id));
    let groups: Vec<String> = card.groups.iter().map(u32::to_string).collect();
    let groups = format!("IOMMU group{} {}", if groups.len() == 1 { "" } else { "s" }, groups.join(", "));
    let check = |seen: String| Check::ok("card", Topic::Cards, subject(card), seen);
    let remedy = card.remedy.clone().unwrap_or_default();
    match card.verdict {
        Verdict::Ready | Verdict::Available | Verdict::OnlyDisplay => check(format!("{name}: the host uses nothing else in {groups}")),
        Verdict::Blocked => {
            let blockers = PciDevice::list(facts.host.devices(&card.blockers));
            check(format!("{name}: the host uses other devices in {groups}: {blockers}")).missing(
                NextStep::Firmware,
                WHY_GROUP,
                remedy.clone(),
            )
        }
        Verdict::Reserved => check(format!("{name}: the firmware reserves memory for it (RMRR)")).missing(
            NextStep::Firmware,
            "the kernel refuses to give a device with such memory to a guest",
            remedy.clone(),
        ),
        Verdict::Console => check(format!("{name}: it is the server's console")).missing(
            NextStep::Choose,
            why("bmc"),
            "name another card with --gpu; see them: vgapt list",
        ),
        Verdict::SharedOut => check(format!("{name}: it has virtual functions, and stays with the host")).missing(
            NextStep::Choose,
            "passing a function through removes its virtual functions",
            remedy.clone(),
        ),
        Verdict::Unknown => {
            let (seen, remedy) = missing_iommu(facts.host);
            if facts.host.platform.iommu == Iommu::On && facts.needs.lacks_now.is_empty() {
                return check(format!("{name}: {seen}")).missing(NextStep::Firmware, super::platform::WHY_IOMMU, remedy);
            }
            check(String::new()).unknown(&format!("{seen}, so it is unknown which devices share a group with {name}"))
        }
    }
}

fn why(code: &str) -> &'static str {
    match code {
        "twins" => "vfio-pci binds every device that has a given id; vgapt prepare binds by address",
        "boot-display" => "memory that the boot screen uses cannot be mapped for a guest, and an NVIDIA card's ROM is modified by then",
        "display-without-driver" => "once the card is passed through, the host has no picture",
        "no-monitor" => "nobody sees what the host shows there",
        "host-blind" => "nobody can see the host's screen or log in locally",
        "apu" => "a guest's driver does not start without the ROM",
        "igd" => "the guest's driver reads there which display outputs the board has",
        "reset" | "no-reset" => "a card is reset each time it is assigned to a guest",
        "not-answering" => "it cannot be used in this state",
        "large-bar" => "a memory region that does not fit is not mapped, and the guest's driver does not start",
        "muxless" | "no-outputs" => "the guest renders, but no output shows it",
        "function-without-group" => "a card does not start in a guest without all of its functions",
        "bmc" => "once it is passed through, the server's console cannot be reached",
        _ => "it affects how the card works in a guest",
    }
}

/// What prepare refuses unless an option allows it.
pub(super) fn refusals(facts: &Facts) -> Vec<Check> {
    let only_display = |finding: &Finding| finding.code == DangerKind::OnlyDisplay.code();
    let is_one = |finding: &&Finding| finding.severity == Severity::Blocked || finding.unless.is_some() || only_display(finding);
    let against = facts.plan.findings.iter().filter(is_one);
    let subject = facts.functions.first().map(|address| address.short()).unwrap_or_default();
    against
        .filter(|finding| {
            !COVERED_BY_VERDICT.contains(&finding.code)
                && !REPORTED_WITH_BINDING.contains(&finding.code)
                && !["tpm", "moved"].contains(&finding.code)
        })
        .map(|finding| {
            let check = Check::ok(finding.code, Topic::Cards, subject.clone(), finding.message.clone());
            let why = "the host needs what it would lose with the card";
            if finding.severity == Severity::Blocked {
                check.blocked(NextStep::Firmware, why, finding, &facts.command())
            } else {
                check.care(why, finding.remedy_alone())
            }
        })
        .collect()
}

/// What can reset it: the first rungs of the ladder of `vgapt reset`.
pub(super) fn reset(facts: &Facts, card: &Assessment) -> Option<Check> {
    let Resets { seen, warning } = resets(facts.host, card.address, &card.functions)?;
    let check = Check::ok("reset-methods", Topic::Cards, subject(card), seen);
    Some(match warning {
        Some((why, remedy)) => check.care(why, remedy),
        None => check.minor(),
    })
}

/// The sizes of its regions: a guest sees them as they are now, and cannot change them.
pub(super) fn regions(facts: &Facts, card: &Assessment) -> Option<Check> {
    let bars = &facts.host.device(card.address)?.bars;
    let bar = bars.iter().max_by_key(|bar| bar.size)?;
    let seen = format!("its largest memory region has {}", bar.size);
    let check = |seen: String| Check::ok("resizable-bar", Topic::Cards, subject(card), seen);
    let largest = bar.resizable.iter().max().copied().unwrap_or(bar.size);
    if largest <= bar.size {
        return Some(check(format!("{seen}{}", if bar.resizable.is_empty() { "" } else { ", its full size" })).minor());
    }
    let bit = (largest.bytes() / Size::from_mib(1).bytes()).ilog2();
    let path = format!("/sys/bus/pci/devices/{}", card.address);
    Some(Check {
        minor: true,
        ..check(format!("{seen}, and could have {largest} (resizable BAR)")).care(
            "a guest sees the size that it has on the host, and cannot change it; some games are faster with the full size",
            format!("before the guest starts, while no driver is bound to the card: echo {bit} > {path}/resource{}_resize", bar.index),
        )
    })
}

pub(super) fn d3cold(facts: &Facts, card: &Assessment) -> Option<Check> {
    let observed = facts.observed;
    let allowed = *observed.d3cold_allowed.get(&card.address)?;
    let at = card.address.to_string();
    let stuck =
        facts.log().iter().any(|line| line.contains(&at) && line.contains("D3cold") && (line.contains("Unable") || line.contains("stuck")));
    let check = |seen: &str| Check::ok("d3cold", Topic::Cards, subject(card), seen);
    Some(match (allowed, stuck) {
        (true, true) => check("did not wake from D3cold").care(
            "a card that is powered off and does not wake up is unusable until the host is powered off",
            format!(
                "echo 0 > /sys/bus/pci/devices/{at}/d3cold_allowed (permanently: options vfio-pci disable_idle_d3=1 in /etc/modprobe.d)"
            ),
        ),
        (true, false) => check("may be powered off when idle (D3cold)").minor(),
        (false, _) => check("stays powered when idle (D3cold is off)").minor(),
    })
}

/// What the kernel calls it (drivers/firmware/sysfb.c, drivers/video/fbdev, drivers/gpu/drm/sysfb).
const NAMES: [&str; 7] = ["bootfb", "efifb", "vesafb", "simplefb", "simpledrm", "simple-framebuffer", "efidrm"];

pub(super) fn framebuffer(facts: &Facts, card: &Assessment) -> Check {
    let check = |seen: String| Check::ok("boot-framebuffer", Topic::Cards, format!("{}, boot framebuffer", card.address.short()), seen);
    let Some(map) = facts.setup.files.text("/proc/iomem") else {
        return check(String::new()).unknown(&facts.because("/proc/iomem")).minor();
    };
    let Some(name) = framebuffer_on(map, card.address) else {
        return check("not on this card".into()).minor();
    };
    let check = check(format!("{name} occupies part of its memory region"));
    let why = "then vfio-pci cannot map the region (BAR 0: can't reserve), and the guest's screen stays black";
    let remedy = format!(
        "make another display primary in the firmware settings; or unbind the framebuffer before the guest starts, as root: {}; the parameter video=efifb:off has no effect on current kernels",
        "for d in simple-framebuffer efi-framebuffer; do [ ! -e /sys/bus/platform/drivers/$d/$d.0 ] || echo $d.0 > /sys/bus/platform/drivers/$d/unbind; done"
    );
    let on_vfio = facts.host.device(card.address).is_some_and(PciDevice::on_vfio);
    if on_vfio { check.missing(NextStep::Firmware, why, remedy) } else { check.care(why, remedy) }
}

/// A line of `/proc/iomem`.
struct Region<'a> {
    depth: usize,
    start: u64,
    end: u64,
    name: &'a str,
}

fn region(line: &str) -> Option<Region<'_>> {
    let depth = line.len() - line.trim_start().len();
    let (range, name) = line.trim().split_once(" : ")?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    Some(Region { depth, start: number(start)?, end: number(end)?, name })
}

/// The framebuffer inside one of a function's regions. Without root all addresses read as 0, but the
/// indentation shows the nesting.
fn framebuffer_on(map: &str, function: PciAddress) -> Option<&str> {
    let name = function.to_string();
    let regions: Vec<Region> = map.lines().filter_map(region).collect();
    let is_boot = |region: &Region| {
        let lower = region.name.to_ascii_lowercase();
        NAMES.iter().any(|name| lower.starts_with(name))
    };
    regions.iter().enumerate().filter(|(_, own)| own.name == name).find_map(|(at, own)| {
        let inside = regions[at + 1..]
            .iter()
            .take_while(|other| other.depth > own.depth || (own.end > 0 && other.start >= own.start && other.end <= own.end));
        inside.into_iter().find(|other| is_boot(other)).map(|other| other.name)
    })
}

const WHY_ROM: &str = "OVMF runs only UEFI images: with a BIOS image alone the screen stays black until the guest's own driver starts";
const CLEAN: &str = "get a clean copy of the ROM from the card's vendor, or read it from this very card with GPU-Z; verify it (vgapt check --rom FILE), and set it in the domain: <rom file='…'/>; a guest with a BIOS (SeaBIOS) does not need it";

pub(super) fn rom(facts: &Facts, card: &Assessment) -> Option<Check> {
    let device = facts.host.device(card.address)?;
    let check = |seen: String| Check::ok("rom", Topic::Cards, format!("{}, ROM", card.address.short()), seen);
    Some(match facts.observed.roms.get(&card.address) {
        None => check(String::new()).unknown(&facts.because_closed("rom in sysfs")).minor(),
        Some(RomState::Disabled) => Check {
            remedy: format!(
                "as root: echo 1 > {0} && cat {0} > card.rom; echo 0 > {0}; then: vgapt check --rom card.rom",
                format_args!("/sys/bus/pci/devices/{}/rom", card.address)
            ),
            why: WHY_ROM.to_owned(),
            ..check(String::new()).unknown("it is disabled, and vgapt does not enable a device's ROM to read it").minor()
        },
        Some(RomState::Read(Err(what))) => check(format!("cannot be used: {what}")).care(WHY_ROM, CLEAN),
        Some(RomState::Read(Ok(rom))) => of_rom(check, rom, device),
    })
}

fn of_rom(check: impl Fn(String) -> Check, rom: &Rom, device: &PciDevice) -> Check {
    let kinds: Vec<&str> = rom.images.iter().map(|image| kind(image.code)).collect();
    let seen = format!("holds {}", kinds.join(", "));
    let stranger = rom.images.iter().find(|image| image.id.vendor != device.id.vendor);
    if let Some(stranger) = stranger {
        return check(format!("{seen}; it is for {}, not for {}", stranger.id, device.id))
            .care("the ROM of another card does not initialize this one", CLEAN);
    }
    if !rom.has_uefi() {
        return check(format!("{seen}, and nothing for UEFI")).care(WHY_ROM, CLEAN);
    }
    if rom.leading > 0 {
        return check(format!("{seen}, after {} bytes that do not belong there", rom.leading)).care(
            "QEMU exposes the file unchanged, so the guest's firmware finds no ROM",
            format!("remove them: tail -c +{} FILE > clean.rom", rom.leading + 1),
        );
    }
    if rom.images.iter().any(|image| image.sum_is_right == Some(false)) {
        return check(format!("{seen}, and the checksum of its BIOS image is wrong"))
            .care("the firmware modified it while running (a shadow copy), or it is truncated", CLEAN);
    }
    check(seen)
}

fn kind(code: RomCode) -> &'static str {
    match code {
        RomCode::Bios => "BIOS",
        RomCode::Uefi => "UEFI",
        RomCode::UefiElsewhere => "UEFI for another architecture",
        RomCode::Other => "something else",
    }
}

/// Unbinding its driver while a process has the card open hangs the kernel.
pub(super) fn holders(facts: &Facts) -> Option<Check> {
    let subject = format!("{}, in use", facts.cards.first()?.address.short());
    let check = |seen: String| Check::ok("device-held", Topic::Cards, subject.clone(), seen);
    let Some(holders) = &facts.observed.holders else {
        return Some(check(String::new()).unknown(&facts.because("/proc")).minor());
    };
    if holders.known.is_empty() {
        let is_only_root = facts.observed.reach == HostSource::Live { root: false };
        let because = if is_only_root { Some("only root sees other users' processes") } else { holders.unknown.as_deref() };
        let unknown = because.map(|because| check(String::new()).unknown(because));
        return Some(unknown.unwrap_or_else(|| check("by no process".into())).minor());
    }
    let named: Vec<String> = holders.known.iter().map(|one| format!("{} (pid {}: {})", one.name, one.pid, one.nodes.join(", "))).collect();
    let pids: Vec<String> = holders.known.iter().map(|one| one.pid.to_string()).collect();
    let check = check(format!("by {}", named.join("; ")));
    let why = "a driver releases a card only when no process has it open; unbinding it before that hangs some kernels";
    Some(match facts.bind {
        Bind::Start if facts.hands_over => check.care(
            why,
            format!("end those that do not end with the desktop, which stops before the guest starts (kill {})", pids.join(" ")),
        ),
        Bind::Boot => check.care(why, format!("bind the card at boot, before any of these programs starts: {}", facts.command())),
        Bind::Start => check.missing(
            NextStep::Software,
            why,
            format!("end them before the guest starts (kill {}), or use --bind boot", pids.join(" ")),
        ),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAP: &str = "00000000-00000fff : Reserved\ne0000000-f1ffffff : PCI Bus 0000:00\n  e0000000-f1ffffff : PCI Bus 0000:01\n    e0000000-efffffff : 0000:01:00.0\n      e0000000-e07e8fff : BOOTFB\n    f0000000-f1ffffff : 0000:01:00.0\n  f2000000-f2003fff : 0000:02:00.0\n    f2000000-f2003fff : nvme\n";

    #[test]
    fn whose_region_it_is_in() {
        let zeros: String = MAP
            .lines()
            .map(|line| {
                let (range, name) = line.split_once(" : ").unwrap();
                format!("{}00000000-00000000 : {name}\n", &range[..range.len() - range.trim_start().len()])
            })
            .collect();
        for map in [MAP, &zeros] {
            assert_eq!(framebuffer_on(map, "01:00.0".parse().unwrap()), Some("BOOTFB"), "{map}");
            assert_eq!(framebuffer_on(map, "02:00.0".parse().unwrap()), None);
        }
        // The kernel indents no further than five levels.
        let deep = "e0000000-efffffff : 0000:01:00.0\ne0000000-e07e8fff : simple-framebuffer.0\nf0000000-f0000fff : BOOTFB\n";
        assert_eq!(framebuffer_on(deep, "01:00.0".parse().unwrap()), Some("simple-framebuffer.0"));
    }

    proptest! {
        #[test]
        fn never_panics(map in "([ ]{0,4}[0-9a-f]{0,18}-[0-9a-f]{0,8} : (BOOTFB|0000:01:00.0|\\PC{0,8})\n){0,6}\\PC{0,20}") {
            let _ = framebuffer_on(&map, "01:00.0".parse().unwrap());
        }
    }
}
