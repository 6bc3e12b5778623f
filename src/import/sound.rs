//! Sound.

use super::draft::Draft;
use crate::xml::Fragment;

/// Sound cards: driver, libvirt's model, the codec of one that has no device for it.
const CARDS: [(&str, &str); 8] = [
    ("intel-hda", "ich6"),
    ("ich9-intel-hda", "ich9"),
    ("AC97", "ac97"),
    ("ac97", "ac97"),
    ("hda", "ich9"),
    ("ES1370", "es1370"),
    ("es1370", "es1370"),
    ("sb16", "sb16"),
];
const CODECS: [(&str, &str); 3] = [("hda-duplex", "duplex"), ("hda-micro", "micro"), ("hda-output", "output")];
/// Where sound goes, as both call it, or QEMU and libvirt.
const BACKENDS: [(&str, &str); 9] = [
    ("pa", "pulseaudio"),
    ("alsa", "alsa"),
    ("spice", "spice"),
    ("none", "none"),
    ("jack", "jack"),
    ("oss", "oss"),
    ("sdl", "sdl"),
    ("dbus", "dbus"),
    ("pipewire", "pipewire"),
];

pub(super) fn translate(draft: &mut Draft) {
    let mut ids: Vec<String> = Vec::new();
    for index in draft.named(&["audiodev"]) {
        let driver = draft.options[index].props.peek("driver").unwrap_or_default().to_owned();
        let Some((_, kind)) = BACKENDS.iter().find(|(name, _)| *name == driver) else {
            draft.keep(index, "a place for sound that no element says");
            continue;
        };
        draft.take(index, "driver");
        ids.push(draft.take(index, "id").unwrap_or_default());
        let mut audio = Fragment::new("audio").with("id", ids.len()).with("type", kind);
        if let Some(server) = draft.take(index, "server").filter(|_| *kind == "pulseaudio") {
            audio = audio.with("serverName", server);
        }
        draft.device(audio);
        draft.native(index, "<audio>");
    }
    let audio = |draft: &mut Draft, index: usize| {
        let name = draft.take(index, "audiodev")?;
        let at = ids.iter().position(|id| *id == name)?;
        Some(Fragment::new("audio").with("id", at + 1))
    };
    let mut codecs = Vec::new();
    for (driver, kind) in CODECS {
        for index in draft.devices(&[driver]) {
            let audio = audio(draft, index);
            draft.options[index].props.ignore(&["driver", "cad"]);
            draft.place_freely(index);
            codecs.push((Fragment::new("codec").with("type", kind), audio));
            draft.native(index, "<sound><codec>");
        }
    }
    for (driver, model) in CARDS {
        for index in draft.devices(&[driver]) {
            let mut sound = Fragment::new("sound").with("model", model);
            let mut to = audio(draft, index);
            for (codec, audio) in std::mem::take(&mut codecs) {
                sound = sound.child(codec);
                to = to.or(audio);
            }
            draft.take(index, "driver");
            draft.place_freely(index);
            draft.device(sound.child_if(to));
            draft.native(index, "<sound>");
        }
    }
    for index in draft.named(&["soundhw"]) {
        let known: Vec<&str> =
            draft.options[index].value().split(',').filter_map(|card| Some(CARDS.iter().find(|(name, _)| *name == card)?.1)).collect();
        if known.is_empty() {
            draft.keep(index, "a sound card that no element says");
            continue;
        }
        for model in known {
            draft.device(Fragment::new("sound").with("model", model));
        }
        draft.options[index].props = super::props::Props::default();
        draft.native(index, "<sound>");
    }
}
