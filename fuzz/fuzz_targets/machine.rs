//! All that is read of a machine, from files with any content: a capture in which a line that is none belongs to the file before it.

use std::collections::BTreeSet;

use vgapt::discovery::{self, Scope};
use vgapt::failure::{self, Run};
use vgapt::host::{self, Bind, Hugepages, PackageUse, PageSize, Shares, Wanted};
use vgapt::measure::{self, Subject};
use vgapt::model::{Clocks, ExitReasons, Host, OwnPins, PciAddress, Reading, Setup, Size, SmbShare, Surroundings};
use vgapt::output::{self, Detail, PlanView};
use vgapt::passthrough;
use vgapt::readiness::{self, Input};
use vgapt::root::{Capture, Root};
use vgapt::topology::{self, CoreKinds, Count, PinningRequest};

/// The hardware around files that name none.
const HARDWARE: &str = include_str!("../../fixtures/distributions/machine.part");
/// The domain and the process that files of `/proc` and logs are of.
const NAME: &str = "guest";
const QEMU: u32 = 4242;

fn capture(bytes: &[u8]) -> Option<Capture> {
    let text = String::from_utf8_lossy(bytes);
    let is_line = |line: &str| {
        line.is_empty()
            || line.starts_with(['[', '|', '\\', '#'])
            || [" = ", " |", " -> ", " ? ", " % "].iter().any(|sign| line.contains(sign))
    };
    let lines = text.lines().skip(1).map(|line| if is_line(line) { line.to_owned() } else { format!("| {line}") });
    let text: String = lines.map(|line| line + "\n").collect();
    Capture::parse(&format!("vgapt capture 1\n{text}")).ok()
}

/// A machine with these files.
fn machine(bytes: &[u8]) -> Option<Root> {
    let mut capture = capture(bytes)?;
    let known: BTreeSet<String> = capture.entries().map(|(path, _)| path.to_owned()).collect();
    if !known.iter().any(|path| path.starts_with("/sys/bus/pci/devices/")) {
        let hardware = Capture::parse(HARDWARE).expect("the hardware is a capture");
        for (path, entry) in hardware.entries().filter(|(path, _)| !known.contains(*path)) {
            capture.add(path, entry.node.clone(), Some(entry.mode));
        }
    }
    Some(Root::from(capture))
}

/// What `list`, `check`, `topology`, `reset` and `capture` read and decide, and the plans of `prepare`.
pub(crate) fn host(bytes: &[u8]) {
    let Some(root) = machine(bytes) else { return };
    let host = discovery::read(&root, Scope::All);
    let cards = passthrough::assess(&host);
    let setup = discovery::setup(&root, &host);
    let mut observed = discovery::observe(&root, &host, &setup, true);
    let functions: Vec<PciAddress> = cards.iter().flat_map(|card| card.functions.iter().copied()).collect();
    observed.roms = discovery::roms(&root, &functions);
    let meant = readiness::meant(&host, &setup, &[]);
    for (cards, bind) in [(&meant, None), (&meant, Some(Bind::Boot)), (&cards, Some(Bind::Start))] {
        let input = Input { host: &host, setup: &setup, observed: &observed, cards, bind, noted: &[], session: false };
        output::checks(&readiness::check(&input), Detail::More);
        if let Some(kernel) = readiness::next_kernel(&host, &setup) {
            output::checks(&readiness::check_next(&input, &kernel), Detail::More);
        }
    }
    plans(&host, &setup, &functions);
    output::cards(&host, &cards);
    output::card_details(&host, &cards);
    let domains = discovery::functions_of_domains(&root);
    output::Listing::answer(host.clone(), cards, passthrough::shared_out(&host, &domains)).document(Some("list"), output::Form::Indented);
    for count in [1, 3, 8] {
        drop(topology::pin(&host.topology, &PinningRequest { count: Count::Exactly(count), kinds: CoreKinds::default(), node: None }));
    }
    discovery::uses(Some(&root));
    discovery::resetting_bridges(&root, &host);
    let (redacted, _) = discovery::capture(root);
    let written = redacted.to_string();
    assert_eq!(Capture::parse(&written).expect("what is captured can be parsed").to_string(), written);
}

/// All that `prepare` can be asked for.
fn plans(host: &Host, setup: &Setup, functions: &[PciAddress]) {
    let shares = Shares {
        shares: vec![SmbShare { folder: "/srv/it".into(), name: "it".into(), owner: Some("it".into()) }],
        network: "default".into(),
    };
    let memory = Size::from_mib(8192);
    let all = |page: PageSize| Wanted {
        functions: functions.to_vec(),
        hugepages: Some(Hugepages { memory, page }),
        isolate: "0-1".parse().ok(),
        install: Some(PackageUse::ALL.into()),
        shares: shares.clone(),
        kvmfr: Some(64),
        ..Wanted::default()
    };
    for wanted in
        [all(PageSize::Mib2), Wanted { bind: Bind::Start, ..all(PageSize::Gib1) }, Wanted { passes_none: true, ..Wanted::default() }]
    {
        let plan = host::plan(host, setup, &wanted);
        PlanView { plan: &plan, bound: "", is_live: false }.details();
        for write in &plan.writes {
            assert!(write.before != write.after, "{} would be written as it is", write.path);
        }
    }
    drop(host::made_at_boot(setup));
    host::others(host, setup);
    host::bound(setup);
}

/// What `measure` reads of a QEMU that runs, and of drivers that hang.
pub(crate) fn running(bytes: &[u8]) {
    let Some(root) = machine(bytes) else { return };
    let host = discovery::read(&root, Scope::All);
    let functions: Vec<PciAddress> = host.pci.iter().map(|device| device.address).collect();
    for hang in discovery::hangs(&root).unwrap_or_default() {
        discovery::evidence(&root, &hang);
    }
    for pid in [QEMU, 1] {
        let Ok(Some(sample)) = discovery::sample(&root, pid, &functions, &host.topology.online) else { continue };
        let Ok(Some(mut later)) = discovery::sample(&root, pid, &functions, &host.topology.online) else { continue };
        later.at += std::time::Duration::from_secs(5);
        let samples = [sample, later];
        let pins = host.topology.online.0.iter().map(|cpu| (*cpu, "2".parse().unwrap_or_default())).collect();
        let request = PinningRequest { count: Count::Exactly(2), kinds: CoreKinds::default(), node: None };
        let subject = Subject {
            name: NAME,
            pins: Ok(pins),
            own_pins: Ok(OwnPins { emulator: Some(host.topology.isolated.clone()), ..OwnPins::default() }),
            online: host.topology.online.clone(),
            nodes: host.topology.cpus.iter().filter_map(|cpu| Some((cpu.cpu, cpu.node?))).collect(),
            cells: Ok(Vec::new()),
            function_nodes: host.pci.iter().filter_map(|device| Some((device.address, device.numa_node?))).collect(),
            isolated: host.topology.isolated.clone(),
            tickless: host.topology.online.clone(),
            clocks: Clocks::default(),
            hides_cores: false,
            threads: 2,
            of_a_cache: Some(2),
            pinnable: topology::pin(&host.topology, &request).map_err(|_| None),
            moves_interrupts: Some(true),
            fixed: Vec::new(),
            left_interrupts: Vec::new(),
            left_processes: Vec::new(),
            functions: functions.clone(),
            cores: topology::cores(&host.topology),
            memory: host.memory.total,
            own: Some(7),
            virsh: String::new(),
        };
        let cpus = measure::host_cpus(&subject, &samples);
        let read = |file: &str| root.text(&format!("/sys/kernel/tracing/events/kvm/kvm_exit/{file}")).unwrap_or_default();
        let counts = discovery::exit_reasons(&read("hist"), &read("format"));
        let time = std::time::Duration::from_secs(5);
        let table = read("hist");
        let targets = discovery::exit_targets([&table; 3]).unwrap_or_default();
        let exit_reasons = counts.map_or_else(Reading::Unknown, |counts| Reading::Known(ExitReasons { time, counts, targets }));
        let surroundings = Surroundings { exit_reasons, ..discovery::surroundings(&root, pid, &cpus) };
        if let Ok(measured) = measure::measure(&subject, &samples, surroundings) {
            output::measured(&measured, Some((&measure::changes(&measured, &measured), &measure::turns(&measured, &measured))), true);
            output::measured_svg(&measured);
            serde_json::to_string(&measured).expect("plain data serialises");
        }
    }
}

/// What `why` and `check` read of logs.
pub(crate) fn logs(bytes: &[u8]) {
    let Some(root) = machine(bytes) else { return };
    discovery::kernel_log(&root);
    let domain = discovery::domain_log(&root, &format!("/var/log/libvirt/qemu/{NAME}.log"));
    Run::last(&domain.lines);
    let mut daemon = discovery::daemon_log(&root).lines;
    let mut kernel = discovery::kernel_log_with_times(&root).lines;
    let (of_daemon, of_kernel) = discovery::journal(&root.text("/journal.json").unwrap_or_default());
    daemon.extend(of_daemon);
    kernel.extend(of_kernel);
    for active in [None, Some(true), Some(false)] {
        let answer = daemon.last().and_then(|line| Some((line.at?, line.text.as_str())));
        let input = failure::Input {
            name: NAME,
            active,
            domain: &domain.lines,
            is_domain_known: true,
            daemon: &daemon,
            kernel: &kernel,
            booted: None,
            answer,
        };
        output::why(&failure::why(&input));
    }
}
