//! The report of `vgapt check`: one line for each check, its remedy below it, and a summary at the end.

use super::next::next;
use super::style::{BAD, FAINT, GOOD, HANG, STRONG, WARNING, paint};
use crate::readiness::{Check, CheckState, Report, Topic};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Only what is missing.
    Less,
    /// What an update may have brought and a guest lacks, into the output of that update; nothing where nothing is lacking.
    AfterUpdate,
    Usual,
    /// Everything, and why it matters.
    More,
}

pub fn checks(report: &Report, detail: Detail) -> String {
    let told = |check: &&Check| match detail {
        Detail::Less => check.state == CheckState::Missing,
        Detail::AfterUpdate => is_of_update(check),
        Detail::Usual => !check.minor || check.state == CheckState::Missing,
        Detail::More => true,
    };
    let shown: Vec<&Check> = report.checks.iter().filter(told).collect();
    if detail == Detail::AfterUpdate && shown.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    let mut group = None;
    for check in &shown {
        if group != Some(check.group) {
            group = Some(check.group);
            text.push_str(&format!("{}\n", paint(STRONG, heading(check.group))));
        }
        text.push_str(&line(check, detail));
    }
    if !shown.is_empty() {
        text.push('\n');
    }
    let style = if report.ready { GOOD } else { BAD };
    let (word, rest) = report.summary.split_at(report.summary.find([',', ':']).unwrap_or(report.summary.len()));
    // Where something only needs attention, what comes next is its remedy.
    let next = if detail == Detail::AfterUpdate && report.ready { String::new() } else { next(&report.next) };
    format!("{text}{}{rest}\n{next}", paint(style, word))
}

/// Which card is meant, and what others bind, is as it was before the update.
fn is_of_update(check: &Check) -> bool {
    match check.state {
        CheckState::Ok => false,
        CheckState::Missing => check.group != Topic::Cards,
        CheckState::Warning | CheckState::Unknown => check.group == Topic::Boot,
    }
}

fn heading(group: Topic) -> &'static str {
    match group {
        Topic::Processor => "Processor",
        Topic::Iommu => "IOMMU",
        Topic::Cards => "Cards",
        Topic::Boot => "Boot",
        Topic::Binding => "Binding",
        Topic::Memory => "Memory",
        Topic::Software => "Software",
        Topic::KernelLog => "Kernel log",
    }
}

fn line(check: &Check, detail: Detail) -> String {
    let (style, word) = match check.state {
        CheckState::Ok => (GOOD, "ok"),
        CheckState::Warning => (WARNING, "warning"),
        CheckState::Missing => (BAD, "missing"),
        CheckState::Unknown => (FAINT, "unknown"),
    };
    // What a warning found says little without the reason.
    let reason = if check.state == CheckState::Warning && detail != Detail::More && !check.why.is_empty() {
        format!("; {}", check.why)
    } else {
        String::new()
    };
    let mut text = format!("  {} {HANG}{}: {}{reason}\n", paint(style, format_args!("{word:<7}")), check.subject, check.seen);
    if detail == Detail::More && !check.why.is_empty() {
        text.push_str(&format!("          why: {}\n", check.why));
    }
    if !check.remedy.is_empty() {
        text.push_str(&format!("          remedy: {}\n", check.remedy_in_words()));
    }
    text
}
