//! Whether a card can be given to a guest, in one word.

use serde::Serialize;

/// Whether a card can be given to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All its functions are on vfio already.
    Ready,
    /// It can go; another display stays with the host.
    Available,
    /// It can go, and the host then has no display.
    OnlyDisplay,
    /// Something else in its groups keeps it with the host.
    Blocked,
    /// It is the console of a server's management controller, and stays with the host.
    Console,
    /// It has virtual functions: one of these can go, and it stays with the host.
    SharedOut,
    /// It is in no IOMMU group, so nothing can be said.
    Unknown,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Available => "available",
            Self::OnlyDisplay => "only-display",
            Self::Blocked => "blocked",
            Self::Console => "console",
            Self::SharedOut => "shared-out",
            Self::Unknown => "unknown",
        })
    }
}
