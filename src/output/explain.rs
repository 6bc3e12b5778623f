//! Why each element of a domain was added: grouped by subject, and each reason once.

use super::style::{FAINT, STRONG, WARNING, paint};
use crate::domain::{IommufdDecision, Reason};
use crate::passthrough::IommufdCondition;

/// The subjects, in the order in which they are shown, each with the elements of the domain that belong to it.
const SUBJECTS: [(&str, &[&str]); 6] = [
    ("Processor", &["vcpu", "cputune", "cpu", "iothreads"]),
    ("Memory", &["memory", "memoryBacking", "numatune"]),
    ("Machine and firmware", &["os", "features"]),
    ("Clock", &["clock"]),
    ("Devices", &["devices"]),
    ("Other", &[]),
];

/// All elements; those with the same reason are on one line.
pub fn reasons(reasons: &[Reason]) -> String {
    let mut blocks: Vec<String> = Vec::new();
    for (place, (title, _)) in SUBJECTS.iter().enumerate() {
        let own: Vec<&Reason> = reasons.iter().filter(|reason| subject(reason) == place).collect();
        let lines: String = alike(&own).iter().map(|reasons| line(reasons)).collect();
        if !lines.is_empty() {
            blocks.push(format!("{}\n{lines}", paint(STRONG, title)));
        }
    }
    blocks.join("\n")
}

fn subject(reason: &Reason) -> usize {
    let first = reason.element.split(['/', '[']).next().unwrap_or_default();
    SUBJECTS.iter().position(|(_, elements)| elements.contains(&first)).unwrap_or(SUBJECTS.len() - 1)
}

/// Those with the same reason together, in the order of the first.
fn alike<'r>(reasons: &[&'r Reason]) -> Vec<Vec<&'r Reason>> {
    let mut groups: Vec<Vec<&Reason>> = Vec::new();
    for reason in reasons {
        let is_same = |group: &&mut Vec<&Reason>| {
            group.iter().all(|one| (one.why, one.source, one.changed) == (reason.why, reason.source, reason.changed))
        };
        match groups.iter_mut().find(is_same) {
            Some(group) => group.push(reason),
            None => groups.push(vec![reason]),
        }
    }
    groups
}

/// One reason, with its elements before it.
fn line(reasons: &[&Reason]) -> String {
    let Some(first) = reasons.first() else { return String::new() };
    let changed = if first.changed { paint(WARNING, " (changed since, not by vgapt)") } else { String::new() };
    format!("  {}: {}{changed} {}\n", elements(reasons), first.why, paint(FAINT, format_args!("[{}]", first.source)))
}

/// The elements of one reason. Neighbours with the same path are named once, and so is what neighbours say alike.
fn elements(reasons: &[&Reason]) -> String {
    let path =
        |reason: &Reason| reason.element.split('/').map(|step| step.split('[').next().unwrap_or_default()).collect::<Vec<_>>().join("/");
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let elements: Vec<(String, &str)> = reasons.iter().map(|reason| (path(reason), reason.says.as_str())).collect();
    let mut parts: Vec<String> = Vec::new();
    let mut rest = &elements[..];
    while let Some((first, says)) = rest.first() {
        let same_path = rest.iter().take_while(|(path, _)| path == first).count();
        let same_says =
            rest.iter().take_while(|(path, other)| parent(path).is_some() && parent(path) == parent(first) && other == says).count();
        let taken = if same_path > 1 || same_says < 2 {
            let says: Vec<&str> = rest[..same_path].iter().map(|(_, says)| *says).filter(|says| !says.is_empty()).collect();
            parts.push(format!("{} {}", paint(STRONG, first), says.join("; ")).trim_end().to_owned());
            same_path
        } else {
            let names: Vec<&str> = rest[..same_says].iter().filter_map(|(path, _)| Some(path.rsplit_once('/')?.1)).collect();
            let place = parent(first).unwrap_or_default();
            parts.push(format!("{} {} {says}", paint(STRONG, format_args!("{place}:")), names.join(", ")).trim_end().to_owned());
            same_says
        };
        rest = &rest[taken..];
    }
    parts.join("; ")
}

/// What became of `--iommufd`, with what it needs.
pub fn iommufd(decision: &IommufdDecision) -> String {
    let used = if decision.used { "the domain uses it" } else { "the domain does not use it" };
    let condition = |IommufdCondition { needs, holds, because, .. }: &IommufdCondition| {
        let word = match holds {
            Some(true) => "yes".to_owned(),
            Some(false) => paint(WARNING, "no"),
            None => paint(WARNING, "unknown"),
        };
        format!("  needs {needs}: {word} {}\n", paint(FAINT, format_args!("({because})")))
    };
    let conditions: String = decision.conditions.iter().map(condition).collect();
    format!("\n{}: {used}\n{conditions}", paint(STRONG, format_args!("--iommufd {}", decision.asked.word())))
}
