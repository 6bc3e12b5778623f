//! `vgapt define --dry-run` beside `virt-install --print-xml`.

use std::fs;

use crate::Result;
use crate::calls;
use crate::goals::Goals;
use crate::programs::Program;
use crate::race::race;
use crate::trees::Trees;

const TURNS: usize = 31;
/// The machine of the guide's author, and both functions of its card.
const MACHINE: &str = "z170-gtx960";
const CARD: [&str; 2] = ["0000:01:00.0", "0000:01:00.1"];
/// The node device above all others.
const COMPUTER: &str = "<device><name>computer</name><capability type='system'><hardware>\
    <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid></hardware><firmware/></capability></device>";

/// Runs all of it.
pub(crate) fn compare(trees: &Trees, goals: &mut Goals) -> Result<()> {
    let tree = trees.recorded.iter().find(|tree| tree.name == MACHINE).ok_or("the guide's machine is not among the fixtures")?;
    // virt-install looks the card up among the node devices; the default test host has none.
    let host = trees.directory.path().join("node.xml");
    fs::write(&host, format!("<node>{COMPUTER}{}</node>", CARD.map(node_device).concat()))?;
    let connection = format!("test://{}", host.display());
    let virt_install = Program::virt_install(&connection, CARD);
    println!("\nvgapt define --dry-run: how many times faster than virt-install --print-xml");
    let mut worst = f64::MAX;
    for connection in ["test:///default", &connection] {
        let define = Program::define(&tree.path, connection, CARD[0]);
        let (faster, _) = race(&define, &virt_install, TURNS)?;
        let (calls, their_calls) = (calls::count(&define)?, calls::count(&virt_install)?);
        let shown = if connection.contains("default") { "the default test host" } else { "the same test host" };
        println!("  {shown:40}{faster:8.1}   system calls {calls} against {their_calls}");
        worst = worst.min(faster);
    }
    goals.faster("define --dry-run than virt-install", 8.0, worst);
    Ok(())
}

fn node_device(address: &str) -> String {
    let name = address.replace([':', '.'], "_");
    // libvirt wants decimal digits here.
    let numbers: Vec<u32> = address.split([':', '.']).map(|part| u32::from_str_radix(part, 16).unwrap_or_default()).collect();
    format!(
        "<device><name>pci_{name}</name><parent>computer</parent><capability type='pci'><class>0x030000</class>\
         <domain>{}</domain><bus>{}</bus><slot>{}</slot><function>{}</function><product id='0x1401'/><vendor id='0x10de'/>\
         <iommuGroup number='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></iommuGroup></capability></device>",
        numbers[0], numbers[1], numbers[2], numbers[3]
    )
}
