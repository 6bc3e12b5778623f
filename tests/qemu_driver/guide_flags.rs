//! The table in `docs/guide-flags.md`, held against what libvirt makes of the domain.

use std::fs;

use super::DAEMON;
use super::command::{Z170, run, vgapt};
use super::libvirt::{Libvirt, have, skip};
use super::lines::{flat, without};

/// What the guide ends in, and what it adds for huge pages.
const GUIDE: &str =
    "-drive if=pflash,format=raw,readonly,file=$VGAPT_FIRMWARE_BIN -drive if=pflash,format=raw,file=$VGAPT_FIRMWARE_VARS_TMP
    -enable-kvm -machine q35,accel=kvm,mem-merge=off
    -cpu host,kvm=off,hv_vendor_id=vgaptrocks,hv_relaxed,hv_spinlocks=0x1fff,hv_vapic,hv_time
    -smp $CORES_NUMBER,cores=$CORES_NUMBER,sockets=1,threads=1 -m $VGAPT_MEMORY -vga none -rtc base=localtime -serial none -parallel none
    -usb -usbdevice host:$VGAPT_KEYBOARD_ID -usbdevice host:$VGAPT_MOUSE_ID
    -device vfio-pci,host=$VGAPT_VGA_BUS,multifunction=on -device vfio-pci,host=$VGAPT_VGA_AUDIO_BUS -device virtio-scsi-pci,id=scsi
    -drive file=$VGAPT_DISK_IMAGE,id=disk,format=qcow2,if=none,cache=writeback -device scsi-hd,drive=disk
    -net nic,model=virtio -net user,smb=$VM_SHARED_FOLDERS
    -drive file=$VGAPT_VIRTIO_DRIVERS_CD,id=virtiocd,format=raw,if=none -device ide-cd,bus=ide.1,drive=virtiocd
    -mem-prealloc -mem-path /dev/hugepages";

/// A cell of the table: what must be there, and what must not.
#[derive(Debug)]
struct Cell {
    there: Vec<String>,
    not_there: Vec<String>,
}

impl Cell {
    fn parse(text: &str) -> Self {
        let mut cell = Self { there: Vec::new(), not_there: Vec::new() };
        let parts: Vec<&str> = text.split('`').collect();
        for pair in parts.chunks_exact(2) {
            let side = if pair[0].trim_end().ends_with("no") { &mut cell.not_there } else { &mut cell.there };
            side.push(pair[1].to_owned());
        }
        cell
    }

    /// What is not as the cell says; what begins as one of these cannot be told.
    fn wrong(&self, beyond: &[Beyond], is_there: impl Fn(&str) -> bool) -> Vec<String> {
        let known = |what: &&String| !beyond.iter().any(|beyond| what.starts_with(beyond.beginning));
        let gone = self.there.iter().filter(known).filter(|what| !is_there(what)).map(|what| format!("missing: {what}"));
        gone.chain(self.not_there.iter().filter(|what| is_there(what)).map(|what| format!("too much: {what}"))).collect()
    }
}

/// What cannot be seen here, by its beginning.
pub(crate) struct Beyond {
    beginning: &'static str,
    /// `None` where it is seen by another test.
    why: Option<&'static str>,
}

#[test]
fn the_guides_flags() {
    if !have("the guide's flags against domxml-to-native", &DAEMON) {
        return;
    }
    let page = fs::read_to_string("docs/guide-flags.md").unwrap();
    let rows = rows(&page);
    let flags: Vec<&str> = rows.iter().flat_map(|row| &row[0].there).flat_map(|flags| flags.split_whitespace()).collect();
    assert_eq!(flags, GUIDE.split_whitespace().collect::<Vec<_>>());

    let libvirt = Libvirt::daemon();
    define(&libvirt, &page);
    let xml = libvirt.xml("win10");
    let (argv, beyond) = native(&libvirt, &xml);
    for (beginning, why) in check(&page, Some(&xml), &argv, beyond) {
        skip(&format!("{beginning}… among the guide's flags"), why);
    }
    if libvirt.has_network && libvirt.has_hugepages() {
        // libvirt wants to know where USB devices are plugged in, and on this machine they are not.
        let told = ["046d:c31c is not plugged in", "046d:c077 is not plugged in"];
        let exported = libvirt.vgapt(&["export", "win10", "--to", "qemu"]).with(0).saying(&told).stdout;
        assert!(exported.contains("\"host\":\"0000:01:00.1\""), "{exported}");
    }
    // The card is alone on its port: nothing else has come between.
    assert_eq!(argv.iter().filter(|option| option.contains("\"bus\":\"ua-vgapt-port-0000-01-00-0\"")).count(), 2);
}

fn rows(page: &str) -> Vec<Vec<Cell>> {
    page.lines().filter(|line| line.starts_with("| `-")).map(|line| line.split('|').skip(1).map(Cell::parse).collect()).collect()
}

/// Holds the page against a domain and its options; what cannot be seen here, and why.
pub(crate) fn check(page: &str, xml: Option<&str>, argv: &[String], beyond: Vec<Beyond>) -> Vec<(&'static str, &'static str)> {
    let flat = xml.map(flat);
    let mut wrong = Vec::new();
    for row in &rows(page) {
        let element = flat.as_ref().map(|flat| row[1].wrong(&beyond, |pattern| found_in(pattern, flat))).unwrap_or_default();
        let option = row[2].wrong(&beyond, |pattern| argv.iter().any(|option| is(pattern, option)));
        wrong.extend(element.into_iter().chain(option).map(|what| format!("{}: {what}", row[0].there.join(" "))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{xml:?}\n{argv:#?}");
    beyond.into_iter().filter_map(|Beyond { beginning, why }| Some((beginning, why?))).collect()
}

/// Runs the lines of the page that define the domain.
fn define(libvirt: &Libvirt, page: &str) {
    let line = page.lines().find(|line| line.starts_with("vgapt define ")).expect("the page has the command");
    let mut define = vgapt(["--root", Z170, "-c", &libvirt.uri]);
    define.args(line.split_whitespace().skip(1)).args(libvirt.template("windows"));
    for settings in page.lines().filter_map(|line| line.strip_prefix("export ")) {
        define.envs(settings.split_whitespace().filter_map(|setting| setting.split_once('=')));
    }
    run(&mut define).with(0);
}

/// The options of `domxml-to-native`, and what they cannot show here.
pub(crate) fn native(libvirt: &Libvirt, xml: &str) -> (Vec<String>, Vec<Beyond>) {
    // It prints a user network as a tap device; `life_cycle` sees the real thing.
    let mut beyond = vec![Beyond { beginning: "-netdev {\"type\":\"user\"", why: None }];
    // USB devices are looked up at start only, and here they are not plugged in.
    let mut xml = xml.to_owned();
    for (product, device) in [("<product id='0xc31c'/>", 2), ("<product id='0xc077'/>", 3)] {
        xml = xml.replacen(product, &format!("{product}<address bus='1' device='{device}'/>"), 1);
    }
    if !libvirt.kvm {
        let why = Some("no KVM here");
        beyond.extend(["<domain type='kvm'", "-accel kvm", "-cpu host,"].map(|beginning| Beyond { beginning, why }));
        xml = xml.replace("mode='host-passthrough'", "mode='maximum'");
    }
    if !libvirt.has_network {
        let why = Some("neither root nor user namespaces here, which a tap device needs");
        beyond.push(Beyond { beginning: "-device {\"driver\":\"virtio-net-pci\"", why });
        xml = without(&xml, "interface");
    }
    if !libvirt.has_hugepages() {
        let why = Some("no hugetlbfs here, which only root may mount");
        beyond.push(Beyond { beginning: "-object {\"qom-type\":\"memory-backend-file\"", why });
        xml = xml.replace("<hugepages/>", "");
    }
    let file = libvirt.path("native.xml");
    fs::write(&file, xml).unwrap();
    let printed = libvirt.virsh(&["domxml-to-native", "qemu-argv", &file]).stdout;
    (options(&printed), beyond)
}

/// The options in a line of `domxml-to-native`, each with its value, in today's words.
pub(crate) fn options(printed: &str) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for word in unquoted(printed) {
        match options.last_mut() {
            Some(option) if !word.starts_with('-') => *option = format!("{option} {word}"),
            _ => options.push(word),
        }
    }
    todays(&mut options);
    options
}

/// What libvirt 9.0 says in other words.
fn todays(options: &mut Vec<String>) {
    let mib = |option: &String| option.strip_prefix("-m ")?.parse::<u64>().ok();
    if let Some((option, mib)) = options.iter_mut().find_map(|option| mib(option).map(|mib| (option, mib))) {
        *option = format!("-m size={}k", mib * 1024);
    }
    // It puts a node of its own above a raw file, and what may only be read is said there.
    let above = |option: &String| {
        let rest = option.strip_prefix("-blockdev {\"node-name\":\"libvirt-")?;
        let (number, rest) = rest.split_once("-format\",")?;
        (rest == format!("\"read-only\":true,\"driver\":\"raw\",\"file\":\"libvirt-{number}-storage\"}}")).then(|| number.to_owned())
    };
    for number in options.iter().filter_map(above).collect::<Vec<_>>() {
        let own = format!("\"node-name\":\"libvirt-{number}-storage\",\"auto-read-only\":true,\"discard\":\"unmap\"");
        let said = format!("\"node-name\":\"libvirt-{number}-storage\",\"read-only\":true");
        for option in &mut *options {
            *option = option.replace(&own, &said);
        }
    }
}

/// The words of a shell line; quotes are single ones, as libvirt sets them.
fn unquoted(line: &str) -> Vec<String> {
    let unquoted = line
        .split('\'')
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { part.replace(' ', "\u{a0}") } else { part.replace("\\\n", " ") });
    unquoted.collect::<String>().split([' ', '\n']).filter(|word| !word.is_empty()).map(|word| word.replace('\u{a0}', " ")).collect()
}

/// Whether an option is as a pattern says: all of it, its bare name, or what occurs in it.
fn is(pattern: &str, option: &str) -> bool {
    if pattern.starts_with('-') { matches(pattern, option) || option.split(' ').next() == Some(pattern) } else { option.contains(pattern) }
}

/// Whether a text is as a pattern says, in which `…` is anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return pattern == text };
    text.strip_prefix(first)
        .is_some_and(|text| (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| matches(rest, &text[at..])))
}

/// Whether something in a text is as a pattern says; `…` stays inside one element.
fn found_in(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('…') else { return text.contains(pattern) };
    text.match_indices(first).any(|(at, _)| {
        let behind = &text[at + first.len()..];
        let next = rest.split('…').next().unwrap_or_default();
        behind.find(next).is_some_and(|gap| gap < 120 && found_in(rest, &behind[gap..]))
    })
}

#[test]
fn patterns() {
    assert!(is("-m …8388608k", "-m size=8388608k") && !is("-m …8388608k", "-m size=8388608k,slots=1"));
    assert!(is("-vga", "-vga none") && is("none", "-vga none") && !is("-vga", "-display none"));
    assert!(matches("a…b…c", "a1b2bc") && !matches("a…b", "b"));
    assert!(found_in("<a…>x</a>", "<z/><a b='1'>x</a>") && !found_in("<a…>x</a>", "<a>y</a>") && !found_in("<b", "<a/>"));
    assert_eq!(unquoted("A=b /q -x '{\"a b\":1}' \\\n-y\n"), ["A=b", "/q", "-x", "{\"a b\":1}", "-y"]);
}
