//! Parses a command line into QEMU options.

use super::props::Props;

/// Options that take no value.
const WITHOUT_VALUE: &[&str] = &[
    "enable-kvm",
    "no-kvm",
    "no-kvm-irqchip",
    "usb",
    "nodefaults",
    "no-user-config",
    "daemonize",
    "S",
    "no-acpi",
    "no-hpet",
    "nographic",
    "mem-prealloc",
    "snapshot",
    "no-reboot",
    "no-shutdown",
    "full-screen",
    "localtime",
    "no-fd-bootchk",
    "win2k-hack",
    "alt-grab",
    "ctrl-grab",
    "no-quit",
    "no-frame",
    "sdl",
    "curses",
    "singlestep",
    "s",
    "preconfig",
    "portrait",
    "nodefconfig",
    "old-param",
    "only-migratable",
    "no-kvm-pit",
    "no-kvm-pit-reinjection",
    "tdf",
    "rtc-td-hack",
    "show-cursor",
    "enable-fips",
];

/// By option: the property whose name may be omitted when it comes first.
const FIRST: &[(&str, &str)] = &[
    ("machine", "type"),
    ("accel", "accel"),
    ("cpu", "model"),
    ("smp", "cpus"),
    ("m", "size"),
    ("drive", ""),
    ("device", "driver"),
    ("netdev", "type"),
    ("net", "type"),
    ("nic", "type"),
    ("object", "qom-type"),
    ("chardev", "backend"),
    ("tpmdev", "type"),
    ("blockdev", "driver"),
    ("audiodev", "driver"),
    ("display", "type"),
    ("boot", "order"),
    ("name", "guest"),
    ("numa", "type"),
    ("fsdev", "fsdriver"),
    ("virtfs", "fsdriver"),
    ("rtc", ""),
    ("overcommit", ""),
    ("realtime", ""),
    ("spice", ""),
    ("vnc", "display"),
    ("smbios", ""),
    ("global", ""),
    ("vga", "model"),
    ("audio", "driver"),
    ("sandbox", "enable"),
    ("mon", "chardev"),
    ("msg", ""),
    ("action", ""),
    ("acpitable", ""),
    ("fw_cfg", ""),
    ("vcpu", ""),
];

/// Options with two names.
const ALIASES: &[(&str, &str)] = &[("M", "machine")];

/// A QEMU option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QemuOption {
    /// Its name, without `-`.
    pub(super) name: String,
    /// As it was written.
    written: String,
    /// The value to pass to QEMU.
    pub(super) value: Option<String>,
    /// The value's properties.
    pub(super) props: Props,
}

impl QemuOption {
    /// The option as it was written.
    pub(super) fn text(&self) -> String {
        self.written.clone()
    }

    pub(super) fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    /// Adds a property that may be given more than once.
    pub(super) fn add(&mut self, property: &str, to: &str) {
        self.props.add(property, to);
        let value = self.value.get_or_insert_default();
        value.push_str(&format!(",{property}={}", to.replace(',', ",,")));
    }

    /// Replaces it by the option that current QEMU uses for the same.
    pub(super) fn becomes(&mut self, name: &str, value: &str) {
        name.clone_into(&mut self.name);
        let first = FIRST.iter().find(|(known, _)| *known == name).map_or("", |(_, first)| *first);
        self.props = Props::read(value, first);
        self.value = Some(value.to_owned());
    }

    /// Changes the value of a property.
    pub(super) fn change(&mut self, property: &str, from: &str, to: &str) {
        self.props.change(property, to);
        let Some(value) = &mut self.value else { return };
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let doubled = |text: &str| text.replace(',', ",,");
        *value = if value.trim_start().starts_with('{') {
            value.replace(&quoted(from), &quoted(to))
        } else {
            value.replacen(&format!("{property}={}", doubled(from)), &format!("{property}={}", doubled(to)), 1)
        };
    }

    /// Removes properties.
    pub(super) fn without(&mut self, names: &[&str]) {
        self.props.ignore(names);
        let Some(value) = &mut self.value else { return };
        if let Some(Ok(serde_json::Value::Object(mut members))) = value.trim_start().starts_with('{').then(|| serde_json::from_str(value)) {
            members.retain(|name, _| !names.contains(&name.as_str()));
            *value = serde_json::Value::Object(members).to_string();
        } else {
            let is_one = |part: &str| part.split_once('=').is_some_and(|(name, _)| names.contains(&name.trim()));
            let parts: Vec<&str> = value.split(',').filter(|part| !is_one(part)).collect();
            *value = parts.join(",");
        }
    }

    /// Adds a property, as -set does.
    pub(super) fn set(&mut self, property: &str, to: &str) {
        self.props.set(property, to);
        let Some(value) = &mut self.value else { return };
        if let Some(Ok(serde_json::Value::Object(mut members))) = value.trim_start().starts_with('{').then(|| serde_json::from_str(value)) {
            members.insert(property.to_owned(), to.into());
            *value = serde_json::Value::Object(members).to_string();
        } else {
            value.push_str(&format!(",{property}={}", to.replace(',', ",,")));
        }
    }
}

/// The options of a command line, the program left out.
pub(super) fn options(argv: &[String]) -> Vec<QemuOption> {
    let mut options = Vec::new();
    let mut words = argv.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.strip_prefix('-').map(|name| name.strip_prefix('-').unwrap_or(name)) {
            // A bare word is the first disk.
            None | Some("") => ("hda", Some(word.clone())),
            Some(name) if WITHOUT_VALUE.contains(&name) => (name, None),
            Some(name) => {
                // A value may be a negative number, but a word that begins with a minus is the next option.
                let is_value = words
                    .peek()
                    .is_some_and(|next| !next.starts_with('-') || next.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()));
                (name, if is_value { words.next().cloned() } else { None })
            }
        };
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
        // Any other option takes one word as its value, whatever it contains.
        let first = FIRST.iter().find(|(known, _)| *known == name).map(|(_, first)| *first);
        let props = first.zip(value.as_deref()).map(|(first, value)| Props::read(value, first)).unwrap_or_default();
        let written = value.as_ref().map_or_else(|| format!("-{name}"), |value| format!("-{name} {value}"));
        options.push(QemuOption { name: name.to_owned(), written, value, props });
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_none() {
        let argv =
            ["qemu", "-enable-kvm", "--usbdevice", "host:1:2", "-M", "q35", "disk.img", "-frobnicate", "-m", "8G"].map(str::to_owned);
        let texts: Vec<String> = options(&argv).iter().map(QemuOption::text).collect();
        assert_eq!(texts, ["-enable-kvm", "-usbdevice host:1:2", "-machine q35", "-hda disk.img", "-frobnicate", "-m 8G"]);
    }
}
