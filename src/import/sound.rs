//! Sound.

use super::draft::Draft;
use crate::xml::Fragment;

/// Sound cards: driver, libvirt's model.
const CARDS: [(&str, &str); 8] = [
    ("intel-hda", "ich6"),
    ("ich9-intel-hda", "ich9"),
    ("AC97", "ac97"),
    ("ac97", "ac97"),
    ("hda", "ich6"),
    ("ES1370", "es1370"),
    ("es1370", "es1370"),
    ("sb16", "sb16"),
];
const CODECS: [(&str, &str); 3] = [("hda-duplex", "duplex"), ("hda-micro", "micro"), ("hda-output", "output")];
/// Audio backends: QEMU's name, libvirt's name.
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

/// Properties of `-audiodev`: the backend (`""`: all), QEMU's name, libvirt's attribute of `<input>` and `<output>`.
const PROPERTIES: [(&str, &str, &str); 18] = [
    ("", "mixing-engine", "mixingEngine"),
    ("", "fixed-settings", "fixedSettings"),
    ("", "voices", "voices"),
    ("", "buffer-length", "bufferLength"),
    ("alsa", "dev", "dev"),
    ("oss", "dev", "dev"),
    ("oss", "buffer-count", "bufferCount"),
    ("oss", "try-poll", "tryPoll"),
    ("sdl", "buffer-count", "bufferCount"),
    ("pulseaudio", "name", "name"),
    ("pulseaudio", "stream-name", "streamName"),
    ("pulseaudio", "latency", "latency"),
    ("pipewire", "name", "name"),
    ("pipewire", "stream-name", "streamName"),
    ("jack", "server-name", "serverName"),
    ("jack", "client-name", "clientName"),
    ("jack", "connect-ports", "connectPorts"),
    ("jack", "exact-name", "exactName"),
];

/// `<input>` and `<output>` of an audio backend.
fn directions(draft: &mut Draft, index: usize, kind: &str) -> Vec<Fragment> {
    let mut elements = Vec::new();
    for (prefix, name) in [("in", "input"), ("out", "output")] {
        let mut element = Fragment::new(name);
        for (of, property, attribute) in PROPERTIES {
            let taken = if of.is_empty() || of == kind { draft.take(index, &format!("{prefix}.{property}")) } else { None };
            let value = taken.map(|value| match value.as_str() {
                "on" => "yes".to_owned(),
                "off" => "no".to_owned(),
                _ => value,
            });
            if let Some(value) = value {
                element = element.with(attribute, value);
            }
        }
        if !element.attributes().is_empty() {
            elements.push(element);
        }
    }
    elements
}

/// `QEMU_AUDIO_DRV`, which sets the audio backend of QEMU before 8.1; without it libvirt decides.
fn of_environment(draft: &mut Draft, environment: &[(String, String)]) {
    let said = environment.iter().find(|(name, _)| name == "QEMU_AUDIO_DRV").map(|(_, driver)| driver.as_str());
    match said.and_then(|driver| BACKENDS.iter().find(|(name, _)| *name == driver)) {
        Some((_, kind)) => {
            draft.device(Fragment::new("audio").with("id", 1).with("type", kind));
            draft.notes.push(format!("QEMU_AUDIO_DRV={} is <audio type='{kind}'>", said.unwrap_or_default()));
        }
        None if draft.has("devices", "sound") => draft
            .notes
            .push("the script sets no audio backend: libvirt uses SPICE if the domain has it, else none; <audio type=…> sets one".into()),
        None => {}
    }
}

pub(super) fn translate(draft: &mut Draft, environment: &[(String, String)]) {
    let mut ids: Vec<String> = Vec::new();
    for index in draft.named(&["audiodev"]) {
        let driver = draft.options[index].props.peek("driver").unwrap_or_default().to_owned();
        let Some((_, kind)) = BACKENDS.iter().find(|(name, _)| *name == driver) else {
            draft.keep(index, "libvirt has no element for this audio backend");
            continue;
        };
        draft.take(index, "driver");
        ids.push(draft.take(index, "id").unwrap_or_default());
        let mut audio = Fragment::new("audio").with("id", ids.len()).with("type", kind);
        if let Some(server) = draft.take(index, "server").filter(|_| *kind == "pulseaudio") {
            audio = audio.with("serverName", server);
        }
        if let Some(period) = draft.take(index, "timer-period") {
            audio = audio.with("timerPeriod", period);
        }
        let directions = directions(draft, index, kind);
        draft.device(directions.into_iter().fold(audio, Fragment::child));
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
            draft.ignore_address(index);
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
            draft.ignore_address(index);
            draft.device(sound.child_if(to));
            draft.native(index, "<sound>");
        }
    }
    for index in draft.named(&["soundhw"]) {
        let known: Vec<&str> =
            draft.options[index].value().split(',').filter_map(|card| Some(CARDS.iter().find(|(name, _)| *name == card)?.1)).collect();
        if known.is_empty() {
            draft.keep(index, "libvirt has no element for this sound card");
            continue;
        }
        for model in known {
            draft.device(Fragment::new("sound").with("model", model));
        }
        draft.options[index].props = super::props::Props::default();
        draft.native(index, "<sound>");
    }
    if !draft.has_option("audiodev") && !draft.has_option("audio") {
        of_environment(draft, environment);
    }
}
