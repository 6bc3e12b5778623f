//! The guest's memory, and the links of its devices.

use std::collections::BTreeSet;

use super::seen::{LITTLE, Seen, UNTIL_BOOT, listed};
use crate::measure::measured::Judgement;
use crate::measure::numbers::{rounded, share};
use crate::model::{CellPlace, Link, Reading, Size};

/// Percent of the memory that has to be in huge pages, or on the node.
const MOST: f64 = 90.0;

/// About what it costs where all of the memory is in small pages, or on another node, beside that share.
const MISSES: f64 = 0.15;

/// About what a link costs of which nothing is left, beside the share that is missing.
const NO_LINK: f64 = 0.12;

/// About what merged memory costs, beside its share: it is copied once, when the guest writes to it.
const COPY: f64 = 0.05;

/// What memory on two nodes costs a guest that takes both for one: half of what all of it on another node would.
const FAR: f64 = 7.5;

pub(super) fn pages(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("pages", "huge pages");
    let memory = match &seen.surroundings.memory {
        Reading::Known(memory) => memory,
        Reading::Unknown(because) => return Judgement::unknown(code, subject, because),
        Reading::Absent => return Judgement::unknown(code, subject, "QEMU's memory could not be read"),
    };
    let (reserved, all) = (memory.in_reserved_pages(), memory.resident());
    if all == 0 {
        return Judgement::unknown(code, subject, "none of QEMU's memory is resident");
    }
    // QEMU has memory of its own besides the guest's, which is not in these pages and need not be.
    let is_whole = seen.subject.memory.is_some_and(|memory| memory.bytes() > 0 && reserved >= memory.bytes());
    let (share, reserved) = (share(memory.in_huge_pages(), all), share(reserved, all));
    let sizes: Vec<String> = memory.reserved.keys().map(Size::to_string).collect();
    let good = |text: String| Judgement::good(code, subject, text);
    match () {
        () if is_whole => good(format!("all of the guest's memory is in reserved pages of {}", listed(&sizes))),
        () if reserved >= MOST => good(format!("{reserved} % of QEMU's memory is in reserved pages of {}", listed(&sizes))),
        () if share >= MOST => good(format!("{share} % of QEMU's memory is in huge pages, which the kernel formed by itself and may split again")),
        () => good(format!("only {share} % of QEMU's memory is in huge pages: for the rest each miss of the TLB walks one level more of the guest's and of the host's tables"))
            .costs((100.0 - share) * MISSES)
            .by_command(seen.restarted(&format!("vgapt define {} --hugepages", seen.name()))),
    }
}

/// How much memory no device may reach at most: VGA's hole, and what the firmware closes for its system management (`tseg` of
/// QEMU's q35, of 16 MiB, or more where a guest has much memory).
const FIRMWARES: Size = Size::from_mib(64);

/// Whether the memory is where the passed functions find it at any time: with VFIO, all of it is pinned at the start.
pub(super) fn pinned(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("pinned", "pinned memory");
    let all = seen.subject.memory.filter(|_| !seen.subject.functions.is_empty())?;
    let pinned = match &seen.surroundings.pinned {
        Reading::Known(pinned) => *pinned,
        Reading::Unknown(because) => return Some(Judgement::unknown(code, subject, because)),
        Reading::Absent => return Some(Judgement::unknown(code, subject, "QEMU's status could not be read")),
    };
    if pinned.bytes().saturating_add(FIRMWARES.bytes()) >= all.bytes() {
        let least = if pinned >= all { "all of" } else { "but for what the firmware closes, all of" };
        return Some(Judgement::good(code, subject, format!("{pinned}, {least} the guest's {all}, is pinned for the passed functions")));
    }
    let because = format!(
        "{pinned} of the guest's {all} is pinned: QEMU has given the passed functions no more, as with a virtual IOMMU or memory that is plugged in later; what is not pinned may be swapped out"
    );
    Some(Judgement::unknown(code, subject, &because))
}

/// What of the guest's memory is in swap; only where some is.
pub(super) fn swapped(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("swapped", "memory in swap");
    let swapped = *seen.surroundings.swapped.as_ref().known().filter(|size| size.bytes() > 0)?;
    let all = seen.subject.memory.map_or(swapped.bytes(), Size::bytes);
    let part = share(swapped.bytes(), all).min(100.0);
    let text = format!("{swapped} of QEMU's memory is in swap, {part} % of the guest's: it stands still while a page of it is read again");
    let judgement = Judgement::good(code, subject, text);
    if part < LITTLE {
        return Some(judgement);
    }
    let judgement = judgement.weighs(part);
    Some(
        judgement
            .by_command(seen.restarted(&format!("vgapt define {} --hugepages", seen.name())))
            .by("pages of hugetlbfs are never swapped"),
    )
}

/// What KSM does with the guest's memory; only where it works, or has left something merged.
pub(super) fn merged(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("merged", "merging of memory");
    let merged = match &seen.surroundings.merged {
        Reading::Known(merged) => *merged,
        Reading::Absent => return None,
        Reading::Unknown(because) => return Some(Judgement::unknown(code, subject, &format!("{because}, and KSM works"))),
    };
    let share = seen.subject.memory.map_or(100.0, |memory| share(merged.bytes(), memory.bytes()));
    let text = format!("KSM has merged {merged} of QEMU's memory with equal pages");
    if share < LITTLE {
        return Some(Judgement::good(code, subject, text));
    }
    let edit = "add <nosharepages/> to <memoryBacking>, and start it anew";
    let judged = Judgement::good(code, subject, text + ": the first write to each is an exit and copies it").costs(share * COPY);
    Some(judged.by_command(seen.virsh("edit", "").trim_end().to_owned()).by(edit))
}

/// Memory on other NUMA nodes than the virtual CPUs.
pub(super) fn node(seen: &Seen<'_>) -> Option<Judgement> {
    let Reading::Known(memory) = &seen.surroundings.memory else { return None };
    let nodes: Vec<u32> = seen.cpus.0.iter().filter_map(|cpu| seen.subject.nodes.get(cpu).copied()).collect();
    let all: u64 = memory.nodes.values().map(|size| size.bytes()).sum();
    if !seen.is_pinned() && !seen.subject.nodes.is_empty() {
        let on = |(node, size): (&u32, &Size)| format!("{} % is on node {node}", share(size.bytes(), all));
        let on: Vec<String> = memory.nodes.iter().map(on).collect();
        let because = format!("the virtual CPUs are not pinned, and move between nodes; of the memory, {}", listed(&on));
        return Some(Judgement::unknown("node", "NUMA node", &because));
    }
    if nodes.is_empty() {
        return None;
    }
    let near: u64 = memory.nodes.iter().filter(|(node, _)| nodes.contains(node)).map(|(_, size)| size.bytes()).sum();
    let near = share(near, all);
    let many = nodes.iter().collect::<BTreeSet<_>>().len();
    let good = |text: String| Judgement::good("node", "NUMA node", text);
    let of_nodes = if many > 1 { format!("{many} nodes") } else { "node".to_owned() };
    let text = format!("{near} % of the memory is on the {of_nodes} of the virtual CPUs");
    let again = seen.restarted(&format!("vgapt define {} --pin --guest-numa yes", seen.name()));
    let cells = match &seen.subject.cells {
        Ok(cells) => cells,
        Err(because) => return Some(Judgement::unknown("node", "NUMA node", because)),
    };
    if many > 1 && cells.len() > 1 {
        return Some(match apart(cells, seen) {
            Ok(None) => good(format!("{text}, and each NUMA node of the guest is on the host's node of its virtual CPUs")),
            Ok(Some(cell)) => {
                good(format!("{text}, and the memory of the guest's node {cell} is bound to another node than its virtual CPUs run on"))
                    .costs(FAR)
                    .by_command(again)
            }
            Err(cell) => Judgement::unknown(
                "node",
                "NUMA node",
                &format!("{text}, and the memory of the guest's node {cell} is not bound to that of its virtual CPUs"),
            )
            .by_command(again),
        });
    }
    Some(match () {
        // It knows what is far, and uses it last.
        () if cells.len() > 1 && near < MOST => good(format!("{text}, and the guest sees NUMA nodes of its own")),
        () if many > 1 && near >= MOST => good(format!("{text}, and the guest does not see them: half of what it reads may be far"))
            .costs(FAR)
            .by_command(again)
            .by("where that is not possible, define says why; fewer virtual CPUs fit on one node"),
        () if near >= MOST => good(text),
        () => good(text).costs((100.0 - near) * MISSES).by_command(seen.pin()),
    })
}

/// The first of the guest's nodes whose memory is elsewhere than its virtual CPUs, or, as an error, not bound to their node.
fn apart<'c>(cells: &'c [CellPlace], seen: &Seen<'_>) -> Result<Option<&'c str>, &'c str> {
    let pins = seen.subject.pins.as_ref().ok();
    for cell in cells {
        let on = cell.vcpus.0.iter().filter_map(|vcpu| pins?.get(vcpu)).flat_map(|pin| &pin.0);
        let of_vcpus: BTreeSet<u32> = on.filter_map(|cpu| seen.subject.nodes.get(cpu).copied()).collect();
        let bound = cell.nodes.as_ref().ok_or(cell.id.as_str())?;
        // One without virtual CPUs is memory alone.
        if of_vcpus.is_empty() || bound.0.is_subset(&of_vcpus) {
            continue;
        }
        return if bound.0.is_disjoint(&of_vcpus) { Ok(Some(&cell.id)) } else { Err(&cell.id) };
    }
    Ok(None)
}

/// What it weighs that a passed function is on another node: each of its accesses to the guest's memory crosses to it.
const FAR_FUNCTION: f64 = 2.0;

/// Whether the passed functions are on the node of the virtual CPUs.
pub(super) fn card_node(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("card-node", "NUMA node of the functions");
    let of_vcpus: BTreeSet<u32> = seen.cpus.0.iter().filter_map(|cpu| seen.subject.nodes.get(cpu).copied()).collect();
    if !seen.is_pinned() || of_vcpus.is_empty() || seen.subject.function_nodes.is_empty() {
        return None;
    }
    let far = seen.subject.function_nodes.iter().find(|(_, node)| !of_vcpus.contains(node));
    let on: Vec<String> = of_vcpus.iter().map(u32::to_string).collect();
    let on = listed(&on);
    Some(match far {
        None => Judgement::good(code, subject, format!("they are on node {on}, as the virtual CPUs")),
        Some((function, node)) => {
            Judgement::good(code, subject, format!("{} is on node {node}, and the virtual CPUs are on node {on}", function.short()))
                .costs(FAR_FUNCTION)
                .by_command(seen.pin())
        }
    })
}

/// Interrupts a second of its functions from which a card is at work: one that draws has some for each picture.
const AT_WORK: f64 = 100.0;

pub(super) fn link(link: &Link, seen: &Seen<'_>) -> Judgement {
    let of = match (link.physical_function, link.switch) {
        (_, Some(switch)) => format!("{} (of the switch {})", link.address.short(), switch.short()),
        (Some(physical), None) => format!("{} (of its physical function {})", link.address.short(), physical.short()),
        (None, None) => link.address.short(),
    };
    let (code, subject) = ("link", format!("link of {of}"));
    let (Some(speed), Some(width), Some(most_speed), Some(most_width)) = (link.speed, link.width, link.most_speed, link.most_width) else {
        return Judgement::unknown(code, &subject, "its speed or width cannot be read");
    };
    let words = |speed: u64, width: u64| format!("{}.{} GT/s x{width}", speed / 1000, speed % 1000 / 100);
    let now = words(speed, width);
    if width >= most_width && speed >= most_speed {
        let port = if link.is_limited_by_port { "; the function could do more, its slot cannot" } else { "" };
        return Judgement::good(code, &subject, format!("{now}, the most that card and slot can do{port}"));
    }
    let text = |share: f64| format!("{now}, and card and slot can do {}: {share} % of that", words(most_speed, most_width));
    let judged = |share: f64, remedy: &str| Judgement::good(code, &subject, text(share)).costs((100.0 - share) * NO_LINK).by(remedy);
    // The speed may be that of a card that rests; not so the width.
    if width < most_width {
        let lanes = share(width, most_width);
        let text = format!("{width} of the {most_width} lanes that card and slot have ({now})");
        return Judgement::good(code, &subject, text).costs((100.0 - lanes) * NO_LINK).by(
            "switch the host off, and seat the card again or use another slot; the firmware settings may divide the slot's lanes (bifurcation)",
        );
    }
    let share = share(speed, most_speed);
    // Power management lowers the speed of a link that is not used, and raises it again: that is no fault.
    let of_slot: Option<Vec<f64>> = seen
        .own_interrupts
        .as_ref()
        .map(|own| own.iter().filter(|(function, _)| function.same_slot(link.address)).map(|(_, rate)| *rate).collect());
    let rate = of_slot.filter(|rates| !rates.is_empty()).map(|rates| rounded(rates.iter().sum()));
    // Posted, interrupts pass the host by: few that it handled do not tell of an idle card.
    let may_be_posted = matches!(seen.surroundings.posts_interrupts, Reading::Known(true));
    match rate.filter(|rate| *rate >= AT_WORK || !may_be_posted) {
        // A desktop that stands still has pictures too, and its processors have nothing to do.
        Some(rate) if rate >= AT_WORK && seen.is_busy() => judged(
            share,
            "measure again while the guest draws much: cards lower the speed while they have little to do; if it stays, look for the speed of the slot in the firmware settings",
        ),
        rate => {
            let idle = rate.map_or_else(
                || "whether the card works is unknown".to_owned(),
                |rate| format!("the guest hardly works ({rate} interrupts a second of the card)"),
            );
            Judgement::unknown(
                code,
                &subject,
                &format!("{idle}, and cards lower the speed while they are idle: {}; measure while the guest draws", text(share)),
            )
        }
    }
}

/// Whether the links of the passed functions may sleep while nothing is sent, from which they take microseconds to wake
/// (Documentation/power/pci.rst; a PCI Express device says itself how long it may take).
pub(super) fn aspm(seen: &Seen<'_>) -> Option<Judgement> {
    let (code, subject) = ("aspm", "sleep of links");
    let first = seen.links.first()?;
    let policy = match &seen.surroundings.aspm_policy {
        Reading::Known(policy) => policy,
        Reading::Unknown(because) => return Some(Judgement::unknown(code, subject, because)),
        Reading::Absent => {
            let because = "this kernel does not manage it (CONFIG_PCIEASPM): the links are as the firmware left them";
            return Some(Judgement::unknown(code, subject, because));
        }
    };
    let states = |link: &Link| {
        let states = link.sleeps.as_ref().map(|states| if states.is_empty() { "none".to_owned() } else { states.join(", ") });
        format!("{} {}", link.address.short(), states.unwrap_or_else(|| "unknown".to_owned()))
    };
    let each: Vec<String> = seen.links.iter().map(states).collect();
    let text = format!("the host's policy is {policy}; states in which links may sleep: {}", listed(&each));
    if ["powersave", "powersupersave"].contains(&policy.as_str()) && first.sleeps.as_ref().is_none_or(|states| !states.is_empty()) {
        let command = "echo performance > /sys/module/pcie_aspm/parameters/policy".to_owned();
        return Some(Judgement::good(code, subject, text).weighs(0.5).by_command(command).by(UNTIL_BOOT));
    }
    let are_known = seen.links.iter().all(|link| link.sleeps.is_some());
    let unknown = || Judgement::unknown(code, subject, &format!("the kernel does not say it of each link: {text}"));
    Some(if are_known { Judgement::good(code, subject, text.as_str()) } else { unknown() })
}

/// How much the guest's clock may differ from the host's, in seconds: an agent answers within milliseconds, or where the guest
/// works somewhat later.
const LEAST_LATE: f64 = 0.1;
/// The part of the time that it may differ.
const PART_LATE: f64 = 0.01;

/// What the guest itself says: whether its clock runs as fast as the host's. It does not where it loses ticks.
pub(super) fn agent(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("guest-clock", "guest's clock");
    let clock = match &seen.surroundings.agent {
        Reading::Known(clock) => clock,
        Reading::Absent => return Judgement::unknown(code, subject, "the domain has no channel for a guest agent"),
        Reading::Unknown(because) => return Judgement::unknown(code, subject, because),
    };
    let (guest, host) = (clock.guest.as_secs_f64(), clock.host.as_secs_f64());
    let judgement = Judgement::good(code, subject, format!("{guest:.2} s passed in the guest (its agent says), {host:.2} s on the host"));
    if (guest - host).abs() < LEAST_LATE.max(host * PART_LATE) {
        return judgement;
    }
    let remedy =
        "the guest's clock source loses ticks: vgapt explain says which timers the domain has; vgapt's own profile has those that do not";
    judgement.weighs(5.0).by(remedy)
}
