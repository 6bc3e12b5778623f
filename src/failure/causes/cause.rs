//! What an entry says.

use crate::failure::log::Log;

/// A cause: the lines that name it, and what is to be done.
pub(in crate::failure) struct Cause {
    /// Stable identifier for programs.
    pub(in crate::failure) code: &'static str,
    /// Where the lines stand.
    pub(in crate::failure) logs: &'static [Log],
    /// Each is a pattern; one of them is enough.
    pub(in crate::failure) lines: &'static [&'static str],
    pub(in crate::failure) weight: Weight,
    pub(in crate::failure) when: When,
    /// The cause in plain words; it, the command and the remedy may have the places of the patterns, and `{name}` for the domain.
    pub(in crate::failure) what: &'static str,
    /// The command that does it, if one does; the remedy says the rest.
    pub(in crate::failure) command: &'static str,
    pub(in crate::failure) remedy: &'static str,
    /// Which program writes the line, or where it was reported.
    pub(in crate::failure) source: &'static str,
}

/// How much a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::failure) enum Weight {
    /// It is enough to prevent a start or to end a guest.
    Reason,
    /// The same, where another line of this start names its path; else it says nothing: many refusals are harmless.
    IfNamed,
    /// What follows from some reason: it is the cause only where no reason is known.
    Symptom,
}

/// What a cause explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::failure) enum When {
    /// That a domain does not start.
    Start,
    /// That a running guest stops.
    Run,
    Both,
}

/// libvirt's messages and QEMU's: libvirt repeats the last ones of QEMU.
pub(super) const SAID: &[Log] = &[Log::Domain, Log::Answer, Log::Daemon];
pub(super) const KERNEL: &[Log] = &[Log::Kernel];

/// What most entries have.
pub(super) const START: Cause =
    Cause { code: "", logs: SAID, lines: &[], weight: Weight::Reason, when: When::Start, what: "", command: "", remedy: "", source: "" };
