//! How `vgapt prepare` treats each danger, and which option overrides a refusal.

use crate::host::request::Allow;
use crate::passthrough::DangerKind;

/// Introduces the option that overrides a refusal.
pub(super) const OVERRIDE_HINT: &str = "to do it anyway";

/// The option that allows it.
pub(super) fn option(allow: Allow) -> String {
    format!("--allow {}", allow.name())
}

/// What allows a danger; `None` for one that is only reported, or that cannot be allowed.
pub(super) fn by_option(kind: DangerKind) -> Option<Allow> {
    match handling(kind) {
        Handling::Unless(allow) => Some(allow),
        Handling::Told | Handling::Refused => None,
    }
}

/// How `vgapt prepare` treats a danger.
pub(super) enum Handling {
    /// It is only reported.
    Told,
    /// It is refused, and has to be corrected first.
    Refused,
    /// It is refused unless this name allows it.
    Unless(Allow),
}

pub(super) fn handling(kind: DangerKind) -> Handling {
    match kind {
        DangerKind::OnlyDisplay | DangerKind::OnlyPicture => Handling::Unless(Allow::OnlyDisplay),
        DangerKind::DiskInUse => Handling::Unless(Allow::DiskInUse),
        DangerKind::DefaultRoute => Handling::Unless(Allow::DefaultRoute),
        DangerKind::LastKeyboard => Handling::Unless(Allow::LastKeyboard),
        DangerKind::BlockedGroup => Handling::Unless(Allow::BlockedGroup),
        DangerKind::HostFunction => Handling::Unless(Allow::HostFunction),
        DangerKind::Console | DangerKind::SharedOut | DangerKind::ReservedMemory => Handling::Refused,
        DangerKind::HostBlind | DangerKind::UsesUnknown => Handling::Told,
    }
}
