//! The order in which host drivers release the functions of a guest, and the services that have to let go of them before.

use crate::model::{Host, PciAddress, PciDevice};

/// The services that keep the devices of a driver open by themselves. nvidia-persistenced exists for that (its manual page: it
/// "maintains persistent software state" while no client runs).
const SERVICES: [(&str, &str); 1] = [("nvidia", "nvidia-persistenced.service")];

/// Those of these functions that a host driver has, in the order in which the drivers release them: a card after its audio
/// and its other functions, which need it (the audio of a display is off when the card is), and the last function first.
pub fn unbinding_order<'h>(host: &'h Host, functions: &'h [PciAddress]) -> Vec<(&'h PciDevice, &'h str)> {
    let bound = host.devices(functions).filter(|device| !device.on_vfio());
    let mut bound: Vec<(&PciDevice, &str)> = bound.filter_map(|device| Some((device, device.driver.as_deref()?))).collect();
    bound.sort_by_key(|(device, _)| (device.class.is_display(), std::cmp::Reverse(device.address)));
    bound
}

/// The units of the services that have these drivers' devices open.
pub fn services_of<'d>(drivers: impl Iterator<Item = &'d str>) -> Vec<&'static str> {
    let drivers: Vec<&str> = drivers.collect();
    SERVICES.iter().filter(|(driver, _)| drivers.contains(driver)).map(|(_, unit)| *unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Class;

    fn device(address: &str, class: u32, driver: Option<&str>) -> PciDevice {
        let mut device = PciDevice::new(address.parse().unwrap());
        device.class = Class(class);
        device.driver = driver.map(str::to_owned);
        device
    }

    #[test]
    fn audio_before_the_card_and_only_what_a_host_driver_has() {
        let pci = vec![
            device("0000:01:00.0", 0x03_0000, Some("nvidia")),
            device("0000:01:00.1", 0x04_0300, Some("snd_hda_intel")),
            device("0000:01:00.2", 0x0c_0330, None),
            device("0000:01:00.3", 0x0c_8000, Some("nvidia-gpu")),
            device("0000:02:00.0", 0x01_0802, Some("nvme")),
            device("0000:03:00.0", 0x03_0000, Some("vfio-pci")),
            device("0000:04:00.0", 0x02_0000, Some("e1000e")),
        ];
        let host = Host { pci, ..Host::default() };
        let functions: Vec<PciAddress> = host.pci[..6].iter().map(|device| device.address).collect();
        let order = unbinding_order(&host, &functions);
        let words: Vec<String> = order.iter().map(|(device, driver)| format!("{} {driver}", device.address.short())).collect();
        assert_eq!(words, ["02:00.0 nvme", "01:00.3 nvidia-gpu", "01:00.1 snd_hda_intel", "01:00.0 nvidia"]);
        assert_eq!(services_of(order.iter().map(|(_, driver)| *driver)), ["nvidia-persistenced.service"]);
        assert!(services_of(["nouveau", "nvidia-gpu"].into_iter()).is_empty());
    }
}
