//! Parses a command line into QEMU options.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::props::{Props, members, same_name};
use super::table::{self, SPELLINGS, WITH_PROPERTIES, WITHOUT_VALUE};

/// The properties of a device's place in the boot order; the controller of floppies has those of its two drives.
pub(super) const OF_BOOT_ORDER: [&str; 3] = ["bootindex", "bootindexA", "bootindexB"];

/// What became of a part of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conversion {
    /// libvirt has an element for it.
    Native,
    /// It is passed to QEMU unchanged.
    #[serde(rename = "kept")]
    Unchanged,
    /// It has no meaning under libvirt.
    Meaningless,
}

/// A QEMU option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct QemuOption {
    /// Its name, without `-`.
    pub(super) name: String,
    /// As it was written.
    pub(super) written: String,
    /// The value to pass to QEMU.
    pub(super) value: Option<String>,
    /// The value's properties.
    pub(super) props: Props,
    /// What became of it: the element, or the reason.
    pub(super) fate: Option<(Conversion, String)>,
}

impl QemuOption {
    pub(super) fn value(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }

    pub(super) fn peek(&self, property: &str) -> Option<&str> {
        self.props.peek(property)
    }

    /// The place of a device in the boot order, with the name of the property.
    pub(super) fn boot_order(&self) -> impl Iterator<Item = (&'static str, &str)> {
        OF_BOOT_ORDER.into_iter().filter_map(|name| Some((name, self.peek(name)?)))
    }

    /// The driver of a device.
    pub(super) fn driver(&self) -> Option<&str> {
        self.peek("driver").filter(|_| self.name == "device")
    }

    /// Driver, property and value of a `-global`, as `qemu_global_option` reads it: a driver with a dot needs the long form.
    pub(super) fn global(&self) -> Option<(String, String, String)> {
        let long = ["driver", "property", "value"].map(|name| self.peek(name).map(str::to_owned));
        let (driver, property, value) = match long {
            [Some(driver), Some(property), Some(value)] => (driver, property, value),
            _ => {
                let (name, value) = self.value().split_once('=')?;
                let (driver, property) = name.split_once('.')?;
                (driver.to_owned(), property.to_owned(), value.to_owned())
            }
        };
        (self.name == "global").then(|| (driver, property.replace('_', "-"), value))
    }

    /// Whether it is passed to QEMU unchanged.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.fate, Some((Conversion::Unchanged, _)))
    }

    /// Replaces it by the option that current QEMU uses for the same.
    pub(super) fn becomes(&mut self, name: &str, value: &str) {
        name.clone_into(&mut self.name);
        self.props = Props::read(value, table::of(WITH_PROPERTIES, name).unwrap_or_default());
        self.value = Some(value.to_owned());
    }

    /// Sets a property, or removes it, also in the value that is passed to QEMU.
    pub(super) fn set(&mut self, property: &str, to: Option<&str>) {
        self.props.set(property, to);
        let Some(value) = &mut self.value else { return };
        if let Some(members) = members(value) {
            let mut all = Value::Object(members);
            match (to, all.pointer_mut(&format!("/{}", property.replace('.', "/")))) {
                (Some(to), Some(known)) if known.is_number() => *known = serde_json::from_str(to).unwrap_or_else(|_| to.into()),
                (Some(to), Some(known)) => *known = to.into(),
                (Some(to), None) => all[property] = to.into(),
                (None, _) => {}
            }
            if let (None, Value::Object(members)) = (to, &mut all) {
                members.remove(property);
            }
            *value = all.to_string();
            return;
        }
        let mut new = to.map(|to| format!("{property}={}", to.replace(',', ",,")));
        let is_it = |part: &str| part.split_once('=').is_some_and(|(name, _)| same_name(name.trim(), property));
        let parts = value.split(',').filter_map(|part| if is_it(part) { new.take() } else { Some(part.to_owned()) });
        let mut parts: Vec<String> = parts.collect();
        parts.extend(new);
        *value = parts.join(",");
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
            Some(name) if table::has(WITHOUT_VALUE, name) => (name, None),
            Some(name) => {
                // A value may be a negative number, but a word that begins with a minus is the next option.
                let is_value =
                    |next: &&String| !next.starts_with('-') || next.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
                (name, words.next_if(is_value).cloned())
            }
        };
        let name = if name == "M" { "machine" } else { name };
        // Any other option takes one word as its value, whatever it contains.
        let props = table::of(WITH_PROPERTIES, name).zip(value.as_deref()).map(|(first, value)| Props::read(value, first));
        let written = match &value {
            Some(value) if !word.starts_with('-') => value.clone(),
            Some(value) => format!("-{name} {value}"),
            None => format!("-{name}"),
        };
        let mut props = props.unwrap_or_default();
        if name == "chardev" {
            props.shorten();
        }
        options.push(QemuOption { name: name.to_owned(), written, value, props, fate: None });
    }
    options
}

/// The options of a command line in QEMU's current spelling.
pub(super) fn current_options(argv: &[String]) -> Vec<QemuOption> {
    let mut options = options(argv);
    for option in &mut options {
        let value = option.value().to_owned();
        if let Some((_, name, form)) = SPELLINGS.iter().find(|(old, ..)| *old == option.name) {
            option.becomes(name, &form.replace('*', &value.replace(',', ",,")));
        } else if let Some(screen) = value.strip_prefix("vnc=").filter(|_| option.name == "display") {
            // The same as `-vnc` (`parse_display` of `system/vl.c`).
            option.becomes("vnc", screen);
        } else if let Some(device) = usb_device(&value).filter(|_| option.name == "usbdevice") {
            option.becomes("device", &device);
        }
    }
    options
}

/// The device of `-usbdevice tablet`, `-usbdevice host:VENDOR:PRODUCT` (hexadecimal) or `-usbdevice host:BUS.DEVICE`. QEMU creates it
/// before the devices of `-device` (`qemu_create_cli_devices`), so it is on the board's bus.
fn usb_device(value: &str) -> Option<String> {
    Some(usb_device_alone(value)? + ",bus=usb-bus.0")
}

fn usb_device_alone(value: &str) -> Option<String> {
    let Some(place) = value.strip_prefix("host:") else {
        return match value {
            "tablet" | "mouse" => Some(format!("usb-{value}")),
            "keyboard" | "kbd" => Some("usb-kbd".to_owned()),
            _ => None,
        };
    };
    if let Some(ids) = place.split_once(':') {
        let id = |text: &str| u16::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        return Some(format!("usb-host,vendorid={:#06x},productid={:#06x}", id(ids.0)?, id(ids.1)?));
    }
    let (bus, address) = place.split_once('.')?;
    let number = |text: &str| text.parse::<u16>().ok();
    Some(format!("usb-host,hostbus={},hostaddr={}", number(bus)?, number(address)?))
}

/// A command line without one of its options.
pub fn without(argv: &[String], index: usize) -> Vec<String> {
    let mut words: Vec<String> = argv.iter().take(1).cloned().collect();
    let mut at = words.len();
    for (number, option) in options(argv).iter().enumerate() {
        // A bare word is an option and its value at once.
        let is_bare = argv.get(at).is_some_and(|word| word.trim_start_matches('-').is_empty() || !word.starts_with('-'));
        let end = at + if is_bare { 1 } else { 1 + usize::from(option.value.is_some()) };
        words.extend(argv[at..end].iter().filter(|_| number != index).cloned());
        at = end;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_none() {
        let argv =
            ["qemu", "-enable-kvm", "--usbdevice", "host:1:2", "-M", "q35", "disk.img", "-frobnicate", "-m", "8G"].map(str::to_owned);
        let texts: Vec<String> = options(&argv).into_iter().map(|option| option.written).collect();
        assert_eq!(texts, ["-enable-kvm", "-usbdevice host:1:2", "-machine q35", "disk.img", "-frobnicate", "-m 8G"]);
    }

    #[test]
    fn one_option_less() {
        let argv = ["qemu", "-usb", "disk.img", "-m", "8G", "-smp", "2"].map(str::to_owned);
        let words = |index| without(&argv, index)[1..].join(" ");
        assert_eq!(
            [words(0), words(1), words(2), words(3)],
            ["disk.img -m 8G -smp 2", "-usb -m 8G -smp 2", "-usb disk.img -smp 2", "-usb disk.img -m 8G"]
        );
    }

    #[test]
    fn a_property_is_set_in_the_value_too() {
        let mut option = options(&["qemu", "-device", "a,bus=b,x=1,,2,addr=3"].map(str::to_owned)).remove(0);
        option.set("bus", Some("c,d"));
        option.set("addr", None);
        option.set("new", Some("4"));
        assert_eq!((option.value(), option.peek("bus"), option.peek("addr")), ("a,bus=c,,d,x=1,,2,new=4", Some("c,d"), None));
        let mut option = options(&["qemu", "-blockdev", r#"{"a":{"b":"c"}}"#].map(str::to_owned)).remove(0);
        option.set("a.b", Some("d"));
        assert_eq!((option.value(), option.peek("a.b")), (r#"{"a":{"b":"d"}}"#, Some("d")));
    }
}
