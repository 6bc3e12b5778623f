//! One function for each judgement.

mod cores;
mod exits;
mod interrupts;
mod machine;
mod seen;
mod siblings;

pub(super) use seen::Seen;

use cores::{beside, frequency, idle, load, own_threads, pinning, steal, waiting, work};
use exits::{exits, reasons};
use interrupts::{card_interrupts, interrupts, timer};
use machine::{agent, aspm, link, node, pages};
use siblings::siblings;

use super::measured::Judgement;

pub(super) fn all(seen: &Seen<'_>) -> Vec<Judgement> {
    let mut all = vec![pinning(seen), load(seen), own_threads(seen)];
    all.extend([work(seen), beside(seen), siblings(seen)].into_iter().flatten());
    all.extend([waiting(seen), interrupts(seen), timer(seen), steal(seen), node(seen)].into_iter().flatten());
    all.extend([pages(seen), exits(seen), reasons(seen)]);
    all.extend(card_interrupts(seen));
    all.extend([frequency(seen), idle(seen)].into_iter().flatten());
    all.extend(seen.links.iter().map(|one| link(one, seen)));
    all.extend(aspm(seen));
    all.push(agent(seen));
    all
}
