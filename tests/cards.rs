//! Which functions make a card, and what sort of card it is, on machines that are not in fixtures/hosts.

use vgapt::model::{Card, CardKind, Class, Host, PciAddress, PciDevice, Use, UsedFor, Uses};
use vgapt::passthrough::{self, DangerKind, Verdict};

/// A line `address class vendor:device [group [driver [ancestor…]]]`, `-` for none.
fn host(lines: &[&str]) -> Host {
    let device = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        let word = |index: usize| words.get(index).copied().filter(|word| *word != "-");
        PciDevice {
            class: Class(u32::from_str_radix(words[1], 16).unwrap() << 8),
            id: words[2].parse().unwrap(),
            group: word(3).map(|group| group.parse().unwrap()),
            driver: word(4).map(str::to_owned),
            ancestors: words.iter().skip(5).map(|address| address.parse().unwrap()).collect(),
            ..PciDevice::new(words[0].parse().unwrap())
        }
    };
    let mut host = Host { pci: lines.iter().map(device).collect(), ..Host::default() };
    host.pci.sort_by_key(|device| device.address);
    host
}

fn addresses(list: &[&str]) -> Vec<PciAddress> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

#[track_caller]
fn assert_card(lines: &[&str], kind: CardKind, functions: &[&str]) {
    let cards = Card::all(&host(lines));
    assert_eq!(cards.len(), 1, "{cards:?}");
    assert_eq!((cards[0].kind, &cards[0].functions), (kind, &addresses(functions)));
}

#[test]
fn intels_cards_carry_their_audio_behind_a_switch_of_their_own() {
    let lines = [
        "00:01.0 0604 8086:a70d 1 pcieport",
        "00:1f.3 0403 8086:7a50 9 snd_hda_intel",
        "01:00.0 0604 8086:4fa0 16 pcieport 00:01.0",
        "02:01.0 0604 8086:4fa4 17 pcieport 00:01.0 01:00.0",
        "02:04.0 0604 8086:4fa4 18 pcieport 00:01.0 01:00.0",
        "03:00.0 0300 8086:56a0 19 i915 00:01.0 01:00.0 02:01.0",
        "04:00.0 0403 8086:4f90 20 snd_hda_intel 00:01.0 01:00.0 02:04.0",
    ];
    assert_card(&lines, CardKind::Discrete, &["03:00.0", "04:00.0"]);
    // The same where no hierarchy was recorded.
    let flat = lines.map(|line| line.split(' ').take(5).collect::<Vec<_>>().join(" "));
    assert_card(&flat.each_ref().map(String::as_str), CardKind::Discrete, &["03:00.0", "04:00.0"]);
}

#[test]
fn two_of_intels_cards_keep_their_own_audio() {
    let card = |bus: u8, id: &str| {
        [
            format!("{bus:02x}:00.0 0604 8086:4fa0 {bus} pcieport"),
            format!("{:02x}:01.0 0604 8086:4fa4 {bus} pcieport", bus + 1),
            format!("{:02x}:00.0 0300 8086:{id} {bus} i915", bus + 2),
            format!("{:02x}:00.0 0403 8086:4f92 {bus} snd_hda_intel", bus + 3),
        ]
    };
    let lines: Vec<String> = card(1, "56a0").into_iter().chain(card(5, "56a6")).collect();
    let cards = Card::all(&host(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(
        cards.iter().map(|card| card.functions.clone()).collect::<Vec<_>>(),
        [addresses(&["03:00.0", "04:00.0"]), addresses(&["07:00.0", "08:00.0"])]
    );
}

#[test]
fn an_apus_neighbours_stay() {
    let lines = [
        "04:00.0 0300 1002:15d8 1 amdgpu",
        "04:00.1 0403 1002:15de 1",
        "04:00.2 1080 1022:15df 1 ccp",
        "04:00.6 0403 1022:15e3 1 snd_hda_intel",
    ];
    assert_card(&lines, CardKind::Integrated, &["04:00.0", "04:00.1"]);
}

#[test]
fn a_management_controllers_neighbours_stay() {
    let lines = [
        "01:00.0 0880 103c:3306 1 hpilo",
        "01:00.1 0300 102b:0533 1 mgag200",
        "01:00.2 0880 103c:3307 1 hpilo",
        "01:00.4 0c03 103c:3300 1 uhci_hcd",
    ];
    assert_card(&lines, CardKind::Bmc, &["01:00.1"]);
}

#[test]
fn an_emulated_card_is_made_of_parts_of_any_vendor() {
    assert_card(
        &["01:00.0 0300 1234:1111 1 bochs-drm", "01:00.1 0403 8086:2668 1 snd_hda_intel"],
        CardKind::Virtual,
        &["01:00.0", "01:00.1"],
    );
}

#[test]
fn a_second_display_function_is_no_second_card() {
    let lines = ["01:00.0 0380 1002:5b72 1", "01:00.1 0300 1002:5b62 1 radeon"];
    assert_card(&lines, CardKind::Discrete, &["01:00.0", "01:00.1"]);
    assert_eq!(Card::all(&host(&lines))[0].address, "01:00.1".parse().unwrap());
}

#[test]
fn a_virtual_function_travels_alone() {
    let mut host = host(&["3d:00.0 0302 10de:2236 1 nvidia", "3d:00.4 0302 10de:2236 2 nvidia"]);
    host.pci[1].physical_function = Some(host.pci[0].address);
    let cards = Card::all(&host);
    assert_eq!(cards.iter().map(|card| card.functions.clone()).collect::<Vec<_>>(), [addresses(&["3d:00.0"]), addresses(&["3d:00.4"])]);
}

#[test]
fn a_processors_audio_is_no_part_of_its_graphics() {
    assert_card(&["00:02.0 0300 8086:0412 2 i915", "00:03.0 0403 8086:0c0c 3 snd_hda_intel"], CardKind::Integrated, &["00:02.0"]);
}

#[test]
fn domains_and_high_buses() {
    let lines = ["10000:e1:00.0 0300 10de:1401 1 nouveau", "10000:e1:00.1 0403 10de:0fba 1", "0000:e1:00.1 0403 10de:0fba 2"];
    assert_card(&lines, CardKind::Discrete, &["10000:e1:00.0", "10000:e1:00.1"]);
}

#[track_caller]
fn assert_verdict(lines: &[&str], verdict: Verdict) {
    assert_eq!(passthrough::assess(&host(lines))[0].verdict, verdict);
}

#[test]
fn verdicts() {
    assert_verdict(&["01:00.0 0300 10de:1401 - nouveau"], Verdict::Unknown);
    assert_verdict(&["01:00.0 0300 10de:1401 1 nouveau", "01:00.1 0403 10de:0fba 1 -"], Verdict::OnlyDisplay);
    assert_verdict(&["01:00.0 0300 10de:1401 1 nouveau", "02:00.0 0300 10de:1401 2 nouveau"], Verdict::Available);
    // Without a driver the other one shows nothing.
    assert_verdict(&["01:00.0 0300 10de:1401 1 nouveau", "02:00.0 0300 10de:1401 2 -"], Verdict::OnlyDisplay);
    assert_verdict(&["01:00.0 0300 10de:1401 1 -", "02:00.0 0300 10de:1401 2 -"], Verdict::Available);
    assert_verdict(&["01:00.0 0300 10de:1401 1 nouveau", "02:00.0 0300 10de:1401 2 vfio-pci"], Verdict::OnlyDisplay);
    assert_verdict(&["01:00.0 0300 10de:1401 1 vfio-pci", "01:00.1 0403 10de:0fba 1 vfio-pci"], Verdict::Ready);
    assert_verdict(&["01:00.0 0300 10de:1401 1 vfio-pci", "01:00.1 0403 10de:0fba 1 snd_hda_intel"], Verdict::OnlyDisplay);
    assert_verdict(
        &["00:01.0 0604 8086:1901 1 pcieport", "01:00.0 0300 10de:1401 1 vfio-pci", "02:00.0 0c03 1b21:1242 1 pci-stub"],
        Verdict::Ready,
    );
    assert_verdict(&["01:00.0 0300 10de:1401 1 nouveau", "00:1f.0 0601 8086:a145 1 lpc_ich"], Verdict::Blocked);
    assert_verdict(&["01:00.0 0300 10de:1401 - nouveau", "02:00.0 0200 8086:1533 2 igb"], Verdict::Unknown);
}

#[track_caller]
fn chosen(lines: &[&str]) -> (Option<String>, String) {
    let cards = passthrough::assess(&host(lines));
    let choice = passthrough::choose(&cards);
    (choice.card().map(|card| card.address.short()), choice.because().to_owned())
}

#[test]
fn which_card_is_meant() {
    let bmc = "62:00.0 0300 1a03:2000 9 ast";
    let of = |lines: &[&str]| chosen(lines).0;
    // The firmware's display stays; here boot_vga is not in the lines, so two are equal.
    let two = ["01:00.0 0300 10de:1401 1 nouveau", "02:00.0 0300 10de:1401 2 nouveau"];
    assert_eq!(of(&two), None);
    let mut with_boot_display = host(&two);
    with_boot_display.pci[0].boot_vga = Some(true);
    let cards = passthrough::assess(&with_boot_display);
    let choice = passthrough::choose(&cards);
    assert_eq!(choice.card().map(|card| card.address.short()).as_deref(), Some("02:00.0"), "{choice:?}");
    assert!(choice.because().contains("01:00.0, the boot display"), "{choice:?}");
    // What is bound is meant.
    assert_eq!(of(&["01:00.0 0300 10de:1401 1 vfio-pci", "02:00.0 0300 10de:1402 2 nouveau"]).as_deref(), Some("01:00.0"));
    // A management controller's graphics never; nor the only display, nor what is emulated.
    assert_eq!(of(&[bmc]), None);
    assert_eq!(of(&[bmc, "01:00.0 0302 10de:2331 1 nouveau"]).as_deref(), Some("01:00.0"));
    assert_eq!(of(&["01:00.0 0300 10de:1401 1 nouveau"]), None);
    assert_eq!(of(&["00:01.0 0300 1234:1111 1 bochs-drm", "00:02.0 0300 1b36:0100 2 qxl"]), None);
    // Integrated graphics only where there is no card of its own, whatever keeps that with the host.
    assert_eq!(of(&[bmc, "00:02.0 0300 8086:3e92 0 i915"]).as_deref(), Some("00:02.0"));
    let (none, because) =
        chosen(&["00:02.0 0300 8086:3e92 0 i915", "01:00.0 0300 1002:67ef 2 amdgpu", "06:00.0 0c03 8086:15d4 2 xhci_hcd"]);
    assert_eq!(none, None);
    assert!(because.contains("01:00.0 shares an IOMMU group with 06:00.0") && because.contains("00:02.0 is integrated"), "{because}");
}

#[test]
fn a_card_without_outlets_is_no_display_of_the_host() {
    // A laptop's 3D controller: with the integrated graphics the host's only screen goes.
    let lines = ["05:00.0 0300 1002:15e7 1 amdgpu", "01:00.0 0302 10de:25a2 2 nouveau"];
    let verdicts: Vec<Verdict> = passthrough::assess(&host(&lines)).iter().map(|card| card.verdict).collect();
    assert_eq!(verdicts, [Verdict::Available, Verdict::OnlyDisplay]);
    // A host without any display loses none.
    assert_verdict(&["01:00.0 0302 10de:2331 1 nouveau"], Verdict::Available);
}

#[test]
fn a_parent_of_virtual_functions_stays() {
    let mut host = host(&["00:02.0 0300 8086:4690 0 i915", "00:02.1 0300 8086:4690 13 vfio-pci", "00:02.2 0300 8086:4690 14 i915"]);
    let parent = host.pci[0].address;
    for function in &mut host.pci[1..] {
        function.physical_function = Some(parent);
    }
    let cards = passthrough::assess(&host);
    assert_eq!(cards.iter().map(|card| card.verdict).collect::<Vec<_>>(), [Verdict::SharedOut, Verdict::Ready, Verdict::Available]);
    assert_eq!(cards[0].virtual_functions, addresses(&["00:02.1", "00:02.2"]));
    assert_eq!(cards[1].physical_function, Some(parent));
    assert!(cards[0].remedy.as_ref().is_some_and(|remedy| remedy.contains("--gpu 00:02.1")), "{:?}", cards[0].remedy);
    // The parent shows the picture; its functions on vfio-pci blind nobody.
    assert!(cards.iter().all(|card| card.warnings.iter().all(|warning| warning.code != "host-blind")), "{cards:?}");
}

#[test]
fn a_blind_host_is_said() {
    let blind =
        |lines: &[&str]| passthrough::assess(&host(lines)).iter().any(|card| card.warnings.iter().any(|one| one.code == "host-blind"));
    assert!(blind(&["01:00.0 0300 10de:1401 1 vfio-pci", "01:00.1 0403 10de:0fba 1 vfio-pci"]));
    assert!(!blind(&["01:00.0 0300 10de:1401 1 vfio-pci", "02:00.0 0300 1a03:2000 2 ast"]));
    assert!(!blind(&["01:00.0 0302 10de:2331 1 vfio-pci"]));

    // A second display without a driver shows the firmware's picture if it is the boot display, else none.
    let second = |boot_vga: Option<bool>| {
        let mut host = host(&["01:00.0 0300 10de:1401 1 vfio-pci", "0d:00.0 0300 1002:13c0 2"]);
        host.pci[1].boot_vga = boot_vga;
        passthrough::assess(&host).iter().any(|card| card.warnings.iter().any(|one| one.code == "host-blind"))
    };
    assert!(second(Some(false)) && !second(Some(true)) && !second(None));
}

#[test]
fn what_no_guest_needs() {
    let lines = [
        "c5:00.0 0300 1002:1900 14 amdgpu",
        "c5:00.2 1080 1022:15c7 16 ccp",
        "00:14.0 0c05 1022:790b 6 piix4_smbus",
        "07:00.0 1080 177d:0010 8 cpt",
    ];
    let host = host(&lines);
    let dangers = |functions: &[&str]| passthrough::dangers(&host, &Uses::default(), &addresses(functions));
    let kinds = |functions: &[&str]| dangers(functions).iter().map(|danger| danger.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&["c5:00.2"]), [DangerKind::HostFunction]);
    assert!(dangers(&["c5:00.2", "00:14.0"])[0].message.contains("00:14.0 is the SMBus"));
    assert_eq!(kinds(&["07:00.0"]), [], "an accelerator of another maker is no part of the host");
    assert_eq!(kinds(&["c5:00.0"]), [DangerKind::OnlyDisplay]);
    // Where nothing could be read, nothing is certain.
    let unknown = Uses { unknown: vec!["cannot read /proc/mounts".to_owned()], ..Uses::default() };
    let disk = self::host(&["01:00.0 0108 144d:a80c 7 nvme"]);
    let found = passthrough::dangers(&disk, &unknown, &addresses(&["01:00.0"]));
    assert_eq!(found.iter().map(|danger| danger.kind).collect::<Vec<_>>(), [DangerKind::UsesUnknown]);
}

#[test]
fn the_last_keyboard_by_usb() {
    let keyboard = |name: &str, port: Option<&str>| Use {
        path: addresses(&["00:14.0"]),
        what: UsedFor::Keyboard { name: name.to_owned(), port: port.map(str::to_owned) },
    };
    let last = |known: Vec<Use>, ports: &[&str]| passthrough::last_keyboard_at(&Uses { known, ..Uses::default() }, ports).is_some();
    assert!(last(vec![keyboard("a", Some("1-2"))], &["1-2"]));
    assert!(!last(vec![keyboard("a", Some("1-2")), keyboard("b", None)], &["1-2"]), "another one stays");
    assert!(!last(vec![keyboard("a", Some("1-2"))], &["1-3"]));
    assert!(!last(Vec::new(), &["1-3"]));
}

#[test]
fn what_is_known_of_families() {
    let codes = |line: &str| {
        passthrough::assess(&host(&[line, "62:00.0 0300 1a03:2000 9 ast"]))[0].warnings.iter().map(|one| one.code).collect::<Vec<_>>()
    };
    assert_eq!(codes("01:00.0 0300 10de:2c05 1 vfio-pci"), ["reset"]);
    assert_eq!(codes("01:00.0 0300 10de:2684 1 vfio-pci"), [""; 0]);
    assert_eq!(codes("00:02.0 0300 8086:4690 1 vfio-pci"), ["igd"]);
    assert_eq!(codes("00:01.0 0300 1002:1586 1 vfio-pci"), ["apu"]);
}
