//! Combining two requests.

use super::Request;
use super::extras::Extras;
use super::without::Without;

impl Request {
    /// This request, overridden by the options that are set in `given`.
    #[must_use]
    pub fn overlaid_by(&self, given: &Self) -> Self {
        let Without {
            no_gpu,
            no_pci,
            no_usb,
            no_hugepages,
            no_disk,
            no_cdrom,
            no_virtio_iso,
            no_title,
            no_description,
            no_autostart,
            no_handover,
            ..
        } = given.without;
        Self {
            gpu: list(&self.gpu, &given.gpu, no_gpu),
            // The audio function belongs to the card: a new card replaces both.
            gpu_audio: option(self.gpu_audio.as_ref(), given.gpu_audio.as_ref(), no_gpu || !given.gpu.is_empty()),
            handover: (self.handover || given.handover) && !no_handover,
            pci: list(&self.pci, &given.pci, no_pci),
            usb: list(&self.usb, &given.usb, no_usb),
            keyboard: option(self.keyboard.as_ref(), given.keyboard.as_ref(), no_usb),
            mouse: option(self.mouse.as_ref(), given.mouse.as_ref(), no_usb),
            memory: given.memory.or(self.memory),
            cpus: given.cpus.or(self.cpus),
            tuning: self.tuning.overlaid_by(given.tuning),
            hugepages: (self.hugepages || given.hugepages) && !no_hugepages,
            disk: list(&self.disk, &given.disk, no_disk),
            cdrom: option(self.cdrom.as_ref(), given.cdrom.as_ref(), no_cdrom),
            virtio_iso: option(self.virtio_iso.as_ref(), given.virtio_iso.as_ref(), no_virtio_iso),
            loader: option(self.loader.as_ref(), given.loader.as_ref(), false),
            // The variables belong to the code image: a new one replaces both.
            nvram_template: option(
                self.nvram_template.as_ref(),
                given.nvram_template.as_ref(),
                given.loader.is_some() && given.loader != self.loader,
            ),
            emulator: option(self.emulator.as_ref(), given.emulator.as_ref(), false),
            os: option(self.os.as_ref(), given.os.as_ref(), false),
            title: option(self.title.as_ref(), given.title.as_ref(), no_title),
            description: option(self.description.as_ref(), given.description.as_ref(), no_description),
            autostart: given.autostart.or(no_autostart.then_some(false)).or(self.autostart),
            extras: self.extras.overlaid_by(&given.extras, given.without, no_disk || !given.disk.is_empty()),
            without: given.without,
        }
    }
}

impl Extras {
    fn overlaid_by(&self, given: &Self, without: Without, disks_differ: bool) -> Self {
        let Without { no_rom, no_mdev, no_evdev, no_looking_glass, no_share, no_sound, .. } = without;
        Self {
            rom: option(self.rom.as_ref(), given.rom.as_ref(), no_rom),
            iommufd: given.iommufd.or(self.iommufd),
            mdev: list(&self.mdev, &given.mdev, no_mdev),
            evdev: list(&self.evdev, &given.evdev, no_evdev),
            evdev_toggle: given.evdev_toggle.or(self.evdev_toggle),
            looking_glass: option(self.looking_glass.as_ref(), given.looking_glass.as_ref(), no_looking_glass),
            display: given.display.or(self.display),
            network: option(self.network.as_ref(), given.network.as_ref(), false),
            share: list(&self.share, &given.share, no_share),
            share_smb: list(&self.share_smb, &given.share_smb, no_share),
            sound: option(self.sound.as_ref(), given.sound.as_ref(), no_sound),
            disk_cache: given.disk_cache.or(self.disk_cache),
            disk_discard: given.disk_discard.or(self.disk_discard),
            detect_zeroes: given.detect_zeroes.or(self.detect_zeroes),
            network_queues: given.network_queues.or(self.network_queues),
            // The format applies only to the disks that were given with it.
            disk_format: given.disk_format.or(self.disk_format.filter(|_| !disks_differ)),
        }
    }
}

fn list<T: Clone>(last: &[T], given: &[T], taken_out: bool) -> Vec<T> {
    if taken_out || !given.is_empty() { given.to_vec() } else { last.to_vec() }
}

fn option<T: Clone>(last: Option<&T>, given: Option<&T>, taken_out: bool) -> Option<T> {
    given.or(last.filter(|_| !taken_out)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::cpus::Cpus;

    #[test]
    fn what_is_given_decides_and_the_rest_stays() {
        let last = Request {
            memory: "8G".parse().ok(),
            cpus: Some(Cpus::Count(4)),
            disk: vec!["/a".into()],
            keyboard: "1:2".parse().ok(),
            ..Request::default()
        };
        let given = Request { cpus: Some(Cpus::Count(6)), without: Without { no_usb: true, ..Without::default() }, ..Request::default() };
        let now = last.overlaid_by(&given);
        assert_eq!((now.memory, now.cpus, now.keyboard, now.disk), (last.memory, Some(Cpus::Count(6)), None, last.disk));
    }
}
