//! Commands around QEMU: those that set where it runs (`taskset`, `chrt`, `numactl`, `systemd-run`), and other programs.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::shell::WITH_VALUE_OF_NUMACTL;
use super::shell::{Script, is_wrapper};
use super::table::has;
use crate::xml::Fragment;

/// Adds to the domain what has an element; returns the words of all other commands, in order.
pub(super) fn translate(draft: &mut Draft, before: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    let mut rest = before;
    while !rest.is_empty() {
        let end = rest.iter().skip(1).position(|word| is_wrapper(word)).map_or(rest.len(), |at| at + 1);
        let (command, after) = rest.split_at(end);
        rest = after;
        let (before, noted) = (left.len(), draft.notes.len());
        let name = command[0].rsplit('/').next().unwrap_or_default();
        let said = match name {
            "taskset" => taskset(draft, &command[1..]),
            "chrt" => scheduler(draft, &command[1..]),
            "numactl" => nodes(draft, &command[1..], &mut left),
            "systemd-run" => unit(draft, &command[1..], &mut left),
            "cset" | "cgexec" => {
                let command = command.join(" ");
                draft.notes.push(format!(
                    "{command} before QEMU is left out: it runs QEMU in a group, which may limit its CPUs: write those into <vcpu cpuset=…>"
                ));
                true
            }
            _ => false,
        };
        if !said {
            left.extend_from_slice(command);
        }
        // What is converted only in part is said by the rest of it.
        if said && (left.len(), draft.notes.len()) == (before, noted) {
            let element = match name {
                "taskset" => "<vcpu cpuset=…>",
                "chrt" => "<vcpusched>",
                _ => "<numatune>, <vcpu cpuset=…>",
            };
            draft.notes.push(format!("{} before QEMU is converted to {element}", command.join(" ")));
        }
    }
    left
}

/// How many of the programs beside QEMU are named.
const MOST_TOLD: usize = 12;

/// What is said of the other programs that the script runs.
pub(super) fn programs(draft: &Draft, script: &Script) -> Vec<String> {
    let emulates_tpm = draft.domain.at("devices/tpm/backend").is_some_and(|backend| backend.attribute("type") == Some("emulator"));
    let told = |programs: &BTreeMap<String, usize>| {
        // libvirt runs its own.
        let all = programs.iter().filter(|(name, _)| !(emulates_tpm && name.starts_with("swtpm")));
        let all: Vec<String> = all.map(|(name, line)| format!("{name} (line {line})")).collect();
        let more = if all.len() > MOST_TOLD { ", …" } else { "" };
        (!all.is_empty()).then(|| all.into_iter().take(MOST_TOLD).collect::<Vec<_>>().join(", ") + more)
    };
    let before = told(&script.beside).map(|all| {
        format!("the script also runs {all}, which libvirt does not: what the guest needs of it, do before the start or in libvirt's hook")
    });
    let after = told(&script.after)
        .map(|all| format!("after QEMU's command the script runs {all}, which libvirt does not: run it yourself, or in libvirt's hook"));
    let pins = ["taskset", "chrt"].into_iter().any(|name| script.after.contains_key(name));
    let pins = pins.then(|| "pinning QEMU's threads after the start is left out: <vcpupin> and <vcpusched> of <cputune> do it".to_owned());
    before.into_iter().chain(after).chain(pins).collect()
}

/// `-c 4-7`, or a mask.
fn taskset(draft: &mut Draft, words: &[String]) -> bool {
    let is_list = words.iter().any(|word| word == "--cpu-list" || (word.starts_with('-') && !word.starts_with("--") && word.contains('c')));
    let Some(value) = words.iter().find(|word| !word.starts_with('-')) else { return false };
    let set = if is_list { Some(value.clone()) } else { of_mask(value) };
    set.is_some_and(|set| processors(draft, &set))
}

/// Sets the CPUs that QEMU runs on.
fn processors(draft: &mut Draft, set: &str) -> bool {
    // `0-6:2` is taskset syntax, `!1`, `+0` and `all` are numactl syntax: libvirt takes neither.
    let is_plain = is_plain(set);
    if is_plain {
        draft.domain.set("vcpu@cpuset", set);
    }
    is_plain
}

fn is_plain(set: &str) -> bool {
    !set.is_empty() && set.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '-')
}

fn of_mask(mask: &str) -> Option<String> {
    let mask = u128::from_str_radix(mask.trim_start_matches("0x"), 16).ok()?;
    let set: Vec<String> = (0..128).filter(|bit| mask >> bit & 1 == 1).map(|bit| bit.to_string()).collect();
    Some(set.join(","))
}

/// `-r 1`, `-f 10`, `-b 0`, `-i 0`.
fn scheduler(draft: &mut Draft, words: &[String]) -> bool {
    let mut kind = "rr";
    for word in words {
        kind = match word.as_str() {
            "-f" | "--fifo" => "fifo",
            "-r" | "--rr" => "rr",
            "-b" | "--batch" => "batch",
            "-i" | "--idle" => "idle",
            "-o" | "--other" | "-d" | "--deadline" | "-T" | "-P" | "-D" => return false,
            _ => kind,
        };
    }
    let priority = words.iter().find_map(|word| word.parse::<u32>().ok());
    let count = draft.domain.at("vcpu").and_then(|vcpu| vcpu.content().parse::<u32>().ok()).unwrap_or(1);
    let all = if count > 1 { format!("0-{}", count - 1) } else { "0".into() };
    let element = Fragment::new("vcpusched").with("vcpus", all).with("scheduler", kind);
    let priority = priority.filter(|_| ["rr", "fifo"].contains(&kind));
    draft.domain.push("cputune", if let Some(priority) = priority { element.with("priority", priority) } else { element });
    true
}

/// The options of a command as pairs of name and value, whichever way they are written: `-m 0`, `-m0`, `--membind=0`, `-lm 0`.
fn options(words: &[String], with_value: &str) -> Vec<(String, Option<String>)> {
    let mut options = Vec::new();
    let mut words = words.iter().filter(|word| *word != "--");
    while let Some(word) = words.next() {
        if let Some((name, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
            options.push((name.to_owned(), Some(value.to_owned())));
        } else if word.starts_with("--") || !word.starts_with('-') {
            let value = has(with_value, word).then(|| words.next().cloned()).flatten();
            options.push((word.clone(), value));
        } else {
            let mut letters = word.chars().skip(1);
            while let Some(letter) = letters.next() {
                let name = format!("-{letter}");
                let value = has(with_value, &name).then(|| letters.by_ref().collect::<String>());
                let value = value.map(|glued| if glued.is_empty() { words.next().cloned().unwrap_or_default() } else { glued });
                options.push((name, value));
            }
        }
    }
    options
}

/// `-m 0`, `-C 0-3`. Which CPUs a node has (`-N`) depends on the host, and is not looked up here.
fn nodes(draft: &mut Draft, words: &[String], left: &mut Vec<String>) -> bool {
    for (name, value) in options(words, WITH_VALUE_OF_NUMACTL) {
        let mode = match name.as_str() {
            "-m" | "--membind" => Some("strict"),
            "-i" | "--interleave" => Some("interleave"),
            "-p" | "--preferred" => Some("preferred"),
            // The kernel's default.
            "-l" | "--localalloc" => continue,
            _ => None,
        };
        let nodes = value.clone().unwrap_or_default();
        match mode {
            Some(mode) if is_plain(&nodes) && draft.domain.at("numatune/memory").is_none() => {
                draft.domain.push("numatune", Fragment::new("memory").with("mode", mode).with("nodeset", nodes));
            }
            None if matches!(name.as_str(), "-C" | "--physcpubind") && processors(draft, &nodes) => {}
            None if matches!(name.as_str(), "-N" | "--cpunodebind") => {
                draft.notes.push(format!(
                    "numactl {name} {nodes} is left out: it ran QEMU on the CPUs of NUMA node {nodes}; lscpu lists them, write them into <vcpu cpuset=…>"
                ));
            }
            _ => left.extend(["numactl".to_owned(), name].into_iter().chain(value)),
        }
    }
    true
}

/// `-p AllowedCPUs=4-7`; nothing else of a unit has an element.
fn unit(draft: &mut Draft, words: &[String], left: &mut Vec<String>) -> bool {
    left.push("systemd-run".to_owned());
    let mut words = words.iter().filter(|word| *word != "--");
    while let Some(word) = words.next() {
        let is_apart = ["-p", "--property"].contains(&word.as_str());
        let glued = word.strip_prefix("--property=").or_else(|| word.strip_prefix("-p")).filter(|_| !is_apart);
        let property = if is_apart { words.next().map(String::as_str) } else { glued };
        let set = property.and_then(|property| property.strip_prefix("AllowedCPUs=").or_else(|| property.strip_prefix("CPUAffinity=")));
        let set = set.map(|set| set.split_whitespace().collect::<Vec<_>>().join(","));
        match (property, set.filter(|set| processors(draft, set))) {
            (Some(property), Some(set)) => {
                draft.notes.push(format!("{property} of systemd-run before QEMU is converted to <vcpu cpuset='{set}'>"));
            }
            (Some(property), None) if is_apart => left.extend([word.clone(), property.to_owned()]),
            _ => left.push(word.clone()),
        }
    }
    true
}
