//! The answers: what the domain shall be.

use crate::domain::Request;
use crate::host::Allow;
use crate::model::Size;

/// What was answered; the rest is asked or proposed.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    pub(super) name: Option<String>,
    pub(super) request: Request,
    pub(super) disk_size: Option<Size>,
    /// What the host may lose.
    pub(super) allow: Vec<Allow>,
}

impl Answers {
    /// Whether the guest has an input device, or a window that takes keyboard and mouse.
    pub(super) fn has_input(&self) -> bool {
        !self.request.extras.evdev.is_empty() || !self.request.usb_ids().is_empty() || self.has_window()
    }

    /// Whether a window on the host shows the guest.
    pub(super) fn has_window(&self) -> bool {
        self.request.extras.window().is_some()
    }

    /// Whether the guest is a Windows, which needs the virtio drivers.
    pub(super) fn is_windows(&self) -> bool {
        self.request.os.clone().unwrap_or_default().to_string().starts_with("win")
    }
}
