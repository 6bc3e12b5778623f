//! What a domain is given on this host or that: processors, memory, guest systems, further devices.

use std::fs;
use std::path::{Path, PathBuf};

use vgapt::discovery::{self, Scope};
use vgapt::domain::{self, Base, CoreKind, Cpus, Display, Extras, NewDomain, Origin, Os, Record, Request, Resolved, Tuning, Without};
use vgapt::domain_xml;
use vgapt::model::{Bar, Files, Finding, Host, HugepagePool, Libvirt, Neighbour, NodePool, Size, Uri};
use vgapt::root::Root;
use vgapt::xml::{Document, Element};

const NEW: Libvirt = Libvirt { version: Some(11_003_000), enlightenments: None, tpms: None, graphics: None, iommufd: None };

fn host(file: impl AsRef<Path>) -> Host {
    discovery::read(&Root::open(file.as_ref()).unwrap(), Scope::All)
}

/// The guide author's machine with another processor, the card on this NUMA node.
fn with_processor(name: &str, node: Option<u32>) -> Host {
    let processor = host(format!("fixtures/processors/{name}.host"));
    let mut z170 = host("fixtures/hosts/z170-gtx960.host");
    for device in &mut z170.pci {
        device.numa_node = node;
    }
    Host { cpu: processor.cpu, topology: processor.topology, memory: processor.memory, ..z170 }
}

fn request(options: Request) -> Request {
    Request { gpu: vec!["01:00.0".parse().unwrap()], ..options }
}

fn new(host: &Host, request: &Request, libvirt: &Libvirt) -> (String, Resolved) {
    let profile = request.os.clone().unwrap_or_default().profile().unwrap();
    let template = Document::parse(domain::template(profile.template())).unwrap();
    let new = Some(NewDomain { uuid: None, profile: Some(profile) });
    let base = Base::define(Origin { domain: template, name: "x", uri: Uri::DEFAULT, new }, request, &Request::default());
    let resolved = domain::resolve(&base, host, &Files::default(), libvirt);
    (domain::merge(&base.domain, &resolved.spec).to_string(), resolved)
}

fn again(xml: &str, host: &Host, request: &Request) -> (String, Vec<String>) {
    let origin = Origin { domain: Document::parse(xml).unwrap(), name: "x", uri: Uri::DEFAULT, new: None };
    let base = Base::define(origin, request, &Request::default());
    let resolved = domain::resolve(&base, host, &Files::default(), &NEW);
    (domain::merge(&base.domain, &resolved.spec).to_string(), domain::manual_changes(&base, &resolved.spec))
}

fn codes(resolved: &Resolved) -> Vec<&'static str> {
    resolved.findings.iter().map(|finding| finding.code).collect()
}

#[track_caller]
fn has(xml: &str, lines: &[&str]) {
    for line in lines {
        assert!(xml.contains(line), "no {line} in\n{xml}");
    }
}

#[test]
fn two_sockets_are_pinned_beside_the_card_and_take_their_memory_there() {
    let host = with_processor("xeon-6140-x2", Some(1));
    let (xml, _) = new(&host, &request(Request { cpus: Some(Cpus::Count(8)), ..Request::default() }), &NEW);
    has(
        &xml,
        &[
            "<vcpupin vcpu='0' cpuset='1'/>",
            "<vcpupin vcpu='1' cpuset='37'/>",
            "<vcpupin vcpu='7' cpuset='43'/>",
            "<memory mode='strict' nodeset='1'/>",
            "<topology sockets='1' cores='4' threads='2'/>",
            "<cache mode='passthrough'/>",
            "<ioapic driver='kvm'/>",
        ],
    );
    let mut small = host;
    small.memory.nodes = vec![(0, Size::from_mib(4096)), (1, Size::from_mib(4096))];
    let (xml, resolved) = new(&small, &request(Request::default()), &NEW);
    assert!(codes(&resolved).contains(&"node-too-small") && !xml.contains("numatune"), "{xml}");
}

#[test]
fn memory_that_no_longer_fits_its_node_is_let_go_of() {
    let mut host = with_processor("xeon-6140-x2", Some(1));
    host.memory.nodes = vec![(0, Size::from_mib(64 << 10)), (1, Size::from_mib(64 << 10))];
    let (xml, _) = new(&host, &request(Request { cpus: Some(Cpus::Count(8)), ..Request::default() }), &NEW);
    has(&xml, &["<memory mode='strict' nodeset='1'/>"]);
    let (larger, _) = again(&xml, &host, &Request { memory: "120G".parse().ok(), ..Request::default() });
    assert!(!larger.contains("numa") && larger.contains("<vcpupin vcpu='0' cpuset='1'/>"), "{larger}");
    let (smaller, _) = again(&larger, &host, &Request { memory: "8G".parse().ok(), ..Request::default() });
    has(&smaller, &["<memory mode='strict' nodeset='1'/>"]);
}

/// A node may have processors and no memory: the guest is on the other, also where the card is not.
#[test]
fn processors_are_where_memory_is() {
    for card in [Some(1), None] {
        let mut host = with_processor("xeon-6140-x2", card);
        host.memory.nodes = vec![(0, Size::from_mib(64 << 10)), (1, Size::default()), (2, Size::from_mib(256 << 10))];
        let (xml, resolved) = new(&host, &request(Request::default()), &NEW);
        has(&xml, &["<vcpupin vcpu='0' cpuset='2'/>", "<vcpupin vcpu='1' cpuset='38'/>", "<memory mode='strict' nodeset='0'/>"]);
        assert!(!codes(&resolved).contains(&"node-too-small"), "{xml}");
    }
    // Where it has none of its own, that is said.
    let mut host = with_processor("xeon-6140-x2", Some(1));
    host.memory.nodes = vec![(0, Size::default()), (1, Size::from_mib(64 << 10))];
    let (xml, resolved) = new(&host, &request(Request { cpus: Some(Cpus::Count(64)), ..Request::default() }), &NEW);
    let said = resolved.findings.iter().find(|finding| finding.code == "spans-nodes").unwrap();
    assert!(
        said.message.ends_with("they are on the nodes 0-1, and the guest gets none of its own: a node of its processors has no memory"),
        "{said:?}"
    );
    assert!(cells_of(&xml).is_empty(), "{xml}");
}

/// What libvirt would refuse, or drop without a word, is not overridden by `--force`.
#[test]
fn a_libvirt_that_is_too_old_cannot_be_forced() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let extras = Extras {
        sound: Some(domain::Sound::PipeWire),
        network: "passt".parse().ok(),
        disk_discard: Some(domain::DiskDiscard::KeepReserved),
        ..Extras::default()
    };
    let tuning = Tuning { io_threads: Some(2), ..Tuning::default() };
    let asked = request(Request { extras, tuning, ..Request::default() });
    for (version, missing) in [(9_000_000, 4), (9_005_000, 2), (11_000_000, 1), (11_003_000, 0)] {
        let (_, resolved) = new(&host, &asked, &Libvirt { version: Some(version), ..NEW });
        let old: Vec<_> = resolved.findings.iter().filter(|finding| finding.code == "libvirt-too-old").collect();
        assert!(old.len() == missing && old.iter().all(|finding| finding.refuses(true)), "{version}: {old:?}");
    }
}

/// Its cells, and where their memory is from, in one line each.
fn cells_of(xml: &str) -> Vec<String> {
    let domain = Document::parse(xml).unwrap();
    let memnode = |id: &str| {
        let all = domain.root().child("numatune").into_iter().flat_map(|tune| tune.children_named("memnode"));
        let own = all.filter(|memnode| memnode.attribute("cellid").as_deref() == Some(id)).map(|memnode| {
            assert_eq!(memnode.attribute("mode").as_deref(), Some("strict"));
            memnode.attribute("nodeset").unwrap().into_owned()
        });
        own.collect::<Vec<_>>().join("+")
    };
    let line = |cell: Element<'_>| {
        let (vcpus, id) = (cell.attribute("cpus").unwrap_or_default(), cell.attribute("id").unwrap());
        format!("{id}: vCPUs {vcpus}, {} of node {}", domain_xml::cell_size(cell).unwrap(), memnode(&id))
    };
    domain_xml::cells(domain.root()).map(line).collect()
}

#[test]
fn a_guest_on_several_nodes_sees_them() {
    let mut host = with_processor("xeon-6140-x2", Some(1));
    host.memory.nodes = vec![(0, Size::from_mib(64 << 10)), (1, Size::from_mib(64 << 10))];
    let of = |cpus: u32, memory: &str, tuning: Tuning| {
        request(Request { cpus: Some(Cpus::Count(cpus)), memory: memory.parse().ok(), tuning, ..Request::default() })
    };
    // 17 of 18 cores are free on the first node.
    let (xml, resolved) = new(&host, &of(64, "16G", Tuning::default()), &NEW);
    assert_eq!(cells_of(&xml), ["0: vCPUs 0-31, 8 GiB of node 0", "1: vCPUs 32-63, 8 GiB of node 1"]);
    has(
        &xml,
        &["<memory mode='strict' nodeset='0-1'/>", "<topology sockets='2' cores='16' threads='2'/>", "<vcpupin vcpu='32' cpuset='1'/>"],
    );
    let said = resolved.findings.iter().find(|finding| finding.code == "spans-nodes").unwrap();
    assert!(said.message.ends_with("they are on the nodes 0-1, which the guest sees as its own"), "{said:?}");
    // More memory is divided again; fewer processors are on one node, and the guest has one again.
    let (more, by_hand) = again(&xml, &host, &Request { memory: "40G".parse().ok(), ..Request::default() });
    assert_eq!(cells_of(&more), ["0: vCPUs 0-31, 20 GiB of node 0", "1: vCPUs 32-63, 20 GiB of node 1"]);
    assert!(by_hand.is_empty(), "{by_hand:?}");
    let (fewer, _) = again(&more, &host, &Request { cpus: Some(Cpus::Count(1)), ..Request::default() });
    assert!(cells_of(&fewer).is_empty() && !fewer.contains("<numa>"), "{fewer}");
    has(&fewer, &["<memory mode='strict' nodeset='1'/>", "<memory unit='KiB'>41943040</memory>"]);
    let (off, _) = again(&more, &host, &Request { tuning: Tuning { guest_numa: Some(false), ..Tuning::default() }, ..Request::default() });
    assert!(cells_of(&off).is_empty() && !off.contains("numatune"), "{off}");
    // What somebody changed stays.
    let (kept, by_hand) = again(
        &xml.replace("cellid='1' mode='strict'", "cellid='1' mode='preferred'"),
        &host,
        &Request { memory: "40G".parse().ok(), ..Request::default() },
    );
    assert!(kept.contains("cellid='1' mode='preferred'") && by_hand.concat().contains("NUMA nodes"), "{by_hand:?}");

    // A card's node is too small: the rest is from the other, on which the guest has no processors.
    let (xml, resolved) = new(&host, &of(8, "80G", Tuning::default()), &NEW);
    assert_eq!(cells_of(&xml), ["0: vCPUs 0-7, 56 GiB of node 1", "1: vCPUs , 24 GiB of node 0"]);
    let far = resolved.findings.iter().find(|finding| finding.code == "far-memory").unwrap();
    assert!(far.message.starts_with("24 GiB of the guest's 80 GiB are on NUMA nodes without its vCPUs"), "{far:?}");
    assert!(!codes(&resolved).contains(&"node-too-small"));
    // Whole pages of 1 GiB, in proportion to the processors.
    host.memory.hugetlbfs = vec![("/dev/hugepages1G".into(), Some(Size::from_mib(1024)))];
    free_large_pages(&mut host, 64, &[32, 32]);
    let huge = Request { hugepages: true, ..of(64, "17G", Tuning::default()) };
    assert_eq!(cells_of(&new(&host, &huge, &NEW).0), ["0: vCPUs 0-31, 9 GiB of node 0", "1: vCPUs 32-63, 8 GiB of node 1"]);

    // Parts that are not equal would share a cache across nodes, which is said of each guest.
    for guest_numa in [Some(true), None] {
        let (xml, resolved) = new(&host, &of(67, "16G", Tuning { guest_numa, ..Tuning::default() }), &NEW);
        let said = resolved.findings.iter().find(|finding| finding.code == "spans-nodes").unwrap();
        let because = "the guest gets none of its own: its processors cannot be divided into equal parts of which each is on one node";
        assert!(cells_of(&xml).is_empty() && said.message.ends_with(because), "{said:?}");
    }
    host.memory.nodes.clear();
    let (xml, _) = new(&host, &of(64, "16G", Tuning::default()), &NEW);
    assert!(cells_of(&xml).is_empty(), "how much memory a node has is unknown");
}

/// AMD's small caches: the guest has twelve on two nodes, and the nodes have different parts of them.
#[test]
fn caches_of_a_guest_are_each_on_one_node() {
    let mut host = with_processor("epyc-7451-x2", Some(1));
    host.memory.nodes = (0..2).map(|node| (node, Size::from_mib(64 << 10))).collect();
    let request = request(Request { cpus: Some(Cpus::Count(72)), memory: "9G".parse().ok(), ..Request::default() });
    let (xml, _) = new(&host, &request, &NEW);
    assert_eq!(cells_of(&xml), ["0: vCPUs 0-23, 3 GiB of node 0", "1: vCPUs 24-71, 6 GiB of node 1"], "{xml}");
    has(&xml, &["<topology sockets='1' cores='3' threads='2' dies='12'/>"]);
}

#[test]
fn cores_of_a_domain_that_may_run_beside_it_are_said() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let (xml, resolved) = new(&host, &request(Request::default()), &NEW);
    let (spec, own) = (resolved.spec, domain_xml::taken(&Document::parse(&xml).unwrap(), &host));
    let other = |cpu: u32, bus: &str| {
        let pin = format!("<cputune><vcpupin vcpu='0' cpuset='{cpu}'/></cputune>");
        let hostdev = format!("<hostdev type='pci'><source><address domain='0' bus='{bus}' slot='0' function='0'/></source></hostdev>");
        let option = format!("<q:commandline><q:arg value='-device'/><q:arg value='vfio-pci,host={bus}:00.0'/></q:commandline>");
        [format!("<devices>{hostdev}</devices>"), option].map(|device| {
            let namespace = "http://libvirt.org/schemas/domain/qemu/1.0";
            let document = Document::parse(&format!("<domain xmlns:q='{namespace}'>{pin}{device}</domain>"));
            domain::OtherDomain { name: "other".to_owned(), is_running: false, documents: vec![document] }
        })
    };
    for other in other(1, "09") {
        let said = domain::of_neighbours(&spec, &own, std::slice::from_ref(&other)).unwrap().message;
        assert!(said.ends_with("'other' uses 1"), "{said}");
        // Beside it, others are chosen; not beside one with the same card.
        let placed = |neighbours| new(&Host { neighbours, ..host.clone() }, &request(Request::default()), &NEW).0;
        let beside = placed(domain::neighbours(&[other]));
        assert!(beside.contains("<vcpupin vcpu='0' cpuset='2'/>"), "{beside}");
    }
    let of_one_card = Neighbour { functions: ["01:00.0".parse().unwrap()].into(), cpus: "1".parse().unwrap() };
    has(&new(&Host { neighbours: vec![of_one_card], ..host.clone() }, &request(Request::default()), &NEW).0, &["vcpu='0' cpuset='1'"]);
    // One that may run on many has none for itself, and is given some.
    let wide = Document::parse("<domain><vcpu cpuset='0-7'>2</vcpu></domain>");
    let wide = domain::OtherDomain { name: "wide".to_owned(), is_running: false, documents: vec![wide] };
    assert!(domain::neighbours(std::slice::from_ref(&wide)).iter().all(|other| other.cpus.0.is_empty()));
    let remedy = domain::of_neighbours(&spec, &own, &[wide]).unwrap().remedy;
    assert!(remedy.ends_with("vgapt define wide --pin"), "{remedy}");
    // These have the same card, the others a core of the host's.
    for other in other(1, "01").into_iter().chain(other(0, "09")) {
        assert_eq!(domain::of_neighbours(&spec, &own, &[other]), None);
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    let hybrid = with_processor("core-i7-1370p", None);
    let any = Tuning { core_kind: Some(CoreKind::Any), ..Tuning::default() };
    let mixed = request(Request { cpus: Some(Cpus::Count(12)), tuning: any, ..Request::default() });
    assert!(codes(&new(&hybrid, &mixed, &NEW).1).contains(&"threads-as-cores"));
    let large = request(Request { cpus: Some(Cpus::Count(8)), ..Request::default() });
    assert!(!codes(&new(&hybrid, &large, &NEW).1).contains(&"threads-as-cores"));
    for (kind, named) in [(Some(CoreKind::Efficient), Some("performance")), (None, Some("efficiency")), (Some(CoreKind::Any), None)] {
        let tuning = Tuning { core_kind: kind, ..Tuning::default() };
        let too_many = request(Request { cpus: Some(Cpus::Count(40)), tuning, ..Request::default() });
        let findings = new(&hybrid, &too_many, &NEW).1.findings;
        let said = &findings.iter().find(|finding| finding.code == "not-pinned").unwrap();
        let kinds = ["performance", "efficiency"].into_iter().find(|kind| said.remedy.contains(&format!("the {kind} cores too")));
        assert_eq!((kinds, said.message.contains("of this kind")), (named, named.is_some()), "{said:?}");
    }
    // With an odd number the last core is shared by nobody, and no core has two threads for the guest.
    let seen = "the guest sees all threads as cores, and may put two busy tasks on one core";
    let (as_threads, half) = (" and sees which threads share a core", "half-a-core");
    for (cpus, has_siblings, remedy) in [(1, false, 2), (2, false, 0), (3, true, 4), (5, true, 6)] {
        let odd = request(Request { cpus: Some(Cpus::Count(cpus)), ..Request::default() });
        let findings = new(&with_processor("ryzen-9-7950x3d", None), &odd, &NEW).1.findings;
        let said = findings.iter().find(|finding| finding.code == half);
        assert_eq!(said.map(|said| said.message.contains(seen)), (remedy > 0).then_some(has_siblings), "{cpus}");
        let has = |said: &Finding| said.remedy.contains(&format!("--cpus {remedy}")) && said.remedy.contains(as_threads) == has_siblings;
        assert!(said.is_none_or(has), "{said:?}");
    }
    let host = host("fixtures/hosts/z170-gtx960.host");
    assert!(codes(&new(&host, &Request::default(), &NEW).1).contains(&"no-display"));
    assert!(!codes(&new(&host, &request(Request::default()), &NEW).1).contains(&"no-display"));
    let codes_of = |request: Request| codes(&new(&host, &request, &NEW).1);
    let extras = |extras: Extras| Request { extras, ..Request::default() };
    let shares = |shares: &[&str]| extras(Extras { share: shares.iter().map(|share| (*share).to_owned()).collect(), ..Extras::default() });
    assert!(codes_of(shares(&["/a/games", "/b/games"])).contains(&"same-share"));
    assert!(codes_of(shares(&["/a=a-name-that-has-more-than-36-letters-in-it"])).contains(&"long-share"));
    assert!(!codes_of(shares(&["/a/games", "/b/games=others"])).iter().any(|code| code.ends_with("-share")));
    assert!(codes_of(extras(Extras { mdev: vec!["1234".into()], ..Extras::default() })).contains(&"no-uuid"));
    assert!(codes_of(extras(Extras { rom: Some("/x".into()), ..Extras::default() })).contains(&"no-card"));
    assert!(codes_of(Request { disk: vec!["/a".into(), "/a".into()], ..Request::default() }).contains(&"one-disk-twice"));
    assert!(codes_of(Request { memory: "8".parse().ok(), ..Request::default() }).contains(&"too-little-memory"));
    for (title, is_refused) in
        [("Spiele – 100% <ok>", false), ("", true), (" ", true), ("a\nb", true), ("a\u{1b}", true), ("\u{fffe}", true)]
    {
        assert_eq!(codes_of(Request { title: Some(title.into()), ..Request::default() }).contains(&"not-a-title"), is_refused, "{title:?}");
    }
    let without_spice = Libvirt { graphics: Some(["vnc".to_owned()].into()), ..NEW };
    for (display, is_refused) in [(Display::Spice, true), (Display::Vnc, false), (Display::None, false)] {
        let wish = extras(Extras { display: Some(display), ..Extras::default() });
        assert_eq!(codes(&new(&host, &wish, &without_spice).1).contains(&"no-such-window"), is_refused, "{display:?}");
    }
    for (text, is_refused) in [("two\nlines", false), ("", true), ("a\u{1b}", true), ("a\r", true)] {
        let codes = codes_of(Request { description: Some(text.into()), ..Request::default() });
        assert_eq!(codes.contains(&"not-a-description"), is_refused, "{text:?}");
    }
    assert!(codes_of(Request { cpus: Some(Cpus::Count(300)), ..Request::default() }).contains(&"too-many-cpus"));
    let tuning = Tuning { hugepage_size: "3M".parse().ok(), ..Tuning::default() };
    assert!(codes_of(Request { hugepages: true, tuning, ..Request::default() }).contains(&"no-such-hugepages"));
    let size =
        |hugepages| Request { hugepages, tuning: Tuning { hugepage_size: "2M".parse().ok(), ..Tuning::default() }, ..Request::default() };
    assert_eq!([false, true].map(|hugepages| codes_of(size(hugepages)).contains(&"no-hugepages")), [true, false]);
    let moved = |pin, no_pin, move_interrupts| {
        codes_of(request(Request { tuning: Tuning { pin, no_pin, move_interrupts, ..Tuning::default() }, ..Request::default() }))
    };
    for (pin, no_pin, asked, is_said) in [
        (false, true, Some(true), true),
        (true, false, Some(true), false),
        (false, false, Some(true), false),
        (false, true, Some(false), false),
    ] {
        assert_eq!(moved(pin, no_pin, asked).contains(&"no-pins"), is_said, "{pin} {no_pin} {asked:?}");
    }
    // Of an existing domain that is pinned already, interrupts can be moved.
    let (pinned, _) = new(&host, &request(Request::default()), &NEW);
    let later = |tuning: Tuning| {
        let origin = Origin { domain: Document::parse(&pinned).unwrap(), name: "x", uri: Uri::DEFAULT, new: None };
        let base = Base::define(origin, &Request { tuning, ..Request::default() }, &Request::default());
        codes(&domain::resolve(&base, &host, &Files::default(), &NEW))
    };
    let moved = Tuning { move_interrupts: Some(true), ..Tuning::default() };
    assert!(!later(moved).contains(&"no-pins") && later(Tuning { no_pin: true, ..moved }).contains(&"no-pins"));
    // Pages of a size that libvirt cannot reach.
    let mut large = host.clone();
    large.memory.hugepages = vec![HugepagePool { page: Size::from_mib(1024), total: 16, free: 16 }];
    for (mounted, missing) in [(2, true), (1024, false)] {
        large.memory.hugetlbfs = vec![("/dev/hugepages".into(), Some(Size::from_mib(mounted)))];
        let tuning = Tuning { hugepage_size: Some(Size::from_mib(1024)), ..Tuning::default() };
        let (_, resolved) = new(&large, &request(Request { hugepages: true, tuning, ..Request::default() }), &NEW);
        assert_eq!(codes(&resolved).contains(&"no-hugetlbfs"), missing, "{mounted}");
    }
    assert!(codes_of(Request { pci: vec!["00:00.0".parse().unwrap()], ..Request::default() }).contains(&"not-an-endpoint"));
}

/// One of a pool is still there, and only what somebody took out is out.
#[test]
fn what_became_of_a_disk_is_said_as_it_is() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let (xml, _) = new(&host, &Request { disk: vec!["/a.raw".into()], ..Request::default() }, &NEW);
    let said = |xml: &str| again(xml, &host, &Request::default()).1;
    let source = "<source file='/a.raw'/>";
    assert!(xml.contains(source) && said(&xml).is_empty(), "{xml}");
    for (now, has) in [
        ("<source file='/b.raw'/>", "the domain has /b.raw"),
        ("<source pool='p' volume='v'/>", "the domain has a source without a path (pool, volume)"),
        ("", "the domain has no medium"),
    ] {
        assert_eq!(said(&xml.replace(source, now)), [format!("the disk /a.raw was requested, but {has}; this stays unchanged")]);
    }
    let without = xml.replace("ua-vgapt-disk-0", "ua-mine");
    assert_eq!(said(&without), ["the disk /a.raw was requested, but was removed by hand; this stays unchanged"]);
}

#[test]
fn a_title_that_was_changed_by_hand_stays() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let titled = |title: &str| Request { title: Some(title.to_owned()), ..Request::default() };
    let (xml, _) = new(&host, &titled("mine"), &NEW);
    let by_hand = xml.replace("<title>mine</title>", "<title>yours</title>");
    let said = "title was changed by hand to yours and stays as it is (vgapt wrote mine); use --title with a new value to change it";
    assert_eq!(again(&by_hand, &host, &titled("mine")), (by_hand.clone(), vec![said.to_owned()]));
    let (other, said) = again(&by_hand, &host, &titled("another"));
    assert!(other.contains("<title>another</title>") && said.is_empty(), "{other} {said:?}");
}

#[test]
fn threads_are_threads_on_amd_too() {
    let (amd, _) = new(&with_processor("ryzen-9-7950x3d", None), &request(Request::default()), &NEW);
    let topoext = "<feature name='topoext' policy='require'/>";
    has(&amd, &[topoext, "<topology sockets='1' cores='2' threads='2'/>"]);
    // With one thread for each core too: the guest reads there which of its cores share an L3 cache.
    let mut without_smt = with_processor("ryzen-9-7950x3d", None);
    without_smt.topology.cpus.truncate(16);
    without_smt.topology.online = "0-15".parse().unwrap();
    let (single, _) = new(&without_smt, &request(Request { cpus: Some(Cpus::Count(12)), ..Request::default() }), &NEW);
    has(&single, &[topoext, "<topology sockets='1' cores='6' threads='1' dies='2'/>"]);
    let no_pin = Tuning { no_pin: true, ..Tuning::default() };
    has(&new(&without_smt, &request(Request { tuning: no_pin, ..Request::default() }), &NEW).0, &[topoext]);
    let (intel, _) = new(&with_processor("core-i7-1370p", None), &request(Request::default()), &NEW);
    assert!(!intel.contains("topoext") && intel.contains("<evmcs state='on'/>") && !amd.contains("evmcs"), "{intel}");
}

/// QEMU shows the caches of the CPU on which it runs, with the host's numbers of threads for each.
#[test]
fn the_hosts_caches_are_shown_where_they_are_the_guests() {
    let shown = "<cache mode='passthrough'/>";
    let of = |host: &Host, cpus: u32, tuning: Tuning| {
        new(host, &request(Request { cpus: Some(Cpus::Count(cpus)), tuning, ..Request::default() }), &NEW).0
    };
    let has_them = |host: &Host, cpus: u32| of(host, cpus, Tuning::default()).contains(shown);
    let mut alike = with_processor("ryzen-9-7950x3d", None);
    // Caches of 96 and 32 MiB, cores of two kinds, and no caches known.
    assert!(!has_them(&alike, 4) && !has_them(&with_processor("core-i7-1370p", None), 4));
    assert!(!has_them(&with_processor("ryzen-ai9-hx370", None), 4));
    for cache in alike.topology.caches.iter_mut().filter(|cache| cache.level == 3) {
        cache.size = Some(Size::from_mib(32));
    }
    assert!(has_them(&alike, 4));
    let mut unknown = alike.clone();
    unknown.topology.caches.clear();
    assert!(!has_them(&unknown, 4), "unknown is not alike");
    // One thread of a core is not used, or none is there, or nothing is pinned: the guest's cores have one thread.
    assert!(!has_them(&alike, 3));
    assert!(!of(&alike, 4, Tuning { no_pin: true, ..Tuning::default() }).contains(shown));
    let mut without_smt = alike.clone();
    without_smt.topology.cpus.truncate(16);
    without_smt.topology.online = "0-15".parse().unwrap();
    let single = of(&without_smt, 4, Tuning::default());
    assert!(single.contains("cores='4' threads='1'") && !single.contains(shown), "{single}");
    // Two caches, of which the guest has five cores each: 10 threads of 16, and both numbers need four bits.
    let two = of(&alike, 20, Tuning::default());
    has(&two, &["<topology sockets='1' cores='5' threads='2' dies='2'/>", shown]);
    // It goes and comes with the pinning, and stays where only a device changes.
    let own = of(&alike, 4, Tuning::default());
    let released = again(&own, &alike, &Request { tuning: Tuning { no_pin: true, ..Tuning::default() }, ..Request::default() }).0;
    assert!(!released.contains("<cache"), "{released}");
    let pinned = again(&released, &alike, &Request { tuning: Tuning { pin: true, ..Tuning::default() }, ..Request::default() }).0;
    has(&pinned, &[shown]);
    let odd = again(&pinned, &alike, &Request { cpus: Some(Cpus::Count(3)), ..Request::default() }).0;
    assert!(!odd.contains("<cache"), "{odd}");
    let more = Request { pci: vec!["03:00.0".parse().unwrap()], ..Request::default() };
    has(&again(&pinned, &alike, &more).0, &[shown]);
    // Pins of somebody's are judged too: two caches, of which the guest sees one die.
    let apart = pinned.replace("vcpu='2' cpuset='9'", "vcpu='2' cpuset='1'").replace("vcpu='3' cpuset='25'", "vcpu='3' cpuset='17'");
    assert_ne!(apart, pinned);
    assert!(!again(&apart, &alike, &more).0.contains("<cache"));
}

#[test]
fn without_a_device_nothing_is_pinned_unless_asked() {
    let host = with_processor("ryzen-9-7950x3d", None);
    let (plain, _) = new(&host, &Request::default(), &NEW);
    assert!(!plain.contains("cputune") && !plain.contains("ioapic"), "{plain}");
    let (asked, _) = new(&host, &Request { tuning: Tuning { pin: true, ..Tuning::default() }, ..Request::default() }, &NEW);
    has(&asked, &["<vcpupin vcpu='0' cpuset='1'/>"]);
    let not = Tuning { no_pin: true, ..Tuning::default() };
    let (free, _) = new(&host, &request(Request { tuning: not, cpus: Some(Cpus::Count(6)), ..Request::default() }), &NEW);
    assert!(!free.contains("cputune") && free.contains("<topology sockets='1' cores='6' threads='1'/>"), "{free}");
}

#[test]
fn a_pinning_goes_with_the_number_and_stays_where_somebody_changed_it() {
    let host = with_processor("ryzen-9-7950x3d", None);
    let (four, _) = new(&host, &request(Request::default()), &NEW);
    assert_eq!(again(&four, &host, &Request::default()).0, four);
    let (six, _) = again(&four, &host, &Request { cpus: Some(Cpus::Count(6)), ..Request::default() });
    has(&six, &["<vcpupin vcpu='5' cpuset='19'/>", "<topology sockets='1' cores='3' threads='2'/>", "<vcpu placement='static'>6</vcpu>"]);
    let back = again(&six, &host, &Request { cpus: Some(Cpus::Count(4)), ..Request::default() }).0;
    assert!(!back.contains("vcpu='5'") && back.matches("<vcpupin ").count() == 4, "{back}");

    let no_pin = Request { tuning: Tuning { no_pin: true, ..Tuning::default() }, ..Request::default() };
    let free = again(&four, &host, &no_pin).0;
    assert!(!free.contains("cputune") && free.contains("<topology sockets='1' cores='4' threads='1'/>"), "{free}");

    // Somebody moved one: all stay, whatever number is asked for, until it is spoken of.
    let moved = four.replace("vcpu='0' cpuset='1'", "vcpu='0' cpuset='9'");
    let (kept, said) = again(&moved, &host, &Request { cpus: Some(Cpus::Count(6)), ..Request::default() });
    assert!(kept.contains("vcpu='0' cpuset='9'") && kept.matches("<vcpupin ").count() == 4, "{kept}");
    assert!(said.iter().any(|line| line.starts_with("the vCPU pinning was changed by hand and stays as it is")), "{said:?}");
    let spoken = Request { tuning: Tuning { pin: true, ..Tuning::default() }, ..Request::default() };
    has(&again(&kept, &host, &spoken).0, &["vcpu='0' cpuset='1'", "vcpu='5' cpuset='19'"]);
}

/// What a request makes of a domain whose pins somebody moved: to two whole cores, on which QEMU's own threads are now too.
fn beside_moved_pins(host: &Host, asked: &Request) -> (String, Vec<Finding>) {
    let (four, _) = new(host, &request(Request { tuning: io_threads(1), ..Request::default() }), &NEW);
    let moved = [(1, 8), (17, 24), (2, 9), (18, 25)].into_iter().enumerate().fold(four, |xml, (vcpu, (from, to))| {
        xml.replace(&format!("vcpu='{vcpu}' cpuset='{from}'"), &format!("vcpu='{vcpu}' cpuset='{to}'"))
    });
    has(&moved, &["vcpu='3' cpuset='25'", "<emulatorpin cpuset='0,3-16,19-31'/>"]);
    let origin = Origin { domain: Document::parse(&moved).unwrap(), name: "x", uri: "test:///a b", new: None };
    let base = Base::define(origin, asked, &Request::default());
    let resolved = domain::resolve(&base, host, &Files::default(), &NEW);
    (domain::merge(&base.domain, &resolved.spec).to_string(), resolved.findings)
}

fn io_threads(number: u32) -> Tuning {
    Tuning { io_threads: Some(number), ..Tuning::default() }
}

#[test]
fn what_goes_with_pins_that_stay_stays_too() {
    let host = with_processor("ryzen-9-7950x3d", None);
    let says = |findings: &[Finding], code: &str| findings.iter().find(|finding| finding.code == code).cloned();
    let of_cpus = |number| Request { cpus: Some(Cpus::Count(number)), ..Request::default() };
    let two_cores = "<topology sockets='1' cores='2' threads='2'/>";
    // A number that is the same changes nothing.
    let (same, findings) = beside_moved_pins(&host, &of_cpus(4));
    has(&same, &[two_cores, "vcpu='3' cpuset='25'"]);
    let own = says(&findings, "own-threads-on-guests-cores").unwrap();
    assert!(own.message.contains("8-9,24-25"), "{own:?}");
    let rest = "0,3-7,10-16,19-23,26-31";
    for command in ["emulatorpin x", "iothreadpin x 1"] {
        assert!(own.remedy.contains(&format!("virsh -c 'test:///a b' {command} {rest} --config")), "{own:?}");
    }
    // More would run anywhere.
    let (_, findings) = beside_moved_pins(&host, &of_cpus(8));
    let refused = says(&findings, "vcpus-without-pins").unwrap();
    assert!(refused.refuses(false) && refused.message.contains("4-7") && refused.remedy.ends_with("--cpus 8 --pin"), "{refused:?}");
    let (fewer, findings) = beside_moved_pins(&host, &of_cpus(2));
    has(&fewer, &["<topology sockets='1' cores='1' threads='2'/>", "vcpu='1' cpuset='24'"]);
    assert!(!fewer.contains("vcpu='2'") && says(&findings, "vcpus-without-pins").is_none(), "{fewer}");
    // A further I/O thread has a pin, and that goes with it.
    let (threads, _) = beside_moved_pins(&host, &Request { tuning: io_threads(2), ..Request::default() });
    has(&threads, &[two_cores, "vcpu='3' cpuset='25'", &format!("<iothreadpin iothread='2' cpuset='{rest}'/>")]);
    let one = again(&threads, &host, &Request { tuning: io_threads(1), ..Request::default() }).0;
    assert!(one.contains("iothread='1' cpuset='0,3-16,19-31'") && !one.contains("iothreadpin iothread='2'"), "{one}");
    // Who asks for none, or for vgapt's, gets that, whoever made those that are there.
    let (free, _) = beside_moved_pins(&host, &Request { tuning: Tuning { no_pin: true, ..Tuning::default() }, ..Request::default() });
    assert!(!free.contains("cputune") && free.contains("<topology sockets='1' cores='4' threads='1'/>"), "{free}");
    let (pinned, findings) = beside_moved_pins(&host, &Request { tuning: Tuning { pin: true, ..Tuning::default() }, ..Request::default() });
    has(&pinned, &[two_cores, "vcpu='3' cpuset='18'"]);
    assert!(says(&findings, "own-threads-on-guests-cores").is_none());
    // explain does not say of a pin what is no longer so.
    let document = Document::parse(&same).unwrap();
    let reasons = domain::explain(&document, &Record::of(&document).known().unwrap());
    let of_emulator = reasons.iter().find(|reason| reason.element == "cputune/emulatorpin").unwrap();
    assert!(of_emulator.why.contains("pinned by hand to some of these CPUs"), "{of_emulator:?}");
}

#[test]
fn pins_that_vgapt_did_not_make_are_removed_for_who_wants_none() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let foreign = "<domain type='kvm'><name>x</name><memory unit='KiB'>4194304</memory><vcpu cpuset='1-2'>2</vcpu><iothreads>1</iothreads>\
        <cputune><vcpupin vcpu='0' cpuset='1'/><vcpupin vcpu='1' cpuset='2'/><emulatorpin cpuset='0'/></cputune>\
        <cpu><topology sockets='1' cores='1' threads='2'/></cpu><devices/></domain>";
    let tuned = |tuning: Tuning| again(foreign, &host, &Request { tuning, ..Request::default() }).0;
    let free = tuned(Tuning { no_pin: true, ..Tuning::default() });
    assert!(!free.contains("cputune") && !free.contains("cpuset") && free.contains("cores='2' threads='1'"), "{free}");
    // Beside them a further I/O thread gets the pin of QEMU's other threads, and they are still not vgapt's.
    let two = tuned(io_threads(2)).replace("cpuset='1-2'", "");
    has(&two, &["<iothreadpin iothread='2' cpuset='0'/>", "cores='1' threads='2'"]);
    let record = serde_json::to_value(Record::of(&Document::parse(&two).unwrap()).known().unwrap()).unwrap();
    assert!(record["written"]["pinning"].is_null(), "{record}");
}

#[test]
fn a_topology_that_somebody_changed_stays_as_long_as_it_can() {
    let host = with_processor("ryzen-9-7950x3d", None);
    let (four, _) = new(&host, &request(Request::default()), &NEW);
    let flat = four.replace("cores='2' threads='2'", "cores='4' threads='1'");
    assert_ne!(flat, four);
    let tuned = |tuning: Tuning| Request { tuning, ..Request::default() };
    let number = |number| Request { cpus: Some(Cpus::Count(number)), ..Request::default() };
    for asked in [tuned(io_threads(2)), number(4), tuned(Tuning { pin: true, ..Tuning::default() })] {
        let (kept, said) = again(&flat, &host, &asked);
        has(&kept, &["cores='4' threads='1'", "<vcpupin vcpu='3' cpuset='18'/>"]);
        let is_decided = asked.tuning.io_threads.is_none();
        assert_eq!(said.iter().any(|said| said.starts_with("the guest's <topology> was changed by hand")), is_decided, "{said:?}");
        assert!(!again(&four, &host, &asked).1.iter().any(|said| said.contains("topology")));
    }
    has(&again(&flat, &host, &number(6)).0, &["cores='3' threads='2'"]);
}

/// What is taken because something better has no room is said, with the number that fits.
#[test]
fn cores_that_are_not_the_best_are_said() {
    let said = |host: &Host, cpus: u32, code: &str| {
        let (_, resolved) = new(host, &request(Request { cpus: Some(Cpus::Count(cpus)), ..Request::default() }), &NEW);
        resolved.findings.into_iter().find(|finding| finding.code == code)
    };
    let x3d = with_processor("ryzen-9-7950x3d", None);
    assert!(said(&x3d, 14, "smaller-cache").is_none());
    let smaller = said(&x3d, 16, "smaller-cache").unwrap();
    assert!(smaller.message.contains("96 MiB, which has room for only 14") && smaller.remedy.contains("--cpus 14"), "{smaller:?}");
    let compact = with_processor("ryzen-ai9-hx370", None);
    assert!(said(&compact, 6, "small-cores").is_none());
    let small = said(&compact, 8, "small-cores").unwrap();
    assert!(small.message.contains("slower cores") && small.remedy.contains("--cpus 6 fits"), "{small:?}");
    let mut isolated = host("fixtures/hosts/z170-gtx960.host");
    isolated.topology.isolated = "2-3,6-7".parse().unwrap();
    assert!(said(&isolated, 4, "not-isolated").is_none());
    let beyond = said(&isolated, 6, "not-isolated").unwrap();
    assert!(beyond.message.contains("the host CPUs 1,5 too"), "{beyond:?}");
    assert!(beyond.remedy.contains("--cpus 4") && beyond.remedy.ends_with("vgapt prepare --isolate 1-3,5-7"), "{beyond:?}");
}

/// A kind that the processor does not have is refused, and is no reason to lose pins.
#[test]
fn a_kind_of_cores_that_is_not_there_is_refused() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let efficient = Request { tuning: Tuning { core_kind: Some(CoreKind::Efficient), ..Tuning::default() }, ..Request::default() };
    let (pinned, _) = new(&host, &request(Request::default()), &NEW);
    let (kept, _) = again(&pinned, &host, &efficient);
    has(&kept, &["<vcpupin vcpu='3' cpuset='6'/>", "cores='2' threads='2'"]);
    let (_, resolved) = new(&host, &request(efficient), &NEW);
    let refused = resolved.findings.iter().find(|finding| finding.code == "no-such-cores").unwrap();
    assert!(refused.refuses(true) && refused.remedy == "leave --core-kind out", "{refused:?}");
}

#[test]
fn addresses_reach_no_further_than_the_iommu() {
    let mut host = with_processor("core-i7-1370p", None);
    host.cpu.physical_bits = Some(46);
    has(&new(&host, &request(Request::default()), &NEW).0, &["<maxphysaddr mode='passthrough'/>"]);
    host.platform.iommu_bits = Some(39);
    has(&new(&host, &request(Request::default()), &NEW).0, &["<maxphysaddr limit='39' mode='passthrough'/>"]);
    // Debian 12's libvirt has no limit.
    has(&new(&host, &request(Request::default()), &Libvirt::default()).0, &["<maxphysaddr bits='39' mode='emulate'/>"]);
}

#[test]
fn a_window_for_large_regions() {
    let mut host = with_processor("core-i7-1370p", None);
    let card = host.pci.iter_mut().find(|device| device.address == "01:00.0".parse().unwrap()).unwrap();
    card.bars = vec![Bar { index: 0, size: Size::from_mib(128 << 10), resizable: Vec::new() }];
    let (xml, _) = new(&host, &request(Request::default()), &NEW);
    has(&xml, &["<pcihole64 unit='KiB'>268435456</pcihole64>"]);
    let gone = again(&xml, &host, &Request { without: Without { no_gpu: true, ..Without::default() }, ..Request::default() }).0;
    assert!(!gone.contains("pcihole64"), "{gone}");
}

#[test]
fn memory_that_will_be_pinned_is_allocated_by_several_threads() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let immediate = "<allocation mode='immediate'/>";
    let (xml, _) = new(&host, &request(Request::default()), &NEW);
    has(&xml, &[immediate]);
    // libvirt allocates huge pages at once by itself, and nothing is pinned without a device.
    let huge = Request { hugepages: true, ..Request::default() };
    let out = Request { without: Without { no_gpu: true, ..Without::default() }, ..Request::default() };
    assert!(!new(&host, &request(huge.clone()), &NEW).0.contains("<allocation"));
    assert!(!again(&xml, &host, &huge).0.contains("<allocation"));
    assert!(!again(&xml, &host, &out).0.contains("<allocation"));
    // What somebody else decided stays.
    let (other, _) = again(&xml.replace("'immediate'", "'ondemand'"), &host, &huge);
    has(&other, &["<allocation mode='ondemand'/>"]);
    let without_huge = Request { without: Without { no_hugepages: true, ..Without::default() }, ..Request::default() };
    // The card comes after the installation, or the huge pages go: nothing was written of it before.
    for os in ["linux", "win11"] {
        let of = |options: Request| Request { os: Some(Os::from(os)), ..options };
        let (installed, _) = new(&host, &of(Request::default()), &NEW);
        assert!(!installed.contains("<allocation"), "{installed}");
        has(&again(&installed, &host, &request(Request::default())).0, &[immediate]);
        let (in_huge_pages, _) = new(&host, &of(request(huge.clone())), &NEW);
        has(&again(&in_huge_pages, &host, &without_huge).0, &[immediate]);
    }
    // A domain that vgapt did not define is not tuned.
    let foreign = "<domain type='kvm'><name>x</name><memory unit='KiB'>4194304</memory><vcpu>2</vcpu><devices/></domain>";
    assert!(!again(foreign, &host, &request(Request::default())).0.contains("<allocation"));
}

#[test]
fn a_first_card_in_a_domain_without_pinning_is_said() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let said = |xml: &str, host: &Host, request: &Request| {
        let origin = Origin { domain: Document::parse(xml).unwrap(), name: "x", uri: Uri::DEFAULT, new: None };
        let resolved = domain::resolve(&Base::define(origin, request, &Request::default()), host, &Files::default(), &NEW);
        resolved.findings.into_iter().find(|finding| finding.code == "not-pinned").map(|finding| finding.remedy)
    };
    let (installed, _) = new(&host, &Request::default(), &NEW);
    let card = request(Request::default());
    assert!(said(&installed, &host, &card).is_some_and(|remedy| remedy.contains("vgapt define x --pin")));
    // Not where it is pinned, or is not to be, or cannot be; and not of each later device.
    let tuned = |tuning: Tuning| Request { tuning, ..card.clone() };
    assert_eq!(said(&installed, &host, &tuned(Tuning { pin: true, ..Tuning::default() })), None);
    assert_eq!(said(&installed, &host, &tuned(Tuning { no_pin: true, ..Tuning::default() })), None);
    let (pinned, _) = new(&host, &Request { tuning: Tuning { pin: true, ..Tuning::default() }, ..Request::default() }, &NEW);
    assert_eq!(said(&pinned, &host, &card), None);
    let mut one_core = host.clone();
    one_core.topology.cpus.truncate(1);
    assert_eq!(said(&installed, &one_core, &card), None);
    let (with_card, _) = again(&installed, &host, &card);
    let second = Request { pci: vec!["03:00.0".parse().unwrap()], ..Request::default() };
    assert_eq!(said(&with_card, &host, &second), None);
    has(&again(&with_card, &host, &Request { tuning: Tuning { pin: true, ..Tuning::default() }, ..Request::default() }).0, &["<vcpupin "]);
}

#[test]
fn the_size_of_huge_pages_fits() {
    let mut host = with_processor("ryzen-9-7950x3d", None);
    let huge = request(Request { hugepages: true, ..Request::default() });
    assert!(!new(&host, &huge, &NEW).0.contains("<page "));
    host.memory.hugepages.push(HugepagePool { page: Size::from_mib(1024), total: 16, free: 16 });
    host.memory.hugepages.retain(|pool| pool.page != Size::from_mib(1024) || pool.free > 0);
    host.memory.hugetlbfs.push(("/dev/hugepages1G".into(), Some(Size::from_mib(1024))));
    let (xml, _) = new(&host, &huge, &NEW);
    has(&xml, &["<page size='1048576' unit='KiB'/>"]);
    let out = Request { without: Without { no_hugepages: true, ..Without::default() }, ..Request::default() };
    assert!(!again(&xml, &host, &out).0.contains("hugepages/>") && !again(&xml, &host, &out).0.contains("<page "));
}

/// Free pages of 1 GiB: on all nodes, and on those of which it is known.
fn free_large_pages(host: &mut Host, all: u64, nodes: &[u64]) {
    let pool = |free: u64| HugepagePool { page: Size::from_mib(1024), total: free, free };
    host.memory.hugepages.retain(|pool| pool.page != Size::from_mib(1024));
    host.memory.hugepages.push(pool(all));
    host.memory.node_hugepages = (0..).zip(nodes).map(|(node, free)| NodePool { node, pool: pool(*free) }).collect();
}

/// Pages of 1 GiB on the wrong node cannot be moved, and rarely reserved after the boot.
#[test]
fn large_pages_are_used_where_the_guests_nodes_have_them() {
    const LARGE: &str = "<page size='1048576' unit='KiB'/>";
    let mut host = with_processor("xeon-6140-x2", Some(1));
    host.memory.nodes = vec![(0, Size::from_mib(384 << 10)), (1, Size::from_mib(384 << 10))];
    host.memory.hugetlbfs = vec![("/dev/hugepages1G".into(), Some(Size::from_mib(1024)))];
    let of = |cpus: u32, memory: &str| {
        let cpus = Some(Cpus::Count(cpus));
        request(Request { cpus, memory: memory.parse().ok(), hugepages: true, ..Request::default() })
    };
    for (free, cpus, memory, is_large) in [
        // A guest on the card's node, 1.
        (&[48, 48][..], 8, "96G", false),
        (&[0, 96], 8, "96G", true),
        (&[96, 0], 8, "96G", false),
        (&[8, 40], 8, "40G", true),
        // Unknown is not free.
        (&[], 8, "40G", false),
        // On both nodes: half of it from each.
        (&[48, 48], 64, "96G", true),
        (&[32, 64], 64, "96G", false),
        (&[48], 64, "96G", false),
    ] {
        free_large_pages(&mut host, 96, free);
        let (xml, _) = new(&host, &of(cpus, memory), &NEW);
        assert_eq!(xml.contains(LARGE), is_large, "{cpus} vCPUs, {memory}, free {free:?}: {xml}");
    }
    // Without a pinning, from any node.
    free_large_pages(&mut host, 96, &[48, 48]);
    let tuning = Tuning { no_pin: true, ..Tuning::default() };
    let (xml, _) = new(&host, &Request { tuning, ..of(8, "96G") }, &NEW);
    assert!(xml.contains(LARGE) && !xml.contains("numatune"), "{xml}");
    // More memory than the node has pages for, later; and less again.
    free_large_pages(&mut host, 96, &[48, 48]);
    let (xml, _) = new(&host, &of(8, "48G"), &NEW);
    has(&xml, &[LARGE, "<memory mode='strict' nodeset='1'/>"]);
    let (more, _) = again(&xml, &host, &Request { memory: "49G".parse().ok(), ..Request::default() });
    assert!(!more.contains("<page "), "{more}");
    has(&again(&more, &host, &Request { memory: "40G".parse().ok(), ..Request::default() }).0, &[LARGE]);
    // Somebody else's node counts.
    let by_hand = xml.replace("mode='strict' nodeset='1'", "mode='strict' nodeset='0'");
    free_large_pages(&mut host, 96, &[0, 96]);
    let (kept, _) = again(&by_hand, &host, &Request { memory: "40G".parse().ok(), ..Request::default() });
    assert!(kept.contains("nodeset='0'") && !kept.contains("<page "), "{kept}");
}

/// A size that the user names is written, and what its node lacks is said.
#[test]
fn large_pages_that_a_node_lacks_are_said() {
    let mut host = with_processor("xeon-6140-x2", Some(1));
    host.memory.nodes = vec![(0, Size::from_mib(384 << 10)), (1, Size::from_mib(384 << 10))];
    host.memory.hugetlbfs = vec![("/dev/hugepages1G".into(), Some(Size::from_mib(1024)))];
    free_large_pages(&mut host, 96, &[48, 48]);
    host.platform.kernel = Some("6.12.48".into());
    let tuning = Tuning { hugepage_size: Some(Size::from_mib(1024)), ..Tuning::default() };
    let wish = |cpus| {
        let cpus = Some(Cpus::Count(cpus));
        request(Request { cpus, memory: "96G".parse().ok(), hugepages: true, tuning, ..Request::default() })
    };
    let said = |host: &Host, cpus: u32| {
        let (_, resolved) = new(host, &wish(cpus), &NEW);
        let found = resolved.findings.into_iter().find(|finding| finding.code == "too-few-hugepages");
        found.map(|finding| (finding.message, finding.remedy))
    };
    let (message, remedy) = said(&host, 8).unwrap();
    assert_eq!(message, "96 huge pages of 1 GiB are needed on NUMA node 1, but only 48 are free");
    assert_eq!(remedy, "reserve them at boot: hugepagesz=1024M hugepages=1:96 on the kernel command line");
    assert_eq!(said(&host, 64), None, "half of it is from each node");
    host.platform.kernel = Some("5.14.0-570.el9".into());
    assert!(said(&host, 8).unwrap().1.contains(" hugepages=96 "));
    free_large_pages(&mut host, 95, &[]);
    let (message, _) = said(&host, 64).unwrap();
    assert_eq!(message, "96 huge pages of 1 GiB are needed, but only 95 are free");
    free_large_pages(&mut host, 96, &[]);
    assert_eq!(said(&host, 64), None, "where they are is unknown");
}

/// The number for all nodes would be divided among them.
#[test]
fn pages_that_a_node_lacks_are_reserved_there() {
    let mut host = with_processor("xeon-6140-x2", Some(1));
    host.memory.nodes = vec![(0, Size::from_mib(384 << 10)), (1, Size::from_mib(384 << 10))];
    let page = Size::from_mib(2);
    host.memory.default_hugepage = Some(page);
    let pool = |total, free| HugepagePool { page, total, free };
    host.memory.hugepages = vec![pool(10_192, 10_000)];
    host.memory.node_hugepages = [(0, pool(8192, 8192)), (1, pool(2000, 1808))].map(|(node, pool)| NodePool { node, pool }).into();
    let wish = request(Request { cpus: Some(Cpus::Count(8)), memory: "16G".parse().ok(), hugepages: true, ..Request::default() });
    let (_, resolved) = new(&host, &wish, &NEW);
    let found = resolved.findings.into_iter().find(|finding| finding.code == "too-few-hugepages").unwrap();
    // What others use there stays theirs.
    let at = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";
    assert_eq!(found.remedy, format!("before the domain starts: echo 8384 > {at}"), "{found:?}");
}

/// Each profile on each recorded machine: all that is written has a reason, a second time changes nothing.
fn hiding(os: &str, hide_kvm: Option<bool>) -> Request {
    request(Request { os: Some(Os::from(os)), tuning: Tuning { hide_kvm, ..Tuning::default() }, ..Request::default() })
}

#[test]
fn linux_sees_kvm_and_windows_does_not_unless_asked() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let xml = |os, hide_kvm| new(&host, &hiding(os, hide_kvm), &NEW).0;
    let (hint, hidden, shown) = ("<hint-dedicated state='on'/>", "<hidden state='on'/>", "<hidden state='off'/>");
    let linux = xml("linux", None);
    has(&linux, &[hint, "<poll-control state='on'/>", "tickpolicy='discard'"]);
    assert!(!linux.contains("<hidden "), "{linux}");
    let windows = xml("win11", None);
    assert!(windows.contains(hidden) && !windows.contains(hint), "{windows}");
    let odd = [xml("linux", Some(true)), xml("win11", Some(false))];
    assert!(odd[0].contains(hidden) && !odd[0].contains(hint), "{}", odd[0]);
    assert!(odd[1].contains(shown) && !odd[1].contains(hint), "{}", odd[1]);
    // It is told of no hypervisor at all, so that showing KVM is refused.
    for (os, hide_kvm, is_refused) in
        [("win7", Some(false), true), ("win7", Some(true), false), ("win7", None, false), ("win10", Some(false), false)]
    {
        let (_, resolved) = new(&host, &hiding(os, hide_kvm), &NEW);
        let said = resolved.findings.iter().find(|finding| finding.code == "hidden-anyway");
        assert_eq!(said.is_some_and(|finding| finding.refuses(true)), is_refused, "{os} {hide_kvm:?}");
    }
    let seven = xml("win7", Some(false));
    assert!(seven.contains(shown) && !seven.contains(hint), "{seven}");
    // Later, and another card is no reason to take the hint away.
    let (later, _) = again(&linux, &host, &hiding("linux", Some(true)));
    assert!(later.contains(hidden) && !later.contains(hint), "{later}");
    let (without_card, _) =
        again(&linux, &host, &Request { without: Without { no_gpu: true, ..Without::default() }, ..Request::default() });
    has(&without_card, &[hint]);
    let (unpinned, _) = again(&linux, &host, &Request { tuning: Tuning { no_pin: true, ..Tuning::default() }, ..Request::default() });
    assert!(!unpinned.contains(hint), "{unpinned}");
}

/// Spinlocks of Windows are for processors that are shared, the hints of Linux for those that are not.
#[test]
fn what_depends_on_the_pinning_goes_with_it() {
    let host = host("fixtures/hosts/z170-gtx960.host");
    let tuned = |pin: bool, no_pin: bool| Request { tuning: Tuning { pin, no_pin, ..Tuning::default() }, ..Request::default() };
    let (pin, no_pin) = (tuned(true, false), tuned(false, true));
    let of = |os: &str, tuning: &Request| new(&host, &request(Request { os: Some(Os::from(os)), ..tuning.clone() }), &NEW).0;
    let spinlocks = "<spinlocks retries='8191' state='on'/>";
    for os in ["win10", "win11"] {
        let (own, shared) = (of(os, &Request::default()), of(os, &no_pin));
        assert!(!own.contains("spinlocks") && shared.contains(spinlocks), "{os}");
        let released = again(&own, &host, &no_pin).0;
        has(&released, &[spinlocks, "<vapic state='on'/>"]);
        let (pinned, by_hand) = again(&shared, &host, &pin);
        assert!(!pinned.contains("spinlocks") && pinned.contains("<vapic state='on'/>") && by_hand.is_empty(), "{pinned} {by_hand:?}");
        has(&again(&pinned, &host, &no_pin).0, &[spinlocks]);
        assert_eq!(again(&released, &host, &Request { memory: "8G".parse().ok(), ..Request::default() }).0.matches(spinlocks).count(), 1);
        // What somebody changed stays, and pins that stay keep what belongs to them.
        let other = shared.replace("retries='8191'", "retries='4095'");
        has(&again(&other, &host, &pin).0, &["<spinlocks retries='4095' state='on'/>"]);
        let moved = own.replace("vcpu='0' cpuset='1'", "vcpu='0' cpuset='3'");
        assert_ne!(moved, own);
        let kept = again(&moved, &host, &Request { cpus: Some(Cpus::Count(2)), ..Request::default() }).0;
        assert!(kept.contains("<vcpupin vcpu='0' cpuset='3'/>") && !kept.contains("spinlocks"), "{kept}");
    }
    for os in ["win8.1", "win7"] {
        assert!(!again(&of(os, &Request::default()), &host, &no_pin).0.contains("spinlocks"), "{os}");
    }
    let hints = ["<hint-dedicated state='on'/>", "<poll-control state='on'/>"];
    let shared = of("linux", &no_pin);
    assert!(!hints.iter().any(|hint| shared.contains(hint)), "{shared}");
    let pinned = again(&shared, &host, &pin).0;
    has(&pinned, &hints);
    let released = again(&pinned, &host, &no_pin).0;
    assert!(!hints.iter().any(|hint| released.contains(hint)), "{released}");
}

#[test]
fn a_guest_trusts_its_clock_where_the_host_does() {
    let steady = host("fixtures/hosts/z170-gtx960.host");
    assert!(steady.cpu.has_steady_tsc(), "{:?}", steady.cpu);
    let trusts = |xml: &str| {
        let parts = ["migratable='off'", "<feature name='invtsc' policy='require'/>"].map(|part| xml.contains(part));
        assert_eq!(parts[0], parts[1], "{xml}");
        parts[0]
    };
    let of = |host: &Host, request: &Request| new(host, request, &NEW).0;
    let windows = of(&steady, &request(Request::default()));
    assert!(trusts(&windows), "{windows}");
    assert!(!trusts(&of(&steady, &Request::default())), "a domain without a device can be saved");
    let mut other = steady.clone();
    other.cpu.tsc_keeps_time = Some(false);
    assert!(!trusts(&of(&other, &request(Request::default()))), "the kernel has found it unsteady");
    other = steady.clone();
    other.cpu.flags.remove("nonstop_tsc");
    assert!(!trusts(&of(&other, &request(Request::default()))), "it stops");
    let (without_card, _) =
        again(&windows, &steady, &Request { without: Without { no_gpu: true, ..Without::default() }, ..Request::default() });
    assert!(!trusts(&without_card), "{without_card}");
    // Somebody's own feature is not vgapt's to require something of.
    let own = windows.replace("<feature name='invtsc' policy='require'/>", "<feature name='invtsc' policy='disable'/>");
    let (kept, said) = again(&own, &steady, &request(Request { pci: vec!["03:00.0".parse().unwrap()], ..Request::default() }));
    assert!(kept.contains("<feature name='invtsc' policy='disable'/>"), "{kept}");
    assert!(said.iter().any(|said| said.contains("processor features")), "{said:?}");
}

#[test]
fn every_profile_on_every_machine_is_explained_and_stays() {
    let mut files: Vec<PathBuf> = ["fixtures/hosts", "fixtures/processors"]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "host"));
    files.sort();
    for file in files {
        let host = host(&file);
        let gpu: Vec<_> = vgapt::model::Card::all(&host).into_iter().map(|card| domain::GpuChoice::At(card.address)).take(1).collect();
        for os in ["win11", "win10", "win8.1", "win7", "linux"] {
            let (sound, display) = (Some(domain::Sound::PipeWire), Some(Display::Spice));
            let extras = Extras { share: vec!["/srv/x".into()], sound, display, ..Extras::default() };
            let title = Some("A title".to_owned());
            let tuning = Tuning { hide_kvm: Some(os == "linux"), io_threads: Some(2), ..Tuning::default() };
            let request =
                Request { gpu: gpu.clone(), os: Some(Os::from(os)), title, extras, hugepages: true, tuning, ..Request::default() };
            let (xml, _) = new(&host, &request, &NEW);
            let what = format!("{os} on {}", file.display());
            assert_eq!(again(&xml, &host, &Request::default()).0, xml, "{what}");
            assert_eq!(again(&xml, &host, &request).0, xml, "{what}");
            let document = Document::parse(&xml).unwrap();
            let record = Record::of(&document).known().unwrap();
            let reasons = domain::explain(&document, &record);
            for (at, reason) in reasons.iter().enumerate() {
                let is_same = |other: &domain::Reason| (&other.element, &other.says) == (&reason.element, &reason.says);
                assert!(!reasons[..at].iter().any(is_same) || reason.element.starts_with("devices/"), "{what}: twice: {reason:?}");
            }
            let json = serde_json::to_value(&record).unwrap();
            for (path, _) in json["written"].as_object().unwrap().values().flat_map(|part| part.as_object().unwrap()) {
                assert!(reasons.iter().any(|reason| reason.element == *path && !reason.changed), "{what}: no reason for {path}");
            }
            assert_eq!(xml.contains("<tpm "), os == "win11", "{what}");
            assert_eq!(xml.contains("<hyperv "), os.starts_with("win") && os != "win7", "{what}");
            let shares_cores = !xml.contains("<vcpupin ");
            assert_eq!(xml.contains("<spinlocks "), shares_cores && (os == "win11" || os == "win10"), "{what}");
        }
    }
}
