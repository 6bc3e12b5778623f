//! USB devices: `/sys/bus/usb/devices`.

use crate::model::{UsbDevice, UsbId};
use crate::root::Root;

const DEVICES: &str = "/sys/bus/usb/devices";

pub(super) fn read(root: &Root) -> Vec<UsbDevice> {
    let names = root.names(DEVICES);
    // `usb1` is a root hub, `1-4` a device, `1-4:1.0` an interface of it.
    let ports = names.iter().filter(|name| name.contains('-') && !name.contains(':'));
    ports.filter_map(|port| read_device(root, port, &names)).collect()
}

fn read_device(root: &Root, port: &str, names: &[String]) -> Option<UsbDevice> {
    let attribute = |name: &str| root.attribute(&format!("{DEVICES}/{port}/{name}"));
    let id: UsbId = format!("{}:{}", attribute("idVendor")?, attribute("idProduct")?).parse().ok()?;
    let words: Vec<String> = ["manufacturer", "product"].iter().filter_map(|name| attribute(name)).collect();
    let interfaces = names.iter().filter(|name| name.split_once(':').is_some_and(|(device, _)| device == port));
    let mut drivers: Vec<String> = interfaces.filter_map(|name| root.link_name(&format!("{DEVICES}/{name}/driver"))).collect();
    drivers.sort_unstable();
    drivers.dedup();
    Some(UsbDevice {
        bus: attribute("busnum")?.parse().ok()?,
        device: attribute("devnum")?.parse().ok()?,
        port: port.to_owned(),
        id,
        controller: root
            .link(&format!("{DEVICES}/{port}"))
            .and_then(|path| path.split('/').filter_map(|part| part.parse().ok()).next_back()),
        name: (!words.is_empty()).then(|| words.join(" ")),
        drivers,
    })
}
