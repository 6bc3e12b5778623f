//! Law 2: what vgapt makes of any recorded machine is valid, the QEMU driver takes it, and QEMU is told
//! what is promised.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use super::command::{command, run, vgapt};
use super::guide_flags::options;
use super::libvirt::{Libvirt, have, skip};
use super::lines::{changes, elements, without};
use super::profiles::{Told, promised};
use super::{DAEMON, EVERYTHING, QEMU, with_firmware, words};

/// A domain as `--dry-run` prints it.
struct Dry {
    name: String,
    file: PathBuf,
    functions: Vec<String>,
    /// Whether the machine's processor is Intel's.
    is_intel: bool,
    /// The guest's system, where QEMU's options are looked at.
    told: Option<&'static str>,
}

/// The sets of options that every card is tried with.
const SETS: [(&str, &str); 3] = [
    ("bare", ""),
    (
        "all",
        "--hugepages --usb 046d:c52b --keyboard 046d:c31c --mouse 046d:c077 --disk /vm/a&b.qcow2 --cdrom /vm/install.iso
         --virtio-iso /vm/virtio-win.iso --memory 4G --cpus 6 --rom /vm/card.rom --evdev /dev/input/by-id/a-event-kbd --evdev /dev/input/by-id/b-event-mouse
         --looking-glass 2560x1440 --network nat --share /srv/games --share-smb /srv/docs --sound pulseaudio --core-kind any",
    ),
    ("odd", "--disk /vm/a.raw --disk /dev/disk/by-id/b --virtio-iso /vm/v.iso --memory 1537 --cpus 1"),
];

#[test]
fn every_card_of_every_recorded_machine_makes_a_domain_that_libvirt_takes() {
    if !have("law 2 on the embedded QEMU driver", &[&QEMU[..], &["virt-xml-validate"]].concat()) {
        return;
    }
    let libvirt = Libvirt::embedded();
    let mut machines: Vec<PathBuf> = fs::read_dir("fixtures/hosts").unwrap().map(|entry| entry.unwrap().path()).collect();
    machines.retain(|path| path.extension().is_some_and(|extension| extension == "host"));
    machines.sort();
    assert!(machines.len() >= 20, "{machines:?}");
    let half = machines.len().div_ceil(2);
    let dry: Vec<Dry> = thread::scope(|scope| {
        let parts: Vec<_> = machines
            .chunks(half)
            .map(|part| scope.spawn(|| part.iter().flat_map(|machine| dry_runs(&libvirt, machine)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(dry.len() > 150, "only {} domains", dry.len());
    // libvirt takes a TPM only where swtpm is installed; the schema has had its say.
    let has_tpm = libvirt.virsh(&["domcapabilities", "--machine", "q35"]).stdout.contains("<value>emulator</value>");
    if !has_tpm {
        skip("defining domains with a TPM", "not installed: swtpm");
    }
    let dry: Vec<Dry> = dry.into_iter().filter(|dry| has_tpm || !dry.name.contains("_win11_")).collect();
    let commands: Vec<String> = dry
        .iter()
        .map(|Dry { file, name, told, .. }| {
            // USB devices are looked up for QEMU's options, and are not plugged in here.
            let native = told.map(|_| format!("; domxml-to-native qemu-argv '{}'", beside(file).display()));
            format!("define --validate '{}'; dumpxml {name}{}", file.display(), native.unwrap_or_default())
        })
        .collect();
    let answers = libvirt.virsh(&[&commands.join("; ")]).stdout;
    let mut answers = answers.split("<domain ").skip(1);
    for dry in &dry {
        let answer = answers.next().unwrap_or_default();
        assert!(answer.contains(&format!("<name>{}</name>", dry.name)), "{} is not defined:\n{answer}", dry.name);
        let (xml, argv) = answer.split_once("</domain>").unwrap();
        travel_together(&dry.name, xml, &dry.functions, dry.is_intel);
        let Some(os) = dry.told else { continue };
        let argv = options(argv);
        for function in &dry.functions {
            let told = argv.iter().filter(|option| option.starts_with("-device ") && option.contains(&format!("\"host\":\"{function}\"")));
            assert_eq!(told.count(), 1, "{}: {function} in {argv:#?}", dry.name);
        }
        promised(os, &Told { is_intel: dry.is_intel, is_pinned: xml.contains("<vcpupin ") }, &argv, |_| true);
    }
    let all = libvirt.virsh(&["list", "--all", "--name"]).stdout;
    assert_eq!(all.split_whitespace().count(), dry.len());
}

/// The domain as it is made QEMU's options of.
fn beside(file: &Path) -> PathBuf {
    file.with_extension("native.xml")
}

/// Each card of a machine that is not blocked with each set of options, and all of them at once.
fn dry_runs(libvirt: &Libvirt, machine: &Path) -> Vec<Dry> {
    let stem = machine.file_stem().unwrap().to_str().unwrap();
    let root = &with_firmware(libvirt, machine);
    let is_intel = fs::read_to_string(root).unwrap().contains("GenuineIntel");
    let list: Value = serde_json::from_str(&run(&mut vgapt(["--root", root, "list", "--json"])).with(0).stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cards: Vec<(String, Vec<String>)> = list["gpus"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|card| card["verdict"] != "blocked")
        .map(|card| (text(&card["address"]), card["functions"].as_array().unwrap().iter().map(text).collect()))
        .collect();
    let mut made = Vec::new();
    for os in ["windows", "linux", "win11", "win10", "win8.1", "win7"] {
        let template = libvirt.template(os);
        let sets = if matches!(os, "windows" | "linux") { &SETS[..] } else { &SETS[..1] };
        for (set, options) in sets {
            let mut asked: Vec<Vec<&(String, Vec<String>)>> = cards.iter().map(|card| vec![card]).collect();
            if cards.len() > 1 && *set == "all" {
                asked.push(cards.iter().collect());
            }
            for cards in asked {
                let name =
                    format!("{stem}_{}_{os}_{set}", cards.iter().map(|card| card.0.replace([':', '.'], "-")).collect::<Vec<_>>().join("_"));
                let mut define = vgapt(["--root", root, "-c", "test:///default", "define", &name, "--dry-run", "--force"]);
                define.args(options.split_whitespace()).args(&template);
                for card in &cards {
                    define.args(["--gpu", &card.0]);
                }
                let file = PathBuf::from(libvirt.path(&format!("{name}.xml")));
                let xml = run(&mut define).with(0).stdout;
                fs::write(&file, &xml).unwrap();
                // Memory is looked for on that machine's nodes, and a network device needs rights; this one may have neither.
                fs::write(beside(&file), without(&without(&xml, "numatune"), "interface")).unwrap();
                run(command("virt-xml-validate").arg(&file).arg("domain")).with(0);
                let told = (*set == "bare").then_some(os);
                made.push(Dry { name, file, functions: cards.iter().flat_map(|card| card.1.clone()).collect(), is_intel, told });
            }
        }
    }
    made
}

/// All functions are in it, and those of one slot of the host are on one slot of the guest.
#[track_caller]
fn travel_together(name: &str, xml: &str, functions: &[String], is_intel: bool) {
    let hostdevs = elements(xml, "hostdev");
    let pci: Vec<&String> = hostdevs.iter().filter(|hostdev| hostdev.contains("type='pci' managed")).collect();
    assert_eq!(pci.len(), functions.len(), "{name}: {pci:?}");
    let place = |function: &String| {
        let (slot, function) = function.rsplit_once('.').unwrap();
        let parts: Vec<&str> = slot.split(':').collect();
        let source = format!(
            "<source><address domain='0x{}' bus='0x{}' slot='0x{}' function='0x{function}'/></source>",
            parts[0], parts[1], parts[2]
        );
        let hostdev = pci.iter().find(|hostdev| hostdev.contains(&source)).unwrap_or_else(|| panic!("{name}: no {source}"));
        let guest = hostdev.split("<address type='pci' ").nth(1).unwrap();
        let (bus, rest) = guest.split_once(" function='").unwrap();
        (bus.to_owned(), rest.to_owned())
    };
    for function in functions {
        let slot = function.rsplit_once('.').unwrap().0;
        let siblings: Vec<&String> = functions.iter().filter(|other| other.starts_with(slot)).collect();
        let (bus, number) = place(function);
        // The ROM of Intel's integrated graphics expects them there (QEMU, docs/igd-assign.txt).
        let is_igd = is_intel && function == "0000:00:02.0";
        assert_eq!(bus.contains("bus='0x00'"), is_igd, "{name}: {function} at {bus}");
        assert!(!is_igd || bus.contains("slot='0x02'"), "{name}: {function} at {bus}");
        assert!(siblings.iter().all(|sibling| place(sibling).0 == bus), "{name}: {siblings:?} are not on one slot");
        let multifunction = number.contains("multifunction='on'");
        assert_eq!(multifunction, siblings.len() > 1 && siblings[0] == function, "{name}: {function} at {number}");
        assert_eq!(number.starts_with("0x0"), siblings[0] == function, "{name}: {function} at {number}");
    }
}

#[test]
fn define_and_read_back() {
    if !have("define on the QEMU driver", &DAEMON) {
        return;
    }
    let libvirt = Libvirt::daemon();
    let defined = libvirt
        .define_new(&words(&format!("win10 {EVERYTHING}"), &["--disk", "/vm/win10.qcow2", "--print-xml"]))
        .with(0)
        .saying(&["'win10' is defined"]);
    let stored = libvirt.virsh(&["dumpxml", "--inactive", "win10"]).stdout;
    // libvirt 9.0 lists controllers in another order when it has read them from disk.
    assert_eq!(changes(&defined.stdout, &stored), (Vec::new(), Vec::new()));
    travel_together("win10", &stored, &["0000:01:00.0".into(), "0000:01:00.1".into()], true);
    libvirt.vgapt(&["define", "win10"]).with(0).saying(&["already up to date"]);
    libvirt.vgapt(&words(&format!("define win10 {EVERYTHING}"), &[])).with(0).saying(&["already up to date"]);
    assert_eq!(libvirt.virsh(&["dumpxml", "--inactive", "win10"]).stdout, stored);
    // What --dry-run prints for a domain that exists is what libvirt already has.
    assert_eq!(libvirt.vgapt(&["define", "win10", "--dry-run"]).with(0).stdout.trim_end(), libvirt.xml("win10").trim_end());
    libvirt.vgapt(&["status", "win10"]).with(0);
    libvirt.vgapt(&["undefine", "win10"]).with(0);
    libvirt.vgapt(&["status", "win10"]).with(3).saying(&["there is no domain 'win10'"]);
}
