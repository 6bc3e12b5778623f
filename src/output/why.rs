//! Why a start failed, as text.

use super::style::{BAD, FAINT, GOOD, HANG, WARNING, paint, shown};
use crate::failure::{Happened, Log, Named, Why};
use crate::model::Moment;

/// What happened, each cause with its line and its remedy, or what the logs say.
pub fn why(why: &Why) -> String {
    let style = if why.happened.is_failure() { BAD } else { GOOD };
    let mut text = format!("{}: {}\n", shown(&why.name), paint(style, happened(why)));
    for (index, cause) in why.causes.iter().enumerate() {
        text.push_str(&named(if index == 0 { "cause" } else { "also" }, cause));
    }
    if why.happened.is_failure() && why.causes.is_empty() {
        text.push_str(&format!("{}: unknown; {}\n", paint(WARNING, "cause"), rest(why)));
    } else if !why.excerpt.is_empty() {
        text.push_str("if libvirt has refused a start since, these lines say why\n");
    }
    for excerpt in &why.excerpt {
        text.push_str(&format!("  {}\n", log(excerpt.log)));
        excerpt.lines.iter().for_each(|line| text.push_str(&format!("    {}\n", paint(FAINT, shown(line.trim())))));
    }
    text
}

fn happened(why: &Why) -> String {
    let at = |what: &str, seconds: Option<i64>| seconds.map(|seconds| format!(" {what} {}", Moment(0).later(seconds))).unwrap_or_default();
    // What was written since may be of a start that was refused.
    let well = if why.excerpt.is_empty() { "no failure: " } else { "" };
    match why.happened {
        Happened::StartFailed => format!("the start{} failed", at("of", why.started)),
        Happened::SomeStartFailed => {
            format!("a start{} was refused or hangs; the logs do not say of which domain", at("at", why.started))
        }
        Happened::Crashed => {
            let started = why.started.map_or_else(String::new, |_| format!("; it was started{}", at("at", why.started)));
            format!("QEMU ended by itself{}{started}", at("at", why.ended))
        }
        Happened::HostWentDown => format!("the host went down while it ran; it was started{}", at("at", why.started)),
        Happened::ShutDown => format!("{well}the guest shut itself down{}", at("at", why.ended)),
        Happened::Ended => format!("{well}it was ended, saved or moved by request{}", at("at", why.ended)),
        Happened::Running => format!("no failure: it runs{}", at("since", why.started)),
        Happened::NeverStarted => "no log names a start".to_owned(),
        Happened::Unknown if why.started.is_none() => "whether it was started is unknown".to_owned(),
        Happened::Unknown => format!("it was started{}; how that ended is unknown", at("at", why.started)),
    }
}

fn rest(why: &Why) -> &'static str {
    match (why.excerpt.is_empty(), why.happened) {
        (true, Happened::HostWentDown) => "the host may have hung: journalctl -b -1 -e shows its last lines",
        (true, _) => "the logs that could be read say nothing about it",
        (false, _) => "the lines below are for a report, with vgapt capture FILE; look for names and addresses in them first",
    }
}

fn named(word: &str, cause: &Named) -> String {
    let word = if cause.certain { paint(BAD, word) } else { paint(WARNING, format_args!("{word}, likely")) };
    let line = shown(cause.line.trim()).into_owned();
    format!("{word}: {HANG}{}\n  {}: {HANG}{line}\n  remedy: {HANG}{}\n", shown(&cause.what), log(cause.log), shown(&cause.remedy()))
}

fn log(log: Log) -> &'static str {
    match log {
        Log::Answer => "libvirt answered",
        Log::Domain => "libvirt's log of the domain",
        Log::Daemon => "the log of libvirt's daemon",
        Log::Kernel => "the kernel's log",
    }
}
