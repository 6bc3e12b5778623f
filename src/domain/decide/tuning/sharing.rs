//! Settings that other host programs need: shared memory and sound.

use super::question::TuningInput;
use crate::domain::edit::{Edit, Part};
use crate::domain::request::extras::{DiskDiscard, Sound};
use crate::domain::request::network::Network;
use crate::model::Finding;

/// Requested features that this libvirt is too old for: it refuses them, or drops them without a word, so `--force` does not help.
pub(super) fn too_old(question: &TuningInput<'_>) -> Vec<Finding> {
    let TuningInput { base, wanted, libvirt, .. } = question;
    let extras = &wanted.extras;
    let asks = [
        // The first versions with these elements (libvirt's NEWS); 9.0 has passt in its schema, but its parser refuses it.
        (
            extras.sound == Some(Sound::PipeWire) && base.differs(|request| request.extras.sound),
            (9, 10),
            "--sound pipewire",
            "--sound pulseaudio",
        ),
        (
            extras.network == Some(Network::Passt) && base.differs(|request| request.extras.network.clone()),
            (9, 1),
            "--network passt",
            "--network user",
        ),
        (
            extras.disk_discard == Some(DiskDiscard::KeepReserved) && base.differs(|request| request.extras.disk_discard),
            (9, 5),
            "--disk-discard keep-reserved",
            "--disk-discard unmap",
        ),
        // Of virtio-blk it could since 10.0 (libvirt's NEWS).
        (
            wanted.tuning.io_threads.is_some_and(|number| number > 1) && base.differs(|request| request.tuning.io_threads),
            (11, 2),
            "--io-threads with more than one",
            "--io-threads 1",
        ),
    ];
    let told = asks.into_iter().filter(|(asked, (major, minor), ..)| *asked && !libvirt.at_least(*major, *minor));
    let finding = |(_, (major, minor), what, instead): (bool, (u64, u64), &str, &str)| {
        Finding::error("libvirt-too-old", format!("{what} needs libvirt {major}.{minor} or later"), format!("use {instead}"))
    };
    told.map(finding).collect()
}

/// Decided if the request changes shared folders, sound or huge pages.
pub(super) fn settings(question: &TuningInput<'_>) -> Option<Vec<Edit>> {
    let TuningInput { base, wanted, .. } = question;
    if !base.differs(|request| (request.extras.share.clone(), request.extras.sound, request.hugepages)) {
        return None;
    }
    let put = |path| Edit::put(Part::Sharing, path);
    let mut settings = Vec::new();
    if !wanted.extras.share.is_empty() {
        if !wanted.hugepages {
            // Huge pages can be shared without memfd.
            settings.push(put("memoryBacking/source").with("type", "memfd"));
        }
        settings.push(put("memoryBacking/access").with("mode", "shared"));
    }
    settings.extend(wanted.extras.sound.map(|sound| put("devices/audio[id=1]").with("type", sound.word())));
    Some(settings)
}
