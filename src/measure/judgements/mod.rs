//! One function for each judgement.

mod caches;
mod cores;
mod exits;
mod interrupts;
mod kinds;
mod machine;
mod quota;
mod seen;
mod siblings;
mod targets;

pub(super) use seen::{BUSY, Seen};

use caches::caches;
use cores::{beside, frequency, idle, load, own_threads, pinning, steal, times, waiting, work};
use exits::{exits, halt_polling, reasons};
use interrupts::{card_interrupts, interrupts, kernel_interrupts, shared_lines, softirqs, timer};
use kinds::kinds;
use machine::{agent, aspm, card_node, link, merged, node, pages, pinned, swapped};
use quota::quota;
use siblings::siblings;

use super::measured::Judgement;

pub(super) fn all(seen: &Seen<'_>) -> Vec<Judgement> {
    let mut all = vec![pinning(seen), load(seen), own_threads(seen)];
    all.extend([work(seen), quota(seen), beside(seen), siblings(seen), kinds(seen), caches(seen)].into_iter().flatten());
    all.extend(
        [
            waiting(seen),
            interrupts(seen),
            kernel_interrupts(seen),
            softirqs(seen),
            timer(seen),
            steal(seen),
            node(seen),
            card_node(seen),
            pinned(seen),
        ]
        .into_iter()
        .flatten(),
    );
    all.extend([pages(seen), exits(seen), reasons(seen)]);
    all.extend([halt_polling(seen), swapped(seen), merged(seen), card_interrupts(seen), shared_lines(seen)].into_iter().flatten());
    all.extend([frequency(seen), idle(seen), times(seen)].into_iter().flatten());
    all.extend(seen.links.iter().map(|one| link(one, seen)));
    all.extend(aspm(seen));
    all.push(agent(seen));
    all
}
