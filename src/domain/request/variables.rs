//! The environment variables of the old guide, which are used as defaults of the options.

use std::str::FromStr;

use super::Request;

/// The guide's variables, and the options whose defaults they are.
pub const VARIABLES: [(&str, &str); 11] = [
    ("VGAPT_VGA_BUS", "gpu"),
    ("VGAPT_VGA_AUDIO_BUS", "gpu-audio"),
    ("VGAPT_KEYBOARD_ID", "keyboard"),
    ("VGAPT_MOUSE_ID", "mouse"),
    ("VGAPT_MEMORY", "memory"),
    ("CORES_NUMBER", "cpus"),
    ("VGAPT_DISK_IMAGE", "disk"),
    ("VGAPT_VIRTIO_DRIVERS_CD", "virtio-iso"),
    ("VGAPT_FIRMWARE_BIN", "loader"),
    ("VGAPT_FIRMWARE_VARS_TMP", "nvram-template"),
    ("QEMU_BINARY", "emulator"),
];

/// A request from the variables of this process.
///
/// # Errors
/// If a value is invalid or not UTF-8; the message names the variable.
pub fn from_environment() -> Result<Request, String> {
    let is_odd = |(name, _): &&(&str, &str)| matches!(std::env::var(name), Err(std::env::VarError::NotUnicode(_)));
    match VARIABLES.iter().find(is_odd) {
        Some((name, _)) => Err(format!("{name}: its value is not valid UTF-8")),
        None => from_variables(|name| std::env::var(name).ok()),
    }
}

/// A request from the guide's variables; `variable` returns the value of one, if it is set.
///
/// # Errors
/// If a value is invalid; the message names the variable.
pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Request, String> {
    let variable = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    Ok(Request {
        gpu: read("VGAPT_VGA_BUS", &variable)?.into_iter().collect(),
        gpu_audio: read("VGAPT_VGA_AUDIO_BUS", &variable)?,
        keyboard: read("VGAPT_KEYBOARD_ID", &variable)?,
        mouse: read("VGAPT_MOUSE_ID", &variable)?,
        memory: read("VGAPT_MEMORY", &variable)?,
        cpus: read("CORES_NUMBER", &variable)?,
        disk: variable("VGAPT_DISK_IMAGE").into_iter().collect(),
        virtio_iso: variable("VGAPT_VIRTIO_DRIVERS_CD"),
        loader: variable("VGAPT_FIRMWARE_BIN"),
        nvram_template: variable("VGAPT_FIRMWARE_VARS_TMP"),
        emulator: variable("QEMU_BINARY"),
        ..Request::default()
    })
}

fn read<T: FromStr<Err: ToString>>(name: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<T>, String> {
    variable(name).map(|value| value.parse().map_err(|error: T::Err| format!("{name}={value}: {}", error.to_string()))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_values() {
        let request = from_variables(|name| match name {
            "VGAPT_VGA_BUS" => Some("01:00.0".into()),
            "VGAPT_MEMORY" => Some("8192".into()),
            "CORES_NUMBER" => Some("4".into()),
            "VGAPT_KEYBOARD_ID" => Some(String::new()),
            _ => None,
        });
        let request = request.unwrap();
        assert_eq!(
            (request.gpu[0].to_string().as_str(), request.memory, request.cpus, request.keyboard),
            ("0000:01:00.0", "8G".parse().ok(), Some(crate::domain::Cpus::Count(4)), None)
        );
        let error = from_variables(|name| (name == "VGAPT_MEMORY").then(|| "lots".into())).unwrap_err();
        assert!(error.starts_with("VGAPT_MEMORY=lots: "), "{error}");
    }
}
