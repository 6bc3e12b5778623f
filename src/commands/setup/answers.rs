//! The answers: what the domain shall be.

use crate::commands::shared::existing::Existing;
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
    /// Whether the guest gets a card, another device of the host, or a slice of one.
    pub(super) fn has_device(&self) -> bool {
        let Request { gpu, pci, extras, .. } = &self.request;
        !(gpu.is_empty() && pci.is_empty() && extras.mdev.is_empty())
    }

    /// Whether it is still to be said which card is passed.
    pub(super) fn lacks_card(&self) -> bool {
        !self.has_device() && !self.request.without.no_gpu
    }

    /// The same for a domain that exists: what was asked of it before stays, and what it has is not asked.
    #[must_use]
    pub(super) fn of_existing(mut self, name: &str, existing: &Existing) -> Self {
        self.name = Some(name.to_owned());
        match &existing.record {
            Some(record) if !record.attached => self.request = record.request.overlaid_by(&self.request),
            _ if self.lacks_card() => self.request.pci = existing.passed().iter().map(|passed| passed.address.into()).collect(),
            _ => {}
        }
        self
    }

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
