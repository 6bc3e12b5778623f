//! The controllers of a script and of its machine, and which of them a device is on.

use super::draft::{Controller, Draft};
use super::table;
use crate::xml::Fragment;

/// The prefix of the drivers that are on a controller, its kind, and where libvirt writes its number.
const ON: [(&str, &str, &str); 4] = [
    ("usb-", "usb", "bus"),
    ("virtserialport", "virtio-serial", "controller"),
    ("virtconsole", "virtio-serial", "controller"),
    ("ccid-card-", "ccid", "controller"),
];

impl Draft {
    /// Takes note of a controller; `own` is QEMU's name for buses of this kind.
    pub(super) fn add_controller(&mut self, option: Option<usize>, own: &str, buses: usize, kind: &'static str, number: usize) {
        let id = option.and_then(|index| self.take(index, "id")).filter(|id| !id.is_empty());
        let others = self.controllers.iter().filter(|other| !other.is_named && other.name == own);
        let first = if id.is_some() { 0 } else { others.map(|other| other.buses).sum() };
        let is_named = id.is_some();
        self.controllers.push(Controller { name: id.unwrap_or_else(|| own.to_owned()), is_named, first, buses, kind, number, option });
    }

    /// Begins the element of the next controller of a kind, and takes note of it.
    pub(super) fn begin_controller(&mut self, index: usize, own: &str, buses: usize, kind: &'static str) -> Fragment {
        let number = self.count_controllers(kind);
        self.add_controller(Some(index), own, buses, kind, number);
        self.native(index, &format!("<controller type='{kind}'>"));
        Fragment::new("controller").with("type", kind).with("index", number)
    }

    /// How many controllers of a kind there are.
    pub(super) fn count_controllers(&self, kind: &str) -> usize {
        self.controllers.iter().filter(|controller| controller.kind == kind).map(|controller| controller.number + 1).max().unwrap_or(0)
    }

    /// The controller with a bus: one that the script names comes before those of QEMU's own names.
    fn with_bus(&self, bus: &str) -> Option<(&Controller, usize)> {
        let find = |is_named: bool| {
            self.controllers.iter().filter(move |other| other.is_named == is_named).find_map(|other| Some((other, other.bus(bus)?)))
        };
        find(true).or_else(|| find(false).filter(|_| !self.is_of_device(bus)))
    }

    /// Whether a device of the script has this bus.
    fn is_of_device(&self, bus: &str) -> bool {
        let id = bus.rsplit_once('.').map_or(bus, |(id, _)| id);
        self.options.iter().any(|option| option.driver().is_some() && option.peek("id").is_some_and(|own| own == id || own == bus))
    }

    /// The controller of these kinds that a device is on, and which of its buses: the one that `bus=` names, else the last one before
    /// it (`qbus_find_recursive` begins with the last child).
    pub(super) fn controller(&self, index: usize, kinds: &[&str]) -> Option<(&Controller, Option<usize>)> {
        let is_kind = |other: &Controller| kinds.contains(&other.kind);
        match self.peek(index, "bus").filter(|bus| !bus.is_empty()) {
            Some(bus) => self.with_bus(bus).filter(|(other, _)| is_kind(other)).map(|(other, bus)| (other, Some(bus))),
            None => {
                let before = self.controllers.iter().filter(|other| is_kind(other) && other.option.is_none_or(|at| at < index));
                before.max_by_key(|other| other.option).map(|other| (other, None))
            }
        }
    }

    /// Whether the controller of a device is one of the script for which libvirt has no element.
    pub(super) fn is_on_unknown(&self, index: usize) -> bool {
        self.peek(index, "bus").is_some_and(|bus| self.with_bus(bus).is_none() && self.is_of_device(bus))
    }

    /// Writes which one of several controllers a device is on.
    pub(super) fn write_controller(&mut self, index: usize, element: &mut Fragment) {
        let driver = self.peek(index, "driver").filter(|driver| table::group(driver, &["controller usb"]).is_none()).unwrap_or_default();
        let Some((_, kind, attribute)) = ON.iter().find(|(prefix, ..)| driver.starts_with(prefix)) else { return };
        let Some(number) = self.controller(index, &[kind]).map(|(controller, _)| controller.number) else { return };
        self.take(index, "bus");
        // libvirt wants a hub at the port before one of the hub's own.
        let port = self.peek(index, "port").filter(|port| *kind == "usb" && port.parse::<u8>().is_ok()).map(str::to_owned);
        if port.is_some() || self.count_controllers(kind) > 1 {
            element.set("address@type", kind);
            element.set(&format!("address@{attribute}"), number);
        }
        if let Some(port) = port {
            self.take(index, "port");
            element.set("address@port", port);
        } else if let Some(port) = self.take(index, "port").filter(|_| *kind == "usb") {
            self.notes.push(format!("port={port} of {} is left out: libvirt chooses the port", self.options[index].written));
        }
    }

    /// The bus of a device on a controller that libvirt creates under another name; empty where libvirt adds ports as needed.
    pub(super) fn renamed_bus(&self, bus: &str) -> Option<String> {
        let (controller, bus) = self.with_bus(bus)?;
        Some(controller.alias(self.is_express, bus))
    }
}
