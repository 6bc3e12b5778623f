//! Unbinds the text console and the boot framebuffer from the boot display.

use anyhow::{Error, Result};

use super::taken::{Ledger, Taken};
use crate::root::Root;
use crate::target::Target;

const CONSOLES: &str = "/sys/class/vtconsole";
/// The drivers of a framebuffer that the firmware set up (drivers/video/fbdev, drivers/gpu/drm/sysfb).
const DRIVERS: [&str; 4] = ["simple-framebuffer", "efi-framebuffer", "vesa-framebuffer", "efidrm"];
const BUS: &str = "/sys/bus/platform/drivers";

pub(super) fn take(ledger: &Ledger, root: &Root, target: &Target) -> Result<()> {
    for console in names(root, CONSOLES)? {
        let home = format!("{CONSOLES}/{console}");
        let shows = root.attribute(&format!("{home}/name")).is_some_and(|name| name.contains("frame buffer"));
        let attribute = format!("{home}/bind");
        if shows && root.attribute(&attribute).as_deref() == Some("1") {
            ledger.note(Taken::Console { attribute: attribute.clone() })?;
            target.set_attribute(&attribute, "0")?;
        }
    }
    for driver in DRIVERS {
        for device in names(root, &format!("{BUS}/{driver}"))?.into_iter().filter(|name| name.contains(".0")) {
            ledger.note(Taken::Framebuffer { driver: driver.to_owned(), device: device.clone() })?;
            target.set_attribute(&format!("{BUS}/{driver}/unbind"), &device)?;
        }
    }
    Ok(())
}

pub(super) fn give_back(taken: &Taken, root: &Root, target: &Target) -> Result<()> {
    match taken {
        Taken::Console { attribute } if root.attribute(attribute).as_deref() == Some("0") => target.set_attribute(attribute, "1"),
        Taken::Framebuffer { driver, device } if !root.exists(&format!("{BUS}/{driver}/{device}")) => {
            // The card's own driver may own the memory by now, and shows the console itself.
            let _ = target.set_attribute(&format!("{BUS}/{driver}/bind"), device);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The entries of a sysfs directory; an error if it cannot be read, as a hidden console may use the card.
fn names(root: &Root, path: &str) -> Result<Vec<String>> {
    Ok(root.entries(path).into_result().map_err(Error::msg)?.unwrap_or_default())
}
