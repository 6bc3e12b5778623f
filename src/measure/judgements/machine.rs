//! The guest's memory, and the links of its devices.

use super::seen::{Seen, listed};
use crate::measure::differences::rounded;
use crate::measure::measured::Judgement;
use crate::model::{Link, Reading, Size};

/// Percent of the memory that has to be in huge pages, or on the node.
const MOST: f64 = 90.0;

#[expect(clippy::cast_precision_loss, reason = "a share in percent")]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { rounded(100.0 * part as f64 / all as f64) }
}

pub(super) fn pages(seen: &Seen<'_>) -> Judgement {
    let (code, subject) = ("pages", "huge pages");
    let memory = match &seen.surroundings.memory {
        Reading::Known(memory) => memory,
        Reading::Unknown(because) => return Judgement::unknown(code, subject, because),
        Reading::Absent => return Judgement::unknown(code, subject, "QEMU's memory could not be read"),
    };
    let reserved: u64 = memory.reserved.values().map(|size| size.bytes()).sum();
    let transparent = memory.transparent.bytes();
    let all = reserved.saturating_add(transparent).saturating_add(memory.ordinary.bytes());
    if all == 0 {
        return Judgement::unknown(code, subject, "none of QEMU's memory is resident");
    }
    let (share, reserved) = (share(reserved.saturating_add(transparent), all), share(reserved, all));
    let sizes: Vec<String> = memory.reserved.keys().map(Size::to_string).collect();
    let good = |text: String| Judgement::good(code, subject, text);
    match () {
        () if reserved >= MOST => good(format!("{reserved} % of QEMU's memory is in reserved pages of {}", listed(&sizes))),
        () if share >= MOST => good(format!("{share} % of QEMU's memory is in huge pages, which the kernel formed by itself and may split again")),
        () => good(format!("only {share} % of QEMU's memory is in huge pages: for the rest each miss of the TLB walks one level more of the guest's and of the host's tables"))
            .costs((100.0 - share) * 0.15, seen.restarted(&format!("vgapt define {} --hugepages", seen.name()))),
    }
}

/// Memory on other NUMA nodes than the virtual CPUs.
pub(super) fn node(seen: &Seen<'_>) -> Option<Judgement> {
    let Reading::Known(memory) = &seen.surroundings.memory else { return None };
    let nodes: Vec<u32> = seen.cpus.0.iter().filter_map(|cpu| seen.subject.nodes.get(cpu).copied()).collect();
    if nodes.is_empty() || !seen.is_pinned() {
        return None;
    }
    let all: u64 = memory.nodes.values().map(|size| size.bytes()).sum();
    let near: u64 = memory.nodes.iter().filter(|(node, _)| nodes.contains(node)).map(|(_, size)| size.bytes()).sum();
    let near = share(near, all);
    let judgement = Judgement::good("node", "NUMA node", format!("{near} % of the memory is on the node of the virtual CPUs"));
    Some(if near >= MOST { judgement } else { judgement.costs((100.0 - near) * 0.15, seen.pin()) })
}

pub(super) fn link(link: &Link) -> Judgement {
    let (code, subject) = ("link", format!("link of {}", link.address.short()));
    let (Some(speed), Some(width), Some(most_speed), Some(most_width)) = (link.speed, link.width, link.most_speed, link.most_width) else {
        return Judgement::unknown(code, &subject, "its speed or width cannot be read");
    };
    let words = |speed: u64, width: u64| format!("{}.{} GT/s x{width}", speed / 1000, speed % 1000 / 100);
    let now = words(speed, width);
    if width >= most_width && speed >= most_speed {
        let port = if link.is_limited_by_port { "; the function could do more, its slot cannot" } else { "" };
        let sleeps = if link.sleeps == Some(true) { "; it may sleep (ASPM L1)" } else { "" };
        return Judgement::good(code, &subject, format!("{now}, the most that card and slot can do{port}{sleeps}"));
    }
    let share = share(speed.saturating_mul(width), most_speed.saturating_mul(most_width));
    let text = format!("{now}, and card and slot can do {}: {share} % of that", words(most_speed, most_width));
    let remedy = if width < most_width {
        "switch the host off, and seat the card again or use another slot; the firmware settings may divide the slot's lanes (bifurcation)"
    } else {
        "measure again while the guest draws: many cards lower the speed while they are idle; if it stays, look for the speed of the slot in the firmware settings"
    };
    Judgement::good(code, &subject, text).costs((100.0 - share) * 0.12, remedy)
}
