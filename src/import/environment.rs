//! QEMU's environment: which variables of the script become `<qemu:env>`.

use super::draft::Draft;
use super::shell::{is_wrapper, takes_value};
use super::table::{has, of};

/// Variables of QEMU and of the libraries that it uses; `*` stands for any end.
const FOR_QEMU: &str = "LD_* QEMU_* PULSE_* PIPEWIRE_* JACK_* ALSA_* XDG_RUNTIME_DIR SDL_AUDIODRIVER MESA_* LIBGL_* __GL* __EGL* __NV* DRI_PRIME \
                        VK_* VDPAU_DRIVER LIBVA_* GLIBC_TUNABLES MALLOC_*";
/// Variables of windows.
const OF_WINDOWS: &str = "DISPLAY WAYLAND_DISPLAY XAUTHORITY XMODIFIERS GTK_* GDK_* QT_* SDL_VIDEO*";
/// Variables that libvirt sets for each QEMU (`virCommandAddEnvPassCommon`, `qemuBuildCommandLine`).
const OF_LIBVIRT: &str = "LC_ALL LANG PATH HOME USER LOGNAME TMPDIR PWD XDG_DATA_HOME XDG_CACHE_HOME XDG_CONFIG_HOME";
/// QEMU's variables of sound, without the one that sets the backend.
const OF_SOUND: &str = "QEMU_AUDIO_* QEMU_PA_* QEMU_ALSA_* QEMU_OSS_* QEMU_SDL_*";
/// The variable that sets the audio backend of QEMU before 8.1 (`audio/audio_legacy.c`).
pub(super) const AUDIO: &str = "QEMU_AUDIO_DRV";
/// The sound server of the same versions.
pub(super) const SOUND_SERVER: &str = "QEMU_PA_SERVER";

fn is_in(names: &str, name: &str) -> bool {
    has(names, name) || names.split(' ').any(|known| known.strip_suffix('*').is_some_and(|begin| name.starts_with(begin)))
}

/// Whether QEMU reads a variable that a script exports.
pub(super) fn is_for_qemu(name: &str) -> bool {
    is_in(FOR_QEMU, name)
}

/// Whether it is one of QEMU's variables of sound.
pub(super) fn is_of_sound(name: &str) -> bool {
    is_in(OF_SOUND, name)
}

/// Options of the commands before QEMU whose value is a variable of its environment: `systemd-run --setenv=NAME=VALUE`, `tmux -e`.
const SETTERS: &[(&str, &str)] = &[("systemd-run", "-E --setenv"), ("tmux", "-e")];

/// Takes the assignments out of the words before QEMU: they are for QEMU, whatever their names. The value of an option is none, such
/// as a property of a unit (`systemd-run -p CPUWeight=100`), but for the options that set variables.
pub(super) fn assignments(before: &mut Vec<String>) -> Vec<(String, String, Option<usize>)> {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let assigned =
        |word: &str| word.split_once('=').filter(|(name, _)| is_name(name)).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    let mut command = "";
    let mut words = before.iter().peekable();
    while let Some(word) = words.next() {
        if is_wrapper(word) {
            command = word.rsplit('/').next().unwrap_or_default();
        }
        let setters = of(SETTERS, command).unwrap_or_default();
        let glued = setters.split(' ').filter(|setter| !setter.is_empty()).find_map(|setter| {
            let rest = word.strip_prefix(setter)?;
            assigned(if setter.starts_with("--") { rest.strip_prefix('=')? } else { rest })
        });
        let next = words.peek().filter(|_| takes_value(command, word));
        if let Some(variable) = glued.or_else(|| assigned(word)) {
            taken.push(variable);
        } else if let Some(variable) = next.and_then(|next| assigned(next)).filter(|_| has(setters, word)) {
            taken.push(variable);
            words.next();
        } else {
            left.push(word.clone());
            left.extend(next.is_some().then(|| words.next().cloned()).flatten());
        }
    }
    *before = left;
    taken.into_iter().map(|(name, value)| (name, value, None)).collect()
}

/// Gives QEMU the variables that libvirt does not set itself.
pub(super) fn translate(draft: &mut Draft, environment: &[(String, String, Option<usize>)]) {
    let has_server = draft.domain.at("devices/audio").is_some_and(|audio| audio.attribute("serverName").is_some());
    let is_done = |name: &str| name == AUDIO || (name == SOUND_SERVER && has_server) || is_in(OF_LIBVIRT, name);
    for (name, value, line) in environment.iter().filter(|(name, ..)| !is_done(name)) {
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let named = [("QEMU_PA_SINK", "output"), ("QEMU_PA_SOURCE", "input")].into_iter().find(|(of, _)| of == name);
        let note = if let Some((_, element)) = named {
            format!("{place}{name}: left out, newer versions of QEMU do not read it; <{element} name='{value}'/> in <audio> is the same")
        } else if is_of_sound(name) {
            format!(
                "{place}{name}: left out, newer versions of QEMU do not read it; <input> and <output> of <audio> set latency and buffers"
            )
        } else if is_in(OF_WINDOWS, name) {
            format!("{place}{name}={value} is left out: libvirt opens no window")
        } else {
            draft.environment.retain(|(known, _)| known != name);
            draft.environment.push((name.clone(), value.clone()));
            // libvirt asks each QEMU what it can do (`virQEMUCapsInitQMP`), with its own environment.
            let asked = if name.starts_with("LD_") {
                "; libvirt asks this QEMU what it can do without it: if that fails, set it for libvirtd too"
            } else {
                ""
            };
            format!("{place}{name}={value} is <qemu:env>{asked}")
        };
        if !draft.notes.contains(&note) {
            draft.notes.push(note);
        }
    }
}
