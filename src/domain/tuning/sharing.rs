//! What other programs of the host need of a guest's memory and sound.

use super::super::setting::Setting;
use super::Question;

/// Decided where shared folders or sound are spoken of.
pub(super) fn settings(question: &Question<'_>) -> Option<Vec<Setting>> {
    let Question { base, wanted, .. } = question;
    if !base.differs(|request| (request.extras.share.clone(), request.extras.sound, request.hugepages)) {
        return None;
    }
    let mut settings = Vec::new();
    if !wanted.extras.share.is_empty() {
        if !wanted.hugepages {
            // Huge pages can be shared as they are.
            settings.push(Setting::new("memoryBacking/source").with("type", "memfd"));
        }
        settings.push(Setting::new("memoryBacking/access").with("mode", "shared"));
    }
    settings.extend(wanted.extras.sound.map(|sound| Setting::new("devices/audio[id=1]").with("type", sound.word())));
    Some(settings)
}
