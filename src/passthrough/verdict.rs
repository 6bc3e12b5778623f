//! The verdict whether a card can be passed through to a guest.

use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All its functions are already bound to vfio.
    Ready,
    /// It can be passed through; another display stays with the host.
    Available,
    /// It can be passed through, but the host then has no display.
    OnlyDisplay,
    /// The host uses other devices in its IOMMU groups.
    Blocked,
    /// The firmware reserves memory for it, so the kernel refuses to give it to a guest.
    Reserved,
    /// It is the console of a server's management controller, and stays with the host.
    Console,
    /// It has virtual functions: one of these can be passed through, but not the card itself.
    SharedOut,
    /// It is in no IOMMU group, so no verdict is possible.
    Unknown,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::Available => "available",
            Self::OnlyDisplay => "only-display",
            Self::Blocked => "blocked",
            Self::Reserved => "reserved",
            Self::Console => "console",
            Self::SharedOut => "shared-out",
            Self::Unknown => "unknown",
        })
    }
}
