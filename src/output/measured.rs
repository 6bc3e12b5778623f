//! What `vgapt measure` found, as text.

use super::style::{BAD, FAINT, GOOD, HANG, paint, shown};
use super::table::table;
use crate::measure::{Change, Judgement, Measured, Turn, VcpuTimes, Verdict};

/// The judgements, the worst first, then the numbers; all of them with `is_detailed`.
pub fn measured(measured: &Measured, against: Option<(&[Change], &[Turn])>, is_detailed: bool) -> String {
    let count = |verdict| measured.judgements.iter().filter(|judgement| judgement.verdict == verdict).count();
    let unknown = match count(Verdict::Unknown) {
        0 => String::new(),
        unknown => format!(", {unknown} unknown"),
    };
    let found = match count(Verdict::Costs) {
        0 => paint(GOOD, "nothing that was seen costs speed"),
        1 => paint(BAD, "1 thing costs speed"),
        costs => paint(BAD, format_args!("{costs} things cost speed")),
    };
    let mut text = format!("{}: {found}{unknown}; measured for {} s\n", shown(&measured.name), measured.seconds);
    text.extend(measured.judgements.iter().map(judgement));
    text.push('\n');
    text.push_str(&vcpus(measured));
    text.push_str(&cores(measured));
    if is_detailed {
        text.push_str(&details(measured));
    }
    if let Some((changes, turns)) = against {
        text.push_str(&format!("\n{}", changed(changes)));
        let word = |verdict: Option<Verdict>| verdict.map_or("not judged", said);
        for turn in turns {
            text.push_str(&format!("  {}: {} before, {} now\n", shown(&turn.subject), word(turn.before), word(turn.after)));
        }
    }
    text
}

fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Costs => "costs",
        Verdict::Unknown => "unknown",
        Verdict::Good => "good",
    }
}

fn judgement(judgement: &Judgement) -> String {
    let style = match judgement.verdict {
        Verdict::Costs => BAD,
        Verdict::Unknown => FAINT,
        Verdict::Good => GOOD,
    };
    let word = said(judgement.verdict);
    let costs = match (judgement.costs_percent, judgement.perhaps_percent) {
        _ if judgement.verdict != Verdict::Costs => String::new(),
        (Some(percent), _) => format!("; about {percent} %"),
        (None, Some(percent)) => format!("; perhaps {percent} %"),
        (None, None) => String::new(),
    };
    let (subject, seen) = (shown(&judgement.subject), shown(&judgement.seen));
    let mut text = format!("  {} {HANG}{subject}: {seen}{costs}\n", paint(style, format_args!("{word:<7}")));
    if judgement.has_remedy() {
        let remedy = judgement.command.iter().chain(Some(&judgement.remedy).filter(|words| !words.is_empty()));
        let remedy: Vec<_> = remedy.map(|words| shown(words)).collect();
        text.push_str(&format!("          remedy: {}\n", remedy.join("; ")));
    }
    text
}

fn unknown_or(number: Option<f64>, unit: &str) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| format!("{number}{unit}"))
}

fn vcpus(measured: &Measured) -> String {
    let rows: Vec<[String; 6]> = measured
        .vcpus
        .iter()
        .map(|vcpu| {
            [
                vcpu.vcpu.to_string(),
                format!("{} %", vcpu.guest),
                format!("{} %", vcpu.host),
                unknown_or(vcpu.waited, " %"),
                unknown_or(vcpu.preempted, "/s"),
                vcpu.ran_on.to_string(),
            ]
        })
        .collect();
    if rows.is_empty() { String::new() } else { table(["virtual CPU", "guest", "host", "waits", "preempted", "on host CPU"], &rows) }
}

fn cores(measured: &Measured) -> String {
    let rows: Vec<[String; 9]> = measured
        .cores
        .iter()
        .map(|core| {
            let percent = |number: f64| format!("{number} %");
            [
                core.cpu.to_string(),
                percent(core.guest),
                percent(core.host),
                percent(core.interrupts),
                percent(core.softirqs),
                percent(core.steal),
                percent(core.idle),
                unknown_or(core.timer, "/s"),
                core.mhz.map_or_else(|| "unknown".to_owned(), |mhz| mhz.to_string()),
            ]
        })
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        table(["host CPU", "guest", "host", "interrupts", "softirqs", "steal", "idle", "timer", "MHz at work"], &rows)
    }
}

/// All that the JSON has, but for its slices of time.
fn details(measured: &Measured) -> String {
    let mut text = String::new();
    let exits: Vec<[String; 2]> =
        measured.exits.iter().flatten().map(|(name, rate)| [shown(name).into_owned(), format!("{rate}/s")]).collect();
    if !exits.is_empty() {
        text.push_str(&format!("\n{}", table(["KVM's counter", "rate"], &exits)));
    }
    let of = |vcpu: &VcpuTimes, (name, rate): (&String, &f64)| [vcpu.vcpu.to_string(), format!("{rate}/s"), shown(name).into_owned()];
    let each = measured.vcpus.iter().map(|vcpu| (vcpu, vcpu.reasons.iter().flatten()));
    let reasons: Vec<[String; 3]> = each.flat_map(|(vcpu, reasons)| reasons.map(move |reason| of(vcpu, reason))).collect();
    if !reasons.is_empty() {
        text.push_str(&format!("\n{}", table(["virtual CPU", "exits", "reason"], &reasons)));
    }
    let each = measured.vcpus.iter().map(|vcpu| (vcpu, vcpu.exit_targets.iter().flatten()));
    let targets: Vec<[String; 3]> = each
        .flat_map(|(vcpu, targets)| targets.map(move |(target, rate)| [vcpu.vcpu.to_string(), format!("{rate}/s"), target.to_string()]))
        .collect();
    if !targets.is_empty() {
        text.push_str(&format!("\n{}", table(["virtual CPU", "exits", "for"], &targets)));
    }
    let loads: Vec<[String; 4]> = measured
        .loads
        .iter()
        .flatten()
        .map(|load| [load.cpu.to_string(), format!("{} %", load.ran), load.thread.to_string(), shown(&load.name).into_owned()])
        .collect();
    if !loads.is_empty() {
        text.push_str(&format!("\n{}", table(["host CPU", "ran", "thread", "name"], &loads)));
    }
    let interrupts: Vec<[String; 4]> = measured
        .interrupts
        .iter()
        .flatten()
        .map(|one| [one.cpus.to_string(), format!("{}/s", one.per_second), shown(&one.name).into_owned(), shown(&one.about).into_owned()])
        .collect();
    if !interrupts.is_empty() {
        text.push_str(&format!("\n{}", table(["host CPU", "rate", "interrupt", "of"], &interrupts)));
    }
    if let Some(memory) = &measured.memory {
        let nodes: String = memory.nodes.iter().map(|(node, size)| format!(", {size} on node {node}")).collect();
        let pinned = measured.pinned.map_or_else(|| "an unknown part of it".to_owned(), |size| size.to_string());
        text.push_str(&format!("\nmemory: {pinned} is pinned for devices or locked{nodes}\n"));
    }
    for (program, version) in &measured.versions {
        text.push_str(&format!("{}: {}\n", shown(program), shown(version)));
    }
    text
}

fn changed(changes: &[Change]) -> String {
    let number = |number: Option<f64>, unit: &str| {
        number.map_or_else(|| "unknown".to_owned(), |number| format!("{number} {unit}").trim().to_owned())
    };
    let rows: Vec<[String; 3]> = changes
        .iter()
        .map(|change| [number(change.before, change.unit), number(change.after, change.unit), shown(&change.what).into_owned()])
        .collect();
    table(["before", "now", "what"], &rows)
}
