//! Sound.

use super::draft::Draft;
use super::environment::{AUDIO, SOUND_SERVER};
use super::table;
use crate::xml::Fragment;

pub(super) fn translate(draft: &mut Draft, environment: &[(String, String, Option<usize>)]) {
    let ids = backends(draft);
    draft.audio.clone_from(&ids);
    let mut codecs = Vec::new();
    for index in draft.devices(&["codec"]) {
        let audio = audio(draft, index, &ids);
        let of = draft.peek(index, "bus").and_then(|bus| bus.split('.').next()).map(str::to_owned);
        codecs.push((draft.element(index, "codec"), audio, of));
        draft.ignore_address(index);
        draft.native(index, "<sound><codec>");
    }
    let mut cards = draft.devices(&["sound"]);
    // The codecs are those of an HDA card.
    cards.sort_by_key(|index| !draft.peek(*index, "driver").is_some_and(|driver| driver.ends_with("hda")));
    for index in cards {
        let to = audio(draft, index, &ids);
        let sound = draft.element(index, "sound");
        // A codec that names no card is the first one's.
        let id = draft.peek(index, "id").map(str::to_owned);
        let (own, others): (Vec<_>, Vec<_>) = codecs.into_iter().partition(|(.., of)| of.is_none() || *of == id || id.is_none());
        codecs = others;
        // All codecs of one of libvirt's cards have one backend: those on another one get a card of their own.
        let mut backends = vec![(to, sound.clone())];
        for (codec, audio, _) in own {
            let at = backends.iter().position(|(to, _)| audio.is_none() || to.is_none() || *to == audio);
            let at = at.unwrap_or_else(|| {
                backends.push((None, sound.clone()));
                backends.len() - 1
            });
            let (to, card) = &mut backends[at];
            *to = to.take().or(audio);
            card.push("", codec);
        }
        if backends.len() > 1 {
            draft.notes.push(format!(
                "{}: its codecs have several audio backends, and libvirt gives a sound card one: the guest gets {} cards",
                draft.options[index].written,
                backends.len()
            ));
        }
        for (number, (to, card)) in backends.into_iter().enumerate() {
            let card = card.child_if(to);
            if number == 0 { draft.finish(index, card) } else { draft.device(card) }
        }
    }
    // However often -soundhw names a card, QEMU adds it once.
    let mut added: Vec<Fragment> = Vec::new();
    for index in draft.named(&["soundhw"]) {
        let cards: Vec<Fragment> = draft.options[index].value().split(',').filter_map(|card| table::element("sound", card)).collect();
        if cards.is_empty() {
            draft.drop(index, "QEMU no longer has this option, and libvirt no element for this card: <sound model=…> adds one");
        } else if cards.iter().all(|card| added.contains(card)) {
            draft.drop(index, "an earlier -soundhw adds this card, and QEMU adds it once");
        }
        for card in cards {
            if !added.contains(&card) {
                draft.device(card.clone());
                added.push(card);
            }
        }
        draft.whole(index);
        draft.native(index, "<sound>");
    }
    if !draft.has_option("audiodev") && !draft.has_option("audio") {
        of_environment(draft, environment);
    }
}

/// Adds the audio backends; returns their ids.
fn backends(draft: &mut Draft) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for index in draft.named(&["audiodev", "audio"]) {
        let Some(backend) = table::element("audio", draft.peek(index, "driver").unwrap_or_default()) else {
            if let Some(driver @ ("coreaudio" | "dsound")) = draft.peek(index, "driver") {
                let note = format!("{driver} is an audio backend of macOS or Windows, and left out: <audio type=…> sets another");
                draft.notes.push(note);
                draft.drop(index, "an audio backend of macOS or Windows, which QEMU refuses here");
            } else {
                draft.keep(index, "libvirt has no element for this audio backend");
            }
            continue;
        };
        let kind = backend.attribute("type").unwrap_or_default().to_owned();
        draft.take(index, "driver");
        ids.push(draft.take(index, "id").unwrap_or_default());
        let mut audio = Fragment::new("audio").with("id", ids.len()).with("type", &kind);
        draft.fill(index, &kind, &mut audio);
        draft.fill(index, "audio", &mut audio);
        for (prefix, name) in [("in.", "input"), ("out.", "output")] {
            let mut direction = Fragment::new(name);
            draft.fill_prefixed(index, "audio direction", prefix, &mut direction);
            draft.fill_prefixed(index, &format!("{kind} direction"), prefix, &mut direction);
            audio = audio.child_if((!direction.attributes().is_empty()).then_some(direction));
        }
        draft.device(audio);
        // `-audio` makes the sound card too.
        if let Some(model) = draft.take(index, "model").filter(|_| draft.options[index].name == "audio") {
            match table::element("sound", &model) {
                Some(card) => draft.device(card.child(Fragment::new("audio").with("id", ids.len()))),
                None => {
                    let why = match model.as_str() {
                        "virtio" => "<sound model='virtio'> adds it where libvirt has it",
                        _ => "libvirt has no such sound card",
                    };
                    draft.notes.push(format!("model={model} of -audio is left out: {why}"));
                }
            }
        }
        draft.native(index, "<audio>");
    }
    ids
}

/// The backend of a sound device.
fn audio(draft: &mut Draft, index: usize, ids: &[String]) -> Option<Fragment> {
    let name = draft.take(index, "audiodev")?;
    let at = ids.iter().position(|id| *id == name)?;
    Some(Fragment::new("audio").with("id", at + 1))
}

/// `QEMU_AUDIO_DRV`, which sets the audio backend of QEMU before 8.1; without it libvirt decides.
fn of_environment(draft: &mut Draft, environment: &[(String, String, Option<usize>)]) {
    let said = environment.iter().rev().find(|(name, ..)| name == AUDIO).map_or("", |(_, driver, _)| driver);
    let backend = table::element("audio", said);
    if let Some(kind) = backend.as_ref().and_then(|backend| backend.attribute("type")) {
        let mut audio = Fragment::new("audio").with("id", 1).with("type", kind);
        let server = environment.iter().rev().find(|(name, ..)| name == SOUND_SERVER).filter(|_| kind == "pulseaudio");
        if let Some((_, server, _)) = server {
            audio.set("@serverName", server);
        }
        draft.device(audio);
        draft.notes.push(format!("QEMU_AUDIO_DRV={said} is <audio type='{kind}'>"));
        draft.notes.extend(server.map(|(name, server, _)| format!("{name}={server} is serverName= of <audio>")));
    } else if draft.domain.at("devices/sound").is_some() {
        draft
            .notes
            .push("the script sets no audio backend: libvirt uses SPICE if the domain has it, else none; <audio type=…> sets one".into());
    }
}
