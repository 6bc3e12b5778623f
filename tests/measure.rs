//! What costs a running domain speed is named, the worst first, from two moments of a host that is a tree.

#[path = "support/command.rs"]
mod command;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use command::{Ran, run, vgapt};
use serde_json::Value;
use tempfile::TempDir;
use vgapt::measure::{Measured, Subject};
use vgapt::model::{
    CellPlace, Clocks, CpuQuota, CpuSet, ExitReasons, ExitTarget, GuestClock, OwnPins, PciAddress, Reading, Sample, Size, Surroundings,
};
use vgapt::root::Root;
use vgapt::topology::{Core, GuestTopology, Pinning};
use vgapt::{discovery, measure};

const UUID: &str = "6b0a7c8e-93b5-4f3c-8d6e-2f1c55e0a7d1";
const QEMU: u32 = 4242;
/// The CPUs of the host; the guest's are 2 and 3.
const CPUS: u64 = 4;
/// Between the two moments, in seconds.
const WINDOW: u64 = 5;

/// A host with a domain of two virtual CPUs, in percent of the time or per second; as it should be by default.
#[derive(Clone)]
struct Machine {
    /// The host CPUs of both virtual ones in the domain.
    pins: Option<[u64; 2]>,
    /// Those that their threads may use.
    allowed: [&'static str; 2],
    /// The NUMA node of host CPUs, where there are several.
    nodes: &'static [(u32, u32)],
    /// Those that the guest sees: its virtual CPUs, and the host's nodes of its memory.
    cells: &'static [(&'static str, Option<&'static str>)],
    waited: u64,
    /// Of a process on host CPU 2.
    load: u64,
    /// Of a kernel's thread on host CPU 3.
    kernel_load: u64,
    /// Of QEMU's I/O thread on host CPU 2.
    own_load: u64,
    /// The host CPUs of its I/O thread in the domain.
    iothread: Option<&'static str>,
    /// Of the network card, on host CPU 2.
    interrupts: u64,
    moves_interrupts: Option<bool>,
    fixed: &'static [&'static str],
    exits: u64,
    /// Host time of a virtual CPU.
    host: u64,
    reserved_mib: u64,
    ordinary_mib: u64,
    speed: &'static str,
    width: u64,
    governor: &'static str,
    /// The policy for links that sleep.
    aspm: &'static str,
    /// Between the clocks of guest and host, in the whole time.
    late: Duration,
    /// How often a deep idle state of host CPU 3 is left.
    woken: u64,
    /// The cores that have several host CPUs.
    cores: &'static [&'static str],
    /// The efficiency cores, by their host CPUs, and how many virtual CPUs fit on the others where these are used instead.
    small: &'static [u32],
    /// The cores of a lower frequency of which the kernel names no kind.
    slow: &'static [u32],
    instead_of: Option<u32>,
    /// The host CPUs of the second L3 cache, how many virtual CPUs share one for the guest, and how many it would use if it was pinned.
    second_cache: &'static [u32],
    of_a_cache: Option<u32>,
    pinned_caches: usize,
    /// What limits both virtual CPUs together, in percent of a host CPU, and for how long it holds each back.
    quota: Option<(u64, u64)>,
    /// The same of the first one alone.
    own_quota: Option<(u64, u64)>,
    halt_poll_ns: u64,
    /// How many pages KSM has merged, where it works.
    merged: Option<u64>,
    /// Of a process on host CPU 0.
    beside: u64,
    /// The interrupts of the card.
    drawn: u64,
    memory_mib: u64,
    /// Of a virtual CPU, in percent.
    guest: u64,
    /// Of a core, as the guest sees it.
    threads: u32,
    /// Those that it would see if it was pinned, or how many virtual CPUs would fit.
    pinnable: Result<u32, Option<u32>>,
    /// The processes that the hook left on the guest's host CPUs.
    left: &'static [&'static str],
    /// Of the host CPUs now, where they say it; they could have 5 GHz.
    mhz: Option<u64>,
    /// What sets it.
    driver: Option<&'static str>,
    function_node: Option<u32>,
    isolated: &'static str,
    tickless: &'static str,
    hides_cores: bool,
    /// The host's time on host CPU 2 of which no thread tells.
    unseen: u64,
    /// What the card's vector is.
    vector: &'static str,
    halt_polled_ns: u64,
    clocks: Clocks,
    /// Exits to ports of emulated devices, a second.
    ports: u64,
    /// And to which, and to what else.
    targets: &'static [(ExitTarget, u64)],
    /// The flags of kswapd0.
    kernel_flags: u64,
    /// On host CPU 2, in percent of the time.
    softirqs: u64,
    pinned_mib: u64,
    /// Calls of functions on host CPU 2 by others, a second.
    calls: u64,
    /// The time of interrupts there, in percent.
    interrupt_time: u64,
    /// Further files, and what is in them.
    files: &'static [(&'static str, &'static str)],
}

const GOOD: Machine = Machine {
    pins: Some([2, 3]),
    allowed: ["2", "3"],
    nodes: &[],
    cells: &[],
    waited: 0,
    load: 0,
    kernel_load: 0,
    own_load: 0,
    iothread: None,
    interrupts: 0,
    moves_interrupts: Some(true),
    fixed: &[],
    exits: 900,
    host: 3,
    reserved_mib: 4096,
    ordinary_mib: 60,
    speed: "16.0 GT/s PCIe",
    width: 16,
    governor: "performance",
    aspm: "default",
    late: Duration::ZERO,
    woken: 30,
    cores: &[],
    small: &[],
    slow: &[],
    instead_of: None,
    second_cache: &[],
    of_a_cache: Some(2),
    pinned_caches: 1,
    quota: None,
    own_quota: None,
    halt_poll_ns: 200_000,
    merged: None,
    beside: 0,
    drawn: 200,
    memory_mib: 4200,
    guest: 50,
    threads: 1,
    pinnable: Ok(1),
    left: &[],
    mhz: None,
    driver: None,
    function_node: None,
    isolated: "",
    tickless: "",
    hides_cores: false,
    unseen: 0,
    vector: "vfio-msi[0]",
    halt_polled_ns: 0,
    clocks: Clocks { kvm: true, hyper_v: false, hpet: false },
    ports: 5,
    targets: &[],
    kernel_flags: 0x0020_0000,
    softirqs: 0,
    pinned_mib: 4200,
    calls: 0,
    interrupt_time: 0,
    files: &[],
};

impl Machine {
    /// What `/proc/stat` says then.
    fn times(&self, seconds: u64) -> String {
        let mut text = "cpu  0 0 0 0 0 0 0 0 0 0\n".to_owned();
        for cpu in 0..CPUS {
            // That of CPU 1 is another's.
            let guest = [0, 90, self.guest, self.guest][usize::try_from(cpu).unwrap()] * seconds;
            let others = match cpu {
                0 => self.beside + 2,
                2 => self.load + self.own_load + self.unseen,
                3 => self.kernel_load,
                _ => 0,
            };
            let of_2 = |percent: u64| if cpu == 2 { percent * seconds } else { 0 };
            let (interrupts, softirqs) = (of_2(self.interrupt_time), of_2(self.softirqs));
            let (user, system, idle) = (guest + 7, (self.host + others) * seconds, 40 * seconds);
            writeln!(text, "cpu{cpu} {user} 0 {system} {idle} 0 {interrupts} {softirqs} 0 {guest} 0").unwrap();
        }
        text + "intr 7\n"
    }

    /// Writes the moment after so many seconds.
    fn write(&self, root: &Path, seconds: u64) {
        let put = |path: &str, text: String| {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            // At once, as the kernel's are: a reader sees one moment or the other.
            let new = file.with_extension("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, file).unwrap();
        };
        put("proc/stat", self.times(seconds));
        put("proc/interrupts", {
            let line = |name: &str, on_2: u64, about: &str| format!(" {name}: 5 5 {} 5  {about}\n", 5 + on_2 * seconds);
            "           CPU0 CPU1 CPU2 CPU3\n".to_owned()
                + &line("45", self.interrupts, "IR-PCI-MSI 1-edge eth0")
                + &line("60", self.drawn, &format!("IR-PCI-MSI 2-edge {}(0000:01:00.0)", self.vector))
                + &line("LOC", 250, "Local timer interrupts")
                + &line("CAL", self.calls, "Function call interrupts")
                + &line("PIN", 190, "Posted-interrupt notification event")
        });
        put("proc/softirqs", format!("  CPU0 CPU1 CPU2 CPU3\n TIMER: 1 2 3 4\n NET_RX: 1 2 {} 4\n", self.softirqs * 100 * seconds));
        let thread = |pid: u32, tid: u32, name: &str, flags: u64, cpu: u64, percent: u64, guest: u64, waited: u64, allowed: &str| {
            let home = format!("proc/{pid}/task/{tid}");
            let (user, system) = (guest * seconds, percent.saturating_sub(guest) * seconds);
            // Fields 4 to 52 of proc(5) with those that are read in their places.
            let mut fields = vec![0; 49];
            for (number, value) in [(9, flags), (14, user), (15, system), (22, 100), (39, cpu), (43, guest * seconds)] {
                fields[number - 4] = value;
            }
            let fields: Vec<String> = fields.iter().map(u64::to_string).collect();
            put(&format!("{home}/stat"), format!("{tid} ({name}) S {}\n", fields.join(" ")));
            put(&format!("{home}/schedstat"), format!("{} {} 9\n", percent * seconds * 10_000_000, waited * seconds * 10_000_000));
            put(&format!("{home}/status"), format!("Cpus_allowed_list:\t{allowed}\nnonvoluntary_ctxt_switches:\t{}\n", 3 * seconds));
            let group = name
                .strip_prefix("CPU ")
                .and_then(|rest| rest.strip_suffix("/KVM"))
                .map_or("emulator".to_owned(), |vcpu| format!("vcpu{vcpu}"));
            put(&format!("{home}/cgroup"), format!("0::/machine.slice/machine-qemu.scope/libvirt/{group}\n"));
        };
        thread(QEMU, QEMU, "qemu-system-x86", 0, 0, 2, 0, 0, "0-1");
        thread(QEMU, 4243, "IO iothread1", 0, 2, self.own_load, 0, 0, "0-3");
        for (vcpu, cpu) in [(0, 2), (1, 3)] {
            let name = format!("CPU {vcpu}/KVM");
            thread(QEMU, 4250 + vcpu, &name, 0, cpu, self.guest + self.host, self.guest, self.waited, self.allowed[vcpu as usize]);
        }
        thread(77, 77, "cc1plus) 1 (x", 0, 2, self.load, 0, 0, "0-3");
        thread(78, 78, "make", 0, 0, self.beside, 0, 0, "0-3");
        thread(9, 9, "kswapd0", self.kernel_flags, 3, self.kernel_load, 0, 0, "0-3");
        // A QEMU of somebody else's, with the same name.
        put("proc/66/cmdline", "qemu-system-x86_64\0-name\0guest=it\0-uuid\0aaaaaaaa-93b5-4f3c-8d6e-2f1c55e0a7d1\0".to_owned());
        thread(66, 66, "CPU 0/KVM", 0, 1, 90, 90, 80, "1");
        put(&format!("proc/{QEMU}/cmdline"), format!("qemu-system-x86_64\0-name\0guest=it,debug-threads=on\0-uuid\0{UUID}\0"));
        put(&format!("proc/{QEMU}/status"), format!("VmPin:\t {} kB\nVmLck:\t 0 kB\n", self.pinned_mib * 1024));
        put(&format!("proc/{QEMU}/smaps_rollup"), format!("Rss: {} kB\nAnonHugePages: 0 kB\n", self.ordinary_mib * 1024));
        let huge = format!("7f0 bind:0 file=/dev/hugepages/x huge N0={} kernelpagesize_kB=2048\n", self.reserved_mib / 2);
        put(&format!("proc/{QEMU}/numa_maps"), huge);
        let kvm = format!("sys/kernel/debug/kvm/{QEMU}-17");
        for (name, rate) in
            [("exits", self.exits), ("halt_exits", self.exits / 2), ("io_exits", self.ports), ("halt_poll_success_ns", self.halt_polled_ns)]
        {
            put(&format!("{kvm}/{name}"), format!("{}\n", 1000 + rate * seconds));
        }
        self.write_limits(seconds, &put);
        let card = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";
        for (name, text) in [
            ("vendor", "0x10de".to_owned()),
            ("device", "0x1401".to_owned()),
            ("class", "0x030000".to_owned()),
            ("current_link_speed", self.speed.to_owned()),
            ("current_link_width", self.width.to_string()),
            ("max_link_speed", "16.0 GT/s PCIe".to_owned()),
            ("max_link_width", "16".to_owned()),
            ("link/l0s_aspm", "0".to_owned()),
            ("link/l1_aspm", u8::from(self.aspm != "performance").to_string()),
        ] {
            put(&format!("{card}/{name}"), text + "\n");
        }
        for (name, text) in [("max_link_speed", "16.0 GT/s PCIe"), ("max_link_width", "16")] {
            put(&format!("sys/devices/pci0000:00/0000:00:01.0/{name}"), format!("{text}\n"));
        }
        fs::create_dir_all(root.join("sys/bus/pci/devices")).unwrap();
        let link = root.join("sys/bus/pci/devices/0000:01:00.0");
        if !link.exists() {
            symlink("../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0", link).unwrap();
        }
        put("sys/module/kvm_intel/parameters/enable_apicv", "Y\n".to_owned());
        let policies = "default performance powersave".replace(self.aspm, &format!("[{}]", self.aspm));
        put("sys/module/pcie_aspm/parameters/policy", policies + "\n");
        self.write_cpus(seconds, &put);
        for (path, text) in self.files {
            put(path, (*text).to_owned());
        }
        // The last: it says that time has passed.
        put("proc/uptime", format!("{}.00 9.00\n", 1000 + seconds));
    }

    fn write_limits(&self, seconds: u64, put: &impl Fn(&str, String)) {
        let domain = "machine.slice/machine-qemu.scope/libvirt";
        for (group, quota) in [("", self.quota), ("/vcpu0", self.own_quota), ("/vcpu1", None)] {
            let (limit, held) = quota.map_or(("max".to_owned(), 0), |(percent, held)| ((percent * 1000).to_string(), held));
            put(&format!("sys/fs/cgroup/{domain}{group}/cpu.max"), format!("{limit} 100000\n"));
            put(
                &format!("sys/fs/cgroup/{domain}{group}/cpu.stat"),
                format!("nr_periods 9\nthrottled_usec {}\n", 7 + held * seconds * 10_000),
            );
        }
        put("sys/module/kvm/parameters/halt_poll_ns", format!("{}\n", self.halt_poll_ns));
        put("sys/kernel/mm/ksm/run", format!("{}\n", u8::from(self.merged.is_some())));
        put(&format!("proc/{QEMU}/ksm_merging_pages"), format!("{}\n", self.merged.unwrap_or_default()));
    }

    fn write_cpus(&self, seconds: u64, put: &impl Fn(&str, String)) {
        put("sys/devices/system/cpu/online", "0-3\n".to_owned());
        for cpu in 0..CPUS {
            let home = format!("sys/devices/system/cpu/cpu{cpu}");
            for (name, value) in
                [("core_id", cpu.to_string()), ("physical_package_id", "0".to_owned()), ("thread_siblings_list", cpu.to_string())]
            {
                put(&format!("{home}/topology/{name}"), value + "\n");
            }
            put(&format!("{home}/cpufreq/scaling_governor"), format!("{}\n", self.governor));
            if let Some(driver) = self.driver {
                put(&format!("{home}/cpufreq/scaling_driver"), format!("{driver}\n"));
            }
            if let Some(mhz) = self.mhz {
                put(&format!("{home}/cpufreq/scaling_cur_freq"), format!("{mhz}000\n"));
                put(&format!("{home}/cpufreq/cpuinfo_max_freq"), "5000000\n".to_owned());
            }
        }
        for (state, name, latency, often) in [(0, "POLL", 0, 900), (1, "C6", 133, self.woken)] {
            let home = format!("sys/devices/system/cpu/cpu3/cpuidle/state{state}");
            for (file, text) in [("name", name.to_owned()), ("latency", latency.to_string()), ("usage", (9 + often * seconds).to_string())]
            {
                put(&format!("{home}/{file}"), text + "\n");
            }
        }
    }

    fn cores(&self) -> Vec<Core> {
        let core = |first: u32| {
            let shared = self.cores.iter().map(|cpus| cpus.parse::<CpuSet>().unwrap()).find(|cpus| cpus.0.contains(&first));
            let is_efficient = self.small.contains(&first);
            Core {
                cpus: shared.map_or(vec![first], |cpus| cpus.0.into_iter().collect()),
                package: 0,
                node: 0,
                l3: usize::from(self.second_cache.contains(&first)),
                l3_kib: 32_768,
                is_efficient,
                is_low_power: false,
                cluster: 0,
                max_khz: if is_efficient || self.slow.contains(&first) { 3_300_000 } else { 5_000_000 },
            }
        };
        let all = (0..u32::try_from(CPUS).unwrap()).map(core);
        all.enumerate().filter(|(cpu, core)| core.cpus[0] as usize == *cpu).map(|(_, core)| core).collect()
    }

    fn cells(&self) -> Vec<CellPlace> {
        let place = |(number, (vcpus, nodes)): (usize, &(&str, Option<&str>))| CellPlace {
            id: number.to_string(),
            vcpus: vcpus.parse().unwrap(),
            size: None,
            nodes: nodes.map(|nodes| nodes.parse().unwrap()),
        };
        self.cells.iter().enumerate().map(place).collect()
    }

    fn pinning(&self, threads: u32) -> Pinning {
        let none = CpuSet::default;
        let guest = GuestTopology { sockets: 1, dies: 1, cores: 2 / threads, threads };
        Pinning {
            vcpus: if self.slow.contains(&0) { vec![2, 3] } else { vec![0, 1] },
            taken: none(),
            emulator: none(),
            guest,
            nodes: none(),
            caches: self.pinned_caches,
            instead_of: self.instead_of,
            larger_cache: None,
            room_isolated: None,
            room_beside: None,
        }
    }

    fn xml(&self) -> String {
        let pins: String =
            self.pins.iter().flatten().enumerate().map(|(vcpu, cpu)| format!("<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>")).collect();
        format!(
            "<domain type='test' xmlns:t='http://libvirt.org/schemas/domain/test/1.0'><name>it</name><uuid>{UUID}</uuid>\
             <memory unit='MiB'>4096</memory><vcpu>2</vcpu><cputune>{pins}</cputune><os><type>hvm</type></os><devices>\
             <hostdev mode='subsystem' type='pci' managed='yes'><source>\
             <address domain='0' bus='1' slot='0' function='0'/></source></hostdev></devices>"
        )
    }
}

/// A tree, and a libvirt that runs the domain.
struct Place {
    root: TempDir,
    node: TempDir,
    machine: Machine,
    /// The clock of the tree never goes back.
    second: AtomicU64,
}

impl Place {
    fn new(machine: Machine) -> Self {
        let place = Self { root: TempDir::new().unwrap(), node: TempDir::new().unwrap(), machine, second: AtomicU64::new(1) };
        place.machine.write(place.root.path(), 0);
        fs::write(place.node.path().join("node.xml"), format!("<node>{}</domain></node>", place.machine.xml())).unwrap();
        place
    }

    fn on(&self, arguments: &[&str]) -> Ran {
        let uri = format!("test://{}/node.xml", self.node.path().display());
        run(&mut vgapt(
            [&["--root", self.root.path().to_str().unwrap(), "-c", &uri, "measure", "it", "--seconds", "1"], arguments].concat(),
        ))
    }

    /// The same while time passes.
    fn measured(&self, arguments: &[&str]) -> Ran {
        self.while_time_passes(|| self.on(arguments))
    }

    fn while_time_passes(&self, what: impl FnOnce() -> Ran) -> Ran {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    self.machine.write(self.root.path(), self.second.fetch_add(1, Ordering::Relaxed));
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
            let ran = what();
            is_over.store(true, Ordering::Relaxed);
            ran
        })
    }

    /// The measurement of exactly five seconds; `hide` removes from the second moment.
    fn judged(&self, hide: &[&str]) -> Measured {
        let root = Root::open(self.root.path()).unwrap();
        let mut samples = Vec::new();
        for second in [0, 2, WINDOW] {
            self.machine.write(self.root.path(), second);
            for path in hide {
                let path = self.root.path().join(path);
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
            }
            samples.push(discovery::sample(&root, QEMU, &["0000:01:00.0".parse().unwrap()], &"0-3".parse().unwrap()).unwrap().unwrap());
        }
        self.judged_by(&root, &samples)
    }

    fn judged_by(&self, root: &Root, samples: &[Sample]) -> Measured {
        let subject = Subject {
            name: "it",
            pins: Ok(self.machine.pins.iter().flatten().zip(0..).map(|(cpu, vcpu)| (vcpu, cpu.to_string().parse().unwrap())).collect()),
            own_pins: Ok(OwnPins {
                emulator: None,
                iothreads: self.machine.iothread.map(|pin| (1, pin.parse().unwrap())).into_iter().collect(),
            }),
            online: "0-3".parse().unwrap(),
            nodes: self.machine.nodes.iter().copied().collect(),
            cells: Ok(self.machine.cells()),
            function_nodes: self.machine.function_node.map(|node| ("0000:01:00.0".parse().unwrap(), node)).into_iter().collect(),
            isolated: self.machine.isolated.parse().unwrap(),
            tickless: self.machine.tickless.parse().unwrap(),
            clocks: self.machine.clocks,
            hides_cores: self.machine.hides_cores,
            threads: self.machine.threads,
            pinnable: self.machine.pinnable.map(|threads| self.machine.pinning(threads)),
            of_a_cache: self.machine.of_a_cache,
            moves_interrupts: self.machine.moves_interrupts,
            fixed: self.machine.fixed.iter().map(|&number| number.to_owned()).collect(),
            left_processes: self.machine.left.iter().map(|&left| left.to_owned()).collect(),
            left_interrupts: self.machine.fixed.iter().map(|&number| format!("{number} stays")).collect(),
            functions: vec!["0000:01:00.0".parse().unwrap()],
            cores: self.machine.cores(),
            memory: Some(Size::from_mib(self.machine.memory_mib)),
            own: None,
            virsh: "virsh -c qemu:///system".to_owned(),
        };
        let cpus = measure::host_cpus(&subject, samples);
        let time = Duration::from_secs(WINDOW);
        // A virtual CPU that never left the guest is not in the kernel's table.
        let counts = |exits: &[(&str, u64)]| exits.iter().map(|(name, rate)| ((*name).to_owned(), rate * WINDOW)).collect();
        let exits = counts(&[("HLT", self.machine.exits / 2), ("IO_INSTRUCTION", self.machine.ports), ("SOMETHING_NEW", 2)]);
        let surroundings = Surroundings {
            agent: Reading::Known(GuestClock { guest: time.saturating_sub(self.machine.late), host: time }),
            exit_reasons: Reading::Known(ExitReasons {
                time,
                counts: BTreeMap::from([(4251, exits), (66, counts(&[("HLT", 9000)]))]),
                targets: BTreeMap::from([(4251, self.machine.targets.iter().map(|(target, rate)| (*target, rate * WINDOW)).collect())]),
            }),
            ..discovery::surroundings(root, QEMU, &cpus)
        };
        measure::measure(&subject, samples, surroundings).unwrap()
    }

    fn document(&self) -> Value {
        serde_json::to_value(self.judged(&[])).unwrap()
    }
}

fn codes(document: &Value, verdict: &str) -> Vec<String> {
    let all = document["judgements"].as_array().unwrap().iter();
    all.filter(|one| one["verdict"] == verdict).map(|one| one["code"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn worst(machine: Machine, code: &str, seen: &str, remedy: &str) {
    let document = Place::new(machine).document();
    let first = &document["judgements"][0];
    assert_eq!((first["verdict"].as_str(), first["code"].as_str()), (Some("costs"), Some(code)), "{document:#}");
    assert!(first["seen"].as_str().unwrap().contains(seen), "{first:#}");
    let said = [&first["command"], &first["remedy"]].map(|text| text.as_str().unwrap_or_default()).join("; ");
    let said = said.trim_matches([';', ' ']);
    assert!(said.contains(remedy) && remedy.is_empty() == said.is_empty(), "{first:#}");
    // A command is one: words stand beside it.
    assert!(first["command"].as_str().is_none_or(|command| !command.contains("; from")), "{first:#}");
}

#[test]
fn nodes_that_the_guest_does_not_see() {
    const APART: &[(u32, u32)] = &[(2, 0), (3, 1)];
    worst(
        Machine { nodes: APART, ..GOOD },
        "node",
        "on the 2 nodes of the virtual CPUs, and the guest does not see them",
        "--guest-numa yes",
    );
    // The memory is on node 0.
    worst(Machine { nodes: &[(2, 1), (3, 1)], ..GOOD }, "node", "0 % of the memory is on the node", "--pin");
    let place = |nodes, cells, verdict: &str, seen: &str| {
        let node = judged(Machine { nodes, cells, ..GOOD }, "node");
        assert!(node["verdict"] == verdict && node["seen"].as_str().unwrap().contains(seen), "{node}");
    };
    place(APART, &[("0", Some("0")), ("1", Some("1"))], "good", "is on the host's node of its virtual CPUs");
    place(APART, &[("0", Some("1")), ("1", Some("0"))], "costs", "the guest's node 0 is bound to another node");
    place(APART, &[("0", Some("0")), ("1", None)], "unknown", "the memory of the guest's node 1 is not bound to that");
    place(APART, &[("0-1", Some("0-1")), ("", Some("1"))], "good", "is on the host's node of its virtual CPUs");
    place(&[(2, 1), (3, 1)], &[("0", None), ("1", None)], "good", "the guest sees NUMA nodes of its own");
    place(APART, &[("0", Some("0-1")), ("1", Some("0-1"))], "unknown", "the memory of the guest's node 0 is not bound to that");
    let here = judged(Machine { nodes: &[(2, 0), (3, 0)], function_node: Some(0), ..GOOD }, "card-node");
    assert_eq!(here["verdict"], "good");
    worst(Machine { nodes: &[(2, 0), (3, 0)], function_node: Some(1), ..GOOD }, "card-node", "01:00.0 is on node 1", "--pin");
}

/// One of the judgements about it.
#[track_caller]
fn judged(machine: Machine, code: &str) -> Value {
    let document = Place::new(machine).document();
    let found = document["judgements"].as_array().unwrap().iter().find(|one| one["code"] == code);
    found.unwrap_or_else(|| panic!("{document:#}")).clone()
}

#[test]
fn what_a_card_says_inside_is_not_its_slot() {
    // AMD's cards and Intel's Arc have a switch of their own; the slot's link is above it.
    let behind = |vendor_of_switch: &str, inside: (&str, &str), slot: (&str, &str)| {
        let place = Place::new(GOOD);
        let devices = place.root.path().join("sys/devices/pci0000:00/0000:00:01.0");
        let card = "0000:02:00.0/0000:03:00.0/0000:04:00.0";
        let ends =
            [("0000:02:00.0", vendor_of_switch, slot), ("0000:02:00.0/0000:03:00.0", vendor_of_switch, inside), (card, "0x1002", inside)];
        for (path, vendor, (speed, width)) in ends {
            fs::create_dir_all(devices.join(path)).unwrap();
            for (file, text) in [("vendor", vendor), ("current_link_speed", speed), ("current_link_width", width)] {
                fs::write(devices.join(path).join(file), format!("{text}\n")).unwrap();
            }
            let (most_speed, most_width) = if path == "0000:02:00.0" { ("16.0 GT/s PCIe", "16") } else { inside };
            fs::write(devices.join(path).join("max_link_speed"), format!("{most_speed}\n")).unwrap();
            fs::write(devices.join(path).join("max_link_width"), format!("{most_width}\n")).unwrap();
        }
        let link = place.root.path().join("sys/bus/pci/devices/0000:01:00.0");
        fs::remove_file(&link).unwrap();
        symlink(format!("../../../devices/pci0000:00/0000:00:01.0/{card}"), place.root.path().join("sys/bus/pci/devices/0000:04:00.0"))
            .unwrap();
        let root = Root::open(place.root.path()).unwrap();
        let sample = discovery::sample(&root, QEMU, &["0000:04:00.0".parse().unwrap()], &CpuSet::default()).unwrap().unwrap();
        sample.links.iter().map(|link| (link.switch.map(PciAddress::short), link.speed, link.width)).collect::<Vec<_>>()
    };
    let inside = ("16.0 GT/s PCIe", "16");
    assert_eq!(behind("0x1002", inside, ("8.0 GT/s PCIe", "4")), [(Some("02:00.0".to_owned()), Some(8000), Some(4))]);
    assert_eq!(behind("0x1002", ("2.5 GT/s PCIe", "1"), inside), [(Some("02:00.0".to_owned()), Some(16_000), Some(16))]);
    // A switch of the board is one more link, which may be the narrow one.
    let both = [(None, Some(16_000), Some(16)), (Some("02:00.0".to_owned()), Some(8000), Some(4))];
    assert_eq!(behind("0x1022", inside, ("8.0 GT/s PCIe", "4")), both);
}

#[test]
fn what_the_host_does_for_the_guest() {
    // While the host polls, the guest has nothing to do: only the rest is a cost, of the time of a virtual CPU.
    let polling = Machine { exits: 6000, host: 28, halt_polled_ns: 500_000_000, ..GOOD };
    let exits = judged(polling, "exits");
    assert!(
        exits["verdict"] == "good" && exits["seen"].as_str().unwrap().contains("they took up to 3 % of a virtual CPU's time"),
        "{exits}"
    );
    worst(Machine { exits: 6000, host: 30, ..GOOD }, "exits", "they took up to 30 % of a virtual CPU's time", "");
    worst(Machine { exits: 6000, host: 8, ..GOOD }, "exits", "they took up to 8 % of a virtual CPU's time", "");
    // What takes most of them away depends on the clocks that the guest finds.
    let reads = Machine { exits: 6000, host: 8, ports: 4000, ..GOOD };
    let clocks = |hpet| Clocks { kvm: false, hyper_v: false, hpet };
    worst(
        Machine { clocks: clocks(true), ..reads.clone() },
        "exits",
        "of these IO_INSTRUCTION 4000",
        "vgapt define it --hide-kvm no && vgapt stop it",
    );
    let with_hpet = Clocks { hyper_v: true, ..clocks(true) };
    worst(Machine { clocks: with_hpet, ..reads.clone() }, "exits", "of these IO_INSTRUCTION 4000", "edit it; the guest has an HPET");
    worst(reads.clone(), "exits", "of these IO_INSTRUCTION 4000", "the guest uses an emulated device");
    // Which port it is tells what to do, and no register hides that.
    let at = |targets| Machine { targets, clocks: Clocks { hyper_v: true, ..clocks(false) }, ..reads.clone() };
    let timer = at(&[(ExitTarget::Port(0x608), 3900), (ExitTarget::Register(0x6e0), 5000), (ExitTarget::Port(0x3f8), 9)]);
    let most = "most for register 0x6e0 (the timer of the local APIC) 5000, port 0x608 (the ACPI timer) 3900, port 0x3f8 (a serial port) 9";
    worst(timer, "exits", most, "bcdedit /deletevalue useplatformclock");
    worst(Machine { clocks: clocks(true), ..at(&[(ExitTarget::Port(0x1f7), 3900)]) }, "exits", "an IDE disk", "give it one of virtio");
    worst(Machine { clocks: with_hpet, ..at(&[(ExitTarget::Memory(0xfed0_00f0), 900)]) }, "exits", "the HPET", "edit it");
    worst(Machine { clocks: with_hpet, ..at(&[(ExitTarget::Port(0xb008), 900)]) }, "exits", "the ACPI timer", "useplatformclock");
    worst(at(&[(ExitTarget::Port(0xc123), 900)]), "exits", "most for port 0xc123 900;", "give it one of virtio");
    // Nothing can take the place of what every machine has.
    worst(at(&[(ExitTarget::Memory(0xfec0_0010), 900)]), "exits", "the I/O APIC", "");
    // KVM's counters may be closed (Secure Boot), and tracing is not.
    let closed = Place::new(Machine { exits: 6000, host: 8, ..GOOD }).judged(&["sys/kernel/debug"]);
    let exits = closed.judgements.iter().find(|one| one.code == "exits").unwrap();
    assert!(exits.verdict == measure::Verdict::Costs && exits.seen.starts_with("3007 a second, of these HLT 3000"), "{exits:?}");
    // A thread that no look saw is in the host's count.
    worst(Machine { unseen: 40, ..GOOD }, "host-load", "processes that came and went, together 40 % of a CPU", "");
    // An interrupt that the host handled was not posted, whatever KVM can do.
    worst(Machine { drawn: 8000, ..GOOD }, "card-interrupts", "the host handled 8000 a second; on the guest's host CPUs: 60 on 2", "");
    worst(Machine { vector: "vfio-intx", ..GOOD }, "intx", "200 a second by a shared line", "MSISupported");
    // What else is on the line may be what came.
    let shared = Place::new(Machine { vector: "xhci_hcd, vfio-intx", ..GOOD }).document();
    assert_eq!((codes(&shared, "costs").len(), codes(&shared, "unknown")), (0, vec!["intx".to_owned()]), "{shared:#}");
    // AMD's processor without topoext: threads look like cores.
    let hidden = Machine { cores: &["2-3"], threads: 2, hides_cores: true, ..GOOD };
    worst(hidden, "siblings", "0+1 share a core of the host, and the guest takes them for cores", "topoext");
}

#[test]
fn frequencies_of_host_cpus_at_work() {
    let frequency = |machine: Machine| judged(machine, "frequency")["verdict"].as_str().unwrap().to_owned();
    // The active drivers of Intel and AMD go with the load, also as `powersave`; all cores together have less than one alone.
    let follows = Machine { governor: "powersave", driver: Some("intel_pstate"), ..GOOD };
    assert_eq!(frequency(Machine { mhz: Some(4000), ..follows.clone() }), "good");
    worst(Machine { mhz: Some(800), ..follows.clone() }, "frequency", "the slowest at work at 800 of 5000 MHz", "echo performance");
    // Of a CPU without a tick the kernel knows an old frequency.
    assert_eq!(frequency(Machine { mhz: Some(800), tickless: "2-3", ..follows }), "unknown");
    worst(Machine { mhz: Some(800), ..GOOD }, "frequency", "are set to be fast", "what holds them back is unknown");
}

#[test]
fn a_domain_that_is_as_it_should_be() {
    let document = Place::new(GOOD).document();
    assert_eq!(codes(&document, "costs"), [""; 0], "{document:#}");
    assert_eq!(codes(&document, "unknown"), [""; 0], "{document:#}");
    let good = codes(&document, "good");
    for code in [
        "pinning",
        "host-load",
        "own-threads",
        "waiting",
        "interrupts",
        "timer",
        "pages",
        "exits",
        "card-interrupts",
        "frequency",
        "idle",
        "link",
        "exit-reasons",
        "aspm",
        "guest-clock",
    ] {
        assert!(good.iter().any(|one| one == code), "{code}: {document:#}");
    }
    // The numbers are those of the tree.
    let of = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
    for (pointer, number) in [
        ("/seconds", 5.0),
        ("/vcpus/0/guest", 50.0),
        ("/vcpus/1/host", 3.0),
        ("/vcpus/0/waited", 0.0),
        ("/vcpus/0/preempted", 3.0),
        ("/cores/0/guest", 50.0),
        ("/cores/0/idle", 40.0),
        ("/cores/0/timer", 250.0),
        ("/exits/exits", 900.0),
        ("/exits/halt_exits", 450.0),
        ("/pinned", 4_404_019_200.0),
        ("/vcpus/1/reasons/HLT", 450.0),
        ("/vcpus/1/reasons/SOMETHING_NEW", 2.0),
    ] {
        assert_eq!(of(pointer).as_f64(), Some(number), "{pointer}: {document:#}");
    }
    assert_eq!(of("/vcpus/1/ran_on"), "3");
    // That of another QEMU is not ours.
    assert_eq!(of("/vcpus/0/reasons"), serde_json::json!({}));
    let seen = |code: &str| {
        let judgement = document["judgements"].as_array().unwrap().iter().find(|one| one["code"] == code).unwrap();
        judgement["seen"].as_str().unwrap().to_owned()
    };
    let reasons = "virtual CPU 1 left the guest 457 times a second: HLT 450 (it had nothing to do), IO_INSTRUCTION 5 (a port of an emulated device, \
        such as the ACPI timer), SOMETHING_NEW 2";
    assert_eq!(seen("exit-reasons"), reasons);
    assert_eq!(seen("aspm"), "the host's policy is default; states in which links may sleep: 01:00.0 L1");
    let posted = document["interrupts"].as_array().unwrap().iter().find(|one| one["name"] == "PIN").unwrap();
    assert_eq!((posted["per_second"].as_f64(), posted["cpus"].as_str()), (Some(190.0), Some("2")));
}

#[test]
fn not_pinned() {
    let machine = Machine { pins: None, allowed: ["0-3", "0-3"], waited: 12, load: 10, ..GOOD };
    worst(
        machine,
        "pinning",
        "may run on the host CPUs 0-3, and waited up to 12 % ",
        "vgapt define it --pin && vgapt stop it && vgapt start it",
    );
    // A pin that also names a CPU that is off is kept.
    let document = Place::new(Machine { pins: Some([2, 3]), allowed: ["2,9", "3"], ..GOOD }).document();
    assert_eq!(codes(&document, "costs"), [""; 0], "{document:#}");
    // A thread that somebody moved.
    worst(
        Machine { allowed: ["2", "0-3"], ..GOOD },
        "pinning",
        "virtual CPU 1 may run on the host CPUs 0-3, and the domain says 3",
        "virsh -c qemu:///system vcpupin it 1 3",
    );
}

#[test]
fn pages_are_missing() {
    worst(
        Machine { reserved_mib: 0, ordinary_mib: 4200, ..GOOD },
        "pages",
        "only 0 % of QEMU's memory",
        "vgapt define it --hugepages && vgapt stop it",
    );
}

#[test]
fn host_load_on_the_cores_of_the_guest() {
    let machine = Machine { load: 45, waited: 30, kernel_load: 5, ..GOOD };
    worst(machine, "host-load", "cc1plus) 1 (x (process 77) 45 % of CPU 2, kswapd0 (kernel thread 9) 5 % of CPU 3", "taskset -apc 0-1 77");
    worst(Machine { kernel_load: 30, ..GOOD }, "host-load", "kswapd0 (kernel thread 9) 30 %", "taskset -pc 0-1 9");
    // Some threads of the kernel belong to their CPU.
    let fixed = Machine { kernel_load: 30, kernel_flags: 0x0420_0000, ..GOOD };
    worst(fixed, "host-load", "kswapd0 (kernel thread 9) 30 %", "vgapt prepare --isolate 2-3");
    let moved = Machine { iothread: Some("0-1"), ..GOOD };
    worst(
        moved.clone(),
        "own-threads",
        "IO iothread1 may run on the host CPUs 0-3, and the domain says 0-1",
        "virsh -c qemu:///system iothreadpin it 1 0-1",
    );
    assert_eq!(judged(Machine { iothread: Some("0-3"), ..GOOD }, "own-threads")["verdict"], "good");
    assert_eq!(judged(Machine { own_load: 25, ..moved }, "own-threads")["costs_percent"], 25.0);
    worst(Machine { own_load: 25, ..GOOD }, "own-threads", "IO iothread1 25 %", "virsh -c qemu:///system iothreadpin it 1 0-1");
    // Where the kernel's threads are what costs, a small process beside them is not the remedy.
    worst(Machine { kernel_load: 30, load: 0, ..GOOD }, "host-load", "kswapd0 (kernel thread 9) 30 %", "taskset -pc 0-1 9");
}

#[test]
fn both_virtual_cpus_on_one_core() {
    let machine = Machine { pins: Some([2, 2]), allowed: ["2", "2"], waited: 50, ..GOOD };
    worst(
        machine.clone(),
        "pinning",
        "2 virtual CPUs are pinned to the host CPUs 2, more than there are, and waited up to 50 %",
        "define it --pin",
    );
    // Also where one of them happens to be idle.
    worst(Machine { waited: 0, ..machine }, "pinning", "2 virtual CPUs are pinned to the host CPUs 2", "define it --pin");
}

/// The guest's scheduler uses idle cores first, and which those are it knows from its topology.
#[test]
fn cores_that_are_not_as_the_guest_sees_them() {
    let (shared, apart): (&[&str], &[&str]) = (&["2,3"], &["0,2", "1,3"]);
    let machine = Machine { cores: shared, pinnable: Ok(2), ..GOOD };
    let seen = "the virtual CPUs 0+1 share a core of the host, and the guest takes them for cores of their own";
    worst(machine.clone(), "siblings", seen, "vgapt define it --pin && vgapt stop it");
    // It is more than a card that has half of its lanes, and less than load on the guest's own CPUs.
    let document = Place::new(Machine { load: 60, width: 8, ..machine.clone() }).document();
    assert_eq!(codes(&document, "costs"), ["host-load", "siblings", "link"][..], "{document:#}");
    // Where pinning again changes nothing, it is no remedy.
    worst(Machine { pinnable: Ok(1), ..machine.clone() }, "siblings", seen, "use --cpus with a number that fills whole cores");
    // Somebody else's guest, on the other thread of one of these cores, costs more.
    let split = Machine { cores: apart, threads: 2, pinnable: Ok(2), ..GOOD };
    let document = Place::new(split.clone()).document();
    assert_eq!(codes(&document, "costs"), ["beside", "siblings"][..], "{document:#}");
    for machine in [Machine { threads: 2, ..machine }, Machine { threads: 1, ..split }] {
        assert!(!codes(&Place::new(machine).document(), "costs").contains(&"siblings".to_owned()));
    }
}

#[test]
fn a_quota_of_cpu_time() {
    let said = "2 virtual CPUs, with what else is in the group, may have 120 % of one host CPU, and had to wait for up to 25 % of the time \
        (group /machine.slice/machine-qemu.scope/libvirt)";
    let lifted = |what: &str| format!("virsh -c qemu:///system schedinfo it --live --set {what}=-1; that counts until it stops");
    worst(Machine { quota: Some((120, 25)), waited: 20, ..GOOD }, "quota", said, &lifted("global_quota"));
    let own = Machine { own_quota: Some((50, 40)), ..GOOD };
    let said = "virtual CPU 0 may have 50 % of one host CPU, and had to wait for 40 % of the time";
    worst(own.clone(), "quota", said, &lifted("vcpu_quota"));
    // The one that keeps most away.
    worst(Machine { quota: Some((190, 2)), ..own.clone() }, "quota", "vcpu0)", "vcpu_quota");
    for harmless in [Machine { quota: Some((200, 0)), ..GOOD }, Machine { own_quota: Some((90, 0)), ..GOOD }] {
        let document = Place::new(harmless).document();
        assert!(codes(&document, "good").contains(&"quota".to_owned()), "{document:#}");
    }
    // Where it is not said how much it kept from them, it is not good.
    let document = serde_json::to_value(Place::new(own).judged(&["sys/fs/cgroup/machine.slice/machine-qemu.scope/libvirt/vcpu0/cpu.stat"]));
    let document = document.unwrap();
    let quota = document["judgements"].as_array().unwrap().iter().find(|one| one["code"] == "quota").unwrap();
    assert!(quota["verdict"] == "costs" && quota["seen"].as_str().unwrap().contains("for an unknown part of the time"), "{quota:#}");
    // Nor where the groups are elsewhere.
    let document = serde_json::to_value(Place::new(GOOD).judged(&["sys/fs/cgroup/machine.slice"])).unwrap();
    assert!(codes(&document, "unknown").contains(&"quota".to_owned()), "{document:#}");
}

/// A limit on what systemd made is systemd's, of the machine or of a user; what others made is theirs.
#[test]
fn a_quota_of_somebody_elses() {
    let place = Place::new(GOOD);
    let root = place.root.path();
    let put = |path: &str, text: &str| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    };
    let sample = || discovery::sample(&Root::open(root).unwrap(), QEMU, &[], &CpuSet::default()).unwrap().unwrap();
    put("sys/fs/cgroup/machine.slice/cpu.max", "50000 100000\n");
    let document = place.document();
    let first = &document["judgements"][0];
    assert_eq!(
        (first["code"].as_str(), first["command"].as_str()),
        (Some("quota"), Some("systemctl set-property machine.slice CPUQuota="))
    );
    let remedies = [
        ("/user.slice/user-1000.slice/user@1000.service/app.slice", "systemctl --user set-property app.slice CPUQuota="),
        ("/user.slice/user-1000.slice", "systemctl set-property user-1000.slice CPUQuota="),
        ("/machine.slice/machine-qemu\\x2d1.scope", "systemctl set-property --runtime 'machine-qemu\\x2d1.scope' CPUQuota="),
        ("/jail/it", ""),
    ];
    let mut samples = [0, WINDOW].map(|second| {
        GOOD.write(root, second);
        sample()
    });
    for (group, remedy) in remedies {
        for sample in &mut samples {
            let quota = CpuQuota { group: group.to_owned(), threads: [4250].into(), percent: 30, held: Some(sample.at / 2) };
            sample.quotas = Reading::Known(vec![quota]);
        }
        let measured = place.judged_by(&Root::open(root).unwrap(), &samples);
        let quota = &measured.judgements[0];
        assert_eq!((quota.code.as_str(), quota.command.as_deref().unwrap_or_default()), ("quota", remedy), "{quota:?}");
    }
    // The first version of control groups.
    put("proc/4242/task/4250/cgroup", "4:cpu,cpuacct:/jail/it\n0::/\n");
    put("sys/fs/cgroup/cpu/jail/it/cpu.cfs_quota_us", "30000\n");
    put("sys/fs/cgroup/cpu/jail/it/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/cpu/jail/it/cpu.stat", "nr_throttled 3\nthrottled_time 2500000000\n");
    let quotas = sample().quotas.known().unwrap();
    let of = |group: &str| quotas.iter().find(|quota| quota.group == group).map(|quota| (quota.percent, quota.held));
    assert_eq!(of("/jail/it"), Some((30, Some(Duration::from_millis(2500)))));
    assert_eq!(of("/machine.slice"), Some((50, None)));
    put("proc/4242/task/4250/cgroup", "0::/../../it\n");
    assert!(sample().quotas.unknown().is_some_and(|because| because.contains("out of sight")), "{:?}", sample().quotas);
}

#[test]
fn efficiency_cores_and_caches() {
    let small = Machine { small: &[3], ..GOOD };
    let seen = "the host CPUs 3 are efficiency cores, and the guest takes all its virtual CPUs for equally fast";
    worst(small.clone(), "kinds", seen, "vgapt define it --pin && vgapt stop it");
    let all = Machine { small: &[2, 3], instead_of: Some(1), ..GOOD };
    worst(all, "kinds", "all virtual CPUs are on efficiency cores (the host CPUs 2-3)", "vgapt define it --cpus 1 --pin");
    // A processor that has only such cores has no others to choose.
    let document = Place::new(Machine { small: &[0, 1, 2, 3], ..GOOD }).document();
    assert!(!["costs", "good"].iter().any(|verdict| codes(&document, verdict).contains(&"kinds".to_owned())), "{document:#}");
    // AMD's kernel names none, and their clocks tell. Those that lie nearest may all be slow.
    let slow = Machine { slow: &[3], ..GOOD };
    let seen = "the host CPUs 3 are slower cores, of at most 3.3 instead of 5.0 GHz, and the guest takes all";
    worst(slow, "kinds", seen, "vgapt define it --pin && vgapt stop it");
    let all = Machine { slow: &[0, 2, 3], ..GOOD };
    let seen = "all virtual CPUs are on slower cores, of at most 3.3 instead of 5.0 GHz (the host CPUs 2-3)";
    worst(all, "kinds", seen, "fewer virtual CPUs (--cpus) have room on the fast cores");
    let document = Place::new(Machine { slow: &[0, 1], ..GOOD }).document();
    assert!(codes(&document, "good").contains(&"kinds".to_owned()), "{document:#}");
    let two = Machine { second_cache: &[3], ..GOOD };
    let seen = "on 2 L3 caches of the host, and the guest does not know which share one";
    worst(two.clone(), "caches", seen, "vgapt define it --pin && vgapt stop it");
    worst(Machine { pinned_caches: 2, ..two.clone() }, "caches", seen, "use --cpus with a number that fits into one L3 cache");
    for known in [Machine { of_a_cache: Some(1), ..two.clone() }, Machine { second_cache: &[0, 1], ..GOOD }] {
        let document = Place::new(known).document();
        assert!(codes(&document, "good").contains(&"caches".to_owned()), "{document:#}");
    }
    let several = Machine { second_cache: &[0, 1], of_a_cache: Some(1), ..GOOD };
    worst(several, "caches", "all virtual CPUs share one L3 cache, which the guest takes for 2", "vgapt define it --pin");
    // Caches that the domain shows by itself.
    let document = Place::new(Machine { of_a_cache: None, ..two.clone() }).document();
    assert!(codes(&document, "unknown").contains(&"caches".to_owned()), "{document:#}");
    // Who is not pinned may move.
    let document = Place::new(Machine { pins: None, allowed: ["0-3", "0-3"], ..two }).document();
    assert!(!codes(&document, "costs").contains(&"caches".to_owned()), "{document:#}");
}

#[test]
fn halt_polling_that_is_off_and_memory_that_is_merged() {
    let off = Machine { halt_poll_ns: 0, exits: 12_000, ..GOOD };
    let seen = "it is off (halt_poll_ns of kvm is 0), and each virtual CPU went to sleep some 3000 times a second";
    worst(off.clone(), "halt-polling", seen, "echo 200000 > /sys/module/kvm/parameters/halt_poll_ns; that counts until the host boots");
    let document = Place::new(Machine { exits: 900, ..off.clone() }).document();
    assert!(codes(&document, "good").contains(&"halt-polling".to_owned()), "{document:#}");
    let document = serde_json::to_value(Place::new(off).judged(&["sys/kernel/debug"])).unwrap();
    assert!(codes(&document, "unknown").contains(&"halt-polling".to_owned()), "{document:#}");
    let merged = Machine { merged: Some(25_600), ..GOOD };
    worst(merged.clone(), "merged", "KSM has merged 100 MiB of QEMU's memory", "virsh -c qemu:///system edit it; add <nosharepages/>");
    for few in [0, 256] {
        let document = Place::new(Machine { merged: Some(few), ..GOOD }).document();
        assert!(codes(&document, "good").contains(&"merged".to_owned()), "{document:#}");
    }
    let document = serde_json::to_value(Place::new(merged).judged(&["proc/4242/ksm_merging_pages"])).unwrap();
    assert!(codes(&document, "unknown").contains(&"merged".to_owned()), "{document:#}");
}

#[test]
fn more_virtual_cpus_than_the_host_has_cores_for() {
    let machine = Machine { pins: None, allowed: ["0-3", "0-3"], waited: 35, pinnable: Err(Some(1)), ..GOOD };
    worst(machine.clone(), "pinning", "waited up to 35 % ", "vgapt define it --cpus 1 --pin && vgapt stop it && vgapt start it");
    worst(Machine { pinnable: Err(None), ..machine }, "pinning", "waited up to 35 % ", "");
}

/// Two threads of a core share it: what runs on the other one slows the guest, although its host CPUs are its own.
#[test]
fn load_on_the_other_threads_of_its_cores() {
    let machine = Machine { cores: &["0,2"], beside: 80, ..GOOD };
    let seen = "the host CPUs 0 share cores with the guest, and there ran make (process 78) 80 % of CPU 0";
    worst(machine.clone(), "beside", seen, "taskset -apc 1 78; from the next start");
    // Where each core is shared with the guest, no place of the host's is better.
    worst(Machine { cores: &["0,2", "1,3"], ..machine.clone() }, "beside", "the host CPUs 0-1 share cores", "vgapt define it --pin && ");
    // Another guest stays where libvirt pinned it.
    worst(Machine { cores: &["1,3"], ..GOOD }, "beside", "CPU 0/KVM (process 66) 90 % of CPU 1", "it is another guest");
    // What costs more is first.
    let document = Place::new(Machine { load: 60, ..machine.clone() }).document();
    assert_eq!(codes(&document, "costs"), ["host-load", "beside"][..], "{document:#}");
    let document = Place::new(Machine { beside: 0, ..machine }).document();
    assert!(codes(&document, "good").contains(&"beside".to_owned()), "{document:#}");
    // Cores of one thread have no other.
    let document = Place::new(Machine { beside: 80, ..GOOD }).document();
    assert_eq!(codes(&document, "costs"), [""; 0], "{document:#}");
}

/// One of two virtual CPUs has no pin: that is known, and it costs.
#[test]
fn only_some_are_pinned() {
    let place = Place::new(Machine { allowed: ["2", "0-3"], ..GOOD });
    let xml = place.machine.xml().replace("<vcpupin vcpu='1' cpuset='3'/>", "") + "</domain>";
    fs::write(place.node.path().join("node.xml"), format!("<node>{xml}</node>")).unwrap();
    let document: Value = serde_json::from_str(&place.measured(&["--json"]).with(0).stdout).unwrap();
    let first = &document["judgements"][0];
    assert_eq!((first["code"].as_str(), first["verdict"].as_str()), (Some("pinning"), Some("costs")), "{document:#}");
    assert!(first["seen"].as_str().unwrap().contains("the virtual CPUs 1 have no host CPUs of their own"), "{first:#}");
    // Virtual CPUs that may come later have no threads yet.
    let place = Place::new(Machine { allowed: ["2-3", "2-3"], ..GOOD });
    let xml = place.machine.xml().replace("<vcpu>2</vcpu>", "<vcpu cpuset='2-3' current='2'>4</vcpu>");
    let cut = |from: &str, to: &str| (xml.find(from).unwrap(), xml.find(to).unwrap() + to.len());
    let (begin, end) = cut("<cputune>", "</cputune>");
    let xml = format!("{}{}</domain>", &xml[..begin], &xml[end..]);
    fs::write(place.node.path().join("node.xml"), format!("<node>{xml}</node>")).unwrap();
    let document: Value = serde_json::from_str(&place.measured(&["--json"]).with(0).stdout).unwrap();
    assert!(codes(&document, "good").contains(&"pinning".to_owned()), "{document:#}");
    let place = Place::new(Machine { allowed: ["2", "0-3"], ..GOOD });
    // A pin to every host CPU is none.
    let xml = place.machine.xml().replace("cpuset='2'", "cpuset='0-3'").replace("cpuset='3'", "cpuset='0-3'") + "</domain>";
    fs::write(place.node.path().join("node.xml"), format!("<node>{xml}</node>")).unwrap();
    let document: Value = serde_json::from_str(&place.measured(&["--json"]).with(0).stdout).unwrap();
    assert!(document["judgements"][0]["seen"].as_str().unwrap().contains("are not pinned"), "{document:#}");
}

/// A guest that does nothing shows nothing, and one that is paused is not measured.
#[test]
fn a_guest_that_does_nothing() {
    let document = Place::new(Machine { guest: 1, host: 1, ..GOOD }).document();
    assert_eq!(codes(&document, "unknown"), ["work"], "{document:#}");
    let place = Place::new(GOOD);
    let paused = place.machine.xml() + "<t:runstate>3</t:runstate></domain>";
    fs::write(place.node.path().join("node.xml"), format!("<node>{paused}</node>")).unwrap();
    place.on(&[]).with(1).saying(&["'it' is paused", "virsh -c test://", "resume it"]);
}

#[test]
fn an_interrupt_on_a_core_of_the_guest() {
    let seen = "45 (IR-PCI-MSI 1-edge eth0) 3000 a second on 2";
    let machine = Machine { interrupts: 3000, ..GOOD };
    let by_hand = "echo 0-1 > /proc/irq/45/smp_affinity_list; where the kernel refuses it: vgapt prepare --isolate 2-3; irqbalance, where it runs, moves it back; from the next start vgapt's hook does that";
    worst(machine.clone(), "interrupts", seen, &format!("{by_hand} for all: vgapt prepare"));
    let machine = Machine { moves_interrupts: Some(false), ..machine };
    worst(machine.clone(), "interrupts", seen, &format!("{by_hand}: vgapt define it --move-interrupts yes"));
    worst(Machine { fixed: &["45"], ..machine }, "interrupts", "a second on 2", "vgapt prepare --isolate 2-3; 45 stays");
    // On the other threads of its cores they would be in the way too; whole cores are isolated, if the host keeps one.
    let said = |cores: &'static [&'static str]| {
        let interrupts = judged(Machine { interrupts: 3000, cores, ..GOOD }, "interrupts");
        [&interrupts["command"], &interrupts["remedy"]].map(|text| text.as_str().unwrap().to_owned()).join("; ")
    };
    let threads = said(&["1-2"]);
    assert!(threads.starts_with("echo 0 > /proc/irq/45/") && threads.contains("vgapt prepare --isolate 1-3;"), "{threads}");
    let cramped = said(&["0,3", "1-2"]);
    assert!(cramped.starts_with("echo 0-1 > /proc/irq/45/") && !cramped.contains("--isolate"), "{cramped}");
    // Of a domain that vgapt does not manage, the hook moves nothing.
    let others = Machine { interrupts: 3000, moves_interrupts: None, ..GOOD };
    worst(others, "interrupts", seen, "a domain that vgapt has pinned: vgapt define it --pin");
}

/// What interrupts took is that of the device only where most of them are its.
#[test]
fn interrupts_of_the_kernel_itself() {
    let calls = Machine { calls: 20_000, interrupt_time: 9, ..GOOD };
    worst(calls.clone(), "kernel-interrupts", "up to 9 % of a host CPU of the guest, most of them CAL", "vgapt prepare --isolate 2-3");
    let both = judged(Machine { interrupts: 50, ..calls }, "interrupts");
    assert!(both["verdict"] == "costs" && both["costs_percent"].is_null() && both["perhaps_percent"].is_null(), "{both}");
    let device = judged(Machine { interrupts: 20_000, interrupt_time: 9, ..GOOD }, "interrupts");
    assert_eq!(device["costs_percent"], 9.0, "{device}");
    // A counter that began anew grew by what it is now.
    let place = Place::new(Machine { interrupts: 500, ..GOOD });
    let root = Root::open(place.root.path()).unwrap();
    let sample = |second: u64| {
        place.machine.write(place.root.path(), second);
        discovery::sample(&root, QEMU, &[], &"2-3".parse().unwrap()).unwrap().unwrap()
    };
    let mut samples = [sample(0), sample(WINDOW)];
    let Reading::Known(lines) = &mut samples[0].interrupts else { panic!("{:?}", samples[0]) };
    lines.iter_mut().flat_map(|line| line.counts.values_mut()).for_each(|count| *count += 1_000_000);
    let interrupts = place.judged_by(&root, &samples).interrupts.unwrap();
    assert_eq!(interrupts.iter().find(|one| one.name == "45").map(|one| one.per_second), Some(501.0 + 1.0), "{interrupts:?}");
}

#[test]
fn processors_that_settings_hold_back() {
    const LIMIT: &[(&str, &str)] = &[
        ("sys/devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq", "5000000"),
        ("sys/devices/system/cpu/cpu2/cpufreq/scaling_max_freq", "2000000"),
    ];
    let limited = Machine { files: LIMIT, mhz: Some(2000), ..GOOD };
    worst(limited, "frequency", "the host CPUs 2 may run at up to 2000 of 5000 MHz", "for cpu in 2; do cat");
    for (file, off, on) in [("intel_pstate/no_turbo", "1", "0"), ("cpufreq/boost", "0", "1")] {
        let place = Place::new(GOOD);
        let path = place.root.path().join("sys/devices/system/cpu").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, off).unwrap();
        let judged = place.judged(&[]);
        let first = &judged.judgements[0];
        let command = format!("echo {on} > /sys/devices/system/cpu/{file}");
        assert_eq!((first.code.as_str(), first.command.as_deref()), ("frequency", Some(command.as_str())), "{first:?}");
        fs::write(&path, on).unwrap();
        assert!(place.judged(&[]).judgements.iter().all(|one| one.code != "frequency" || one.verdict == measure::Verdict::Good));
    }
    // Slow without a setting: only counters of the kernel tell that it is heat or power.
    worst(Machine { mhz: Some(2000), ..GOOD }, "frequency", "at 2000 of 5000 MHz", "what holds them back is unknown");
}

#[test]
fn pins_that_overlap() {
    let crowded = Machine { pins: Some([2, 2]), allowed: ["2", "2"], ..GOOD };
    worst(crowded, "pinning", "2 virtual CPUs are pinned to the host CPUs 2, more than there are", "--pin");
    // A CPU that is off.
    worst(Machine { pins: Some([2, 9]), allowed: ["2", "0-3"], ..GOOD }, "pinning", "pinned to the host CPUs 9, which are off", "--pin");
}

/// What one file says is known where another cannot be read.
#[test]
fn memory_of_which_little_is_known() {
    let place = Place::new(GOOD);
    let verdict = |judged: &Measured, code: &str| judged.judgements.iter().find(|one| one.code == code).map(|one| one.verdict);
    let closed = place.judged(&["proc/4242/smaps_rollup"]);
    assert_eq!((verdict(&closed, "pages"), verdict(&closed, "pinned")), (Some(measure::Verdict::Unknown), Some(measure::Verdict::Good)));
    let odd = Machine { files: &[("proc/4242/numa_maps", "7f0 bind:0 file=/dev/hugepages/x\n")], ..GOOD };
    assert_eq!(judged(odd, "pages")["verdict"], "unknown");
    // OVMF closes some of the memory.
    assert_eq!(judged(Machine { pinned_mib: 4184, ..GOOD }, "pinned")["verdict"], "good");
    assert_eq!(judged(Machine { pinned_mib: 2100, ..GOOD }, "pinned")["verdict"], "unknown");
    let swapped =
        Machine { files: &[("proc/4242/smaps_rollup", "Rss: 4000000 kB\nAnonHugePages: 3990000 kB\nSwap: 1000000 kB\n")], ..GOOD };
    worst(swapped.clone(), "swapped", "1000000 KiB of QEMU's memory is in swap, 23.3 % of the guest's", "vgapt define it --hugepages");
    // Without NUMA in the kernel, the pages are unknown, and not what is in swap.
    let place = Place::new(swapped);
    assert_eq!(place.judged(&["proc/4242/numa_maps"]).judgements[0].code, "swapped");
    let place = Place::new(Machine { files: &[("proc/stat", "cpu 1 2 3\n")], ..GOOD });
    assert_eq!(verdict(&place.judged(&[]), "times"), Some(measure::Verdict::Unknown));
}

/// Whether KVM posts interrupts depends on the IOMMU too.
#[test]
fn an_iommu_that_cannot_post() {
    let cap = |text: &'static str| -> &'static [(&'static str, &'static str)] {
        Box::leak(Box::new([("sys/class/iommu/dmar0/intel-iommu/cap", text)]))
    };
    let seen = |text| judged(Machine { drawn: 3000, files: cap(text), ..GOOD }, "card-interrupts")["seen"].as_str().unwrap().to_owned();
    assert!(seen("8d2078c106f0466\n").contains("the IOMMU did not post these"), "{}", seen("8d2078c106f0466\n"));
    assert!(seen("1d2078c106f0466\n").contains("with an exit"), "{}", seen("1d2078c106f0466\n"));
}

#[test]
fn a_link_below_what_it_can_do() {
    worst(Machine { width: 4, ..GOOD }, "link", "4 of the 16 lanes that card and slot have (16.0 GT/s x4)", "seat the card again");
    worst(Machine { speed: "2.5 GT/s PCIe", ..GOOD }, "link", "2.5 GT/s x16", "measure again while the guest draws much");
    // A card that does nothing lowers the speed of its link: that is not a wrong link.
    let document = Place::new(Machine { speed: "2.5 GT/s PCIe", drawn: 2, ..GOOD }).document();
    assert_eq!((codes(&document, "costs").len(), codes(&document, "unknown")), (0, vec!["link".to_owned()]), "{document:#}");
    // A desktop that stands still has pictures too.
    let idle = Place::new(Machine { speed: "2.5 GT/s PCIe", guest: 6, ..GOOD }).document();
    assert_eq!((codes(&idle, "costs").len(), codes(&idle, "unknown")), (0, vec!["link".to_owned()]), "{idle:#}");
    // Its width it keeps.
    worst(Machine { width: 4, drawn: 2, ..GOOD }, "link", "(16.0 GT/s x4)", "seat the card again");
    // Of several moments the best one counts.
    let place = Place::new(GOOD);
    let root = Root::open(place.root.path()).unwrap();
    let function = "0000:01:00.0".parse().unwrap();
    let sample = |speed: &'static str, second: u64| {
        Machine { speed, ..GOOD }.write(place.root.path(), second);
        discovery::sample(&root, QEMU, &[function], &CpuSet::default()).unwrap().unwrap()
    };
    let samples = [sample("2.5 GT/s PCIe", 0), sample("16.0 GT/s PCIe", 1), sample("2.5 GT/s PCIe", 2)];
    let measured = place.judged_by(&root, &samples);
    assert_eq!(measured.links[0].speed, Some(16_000), "{:?}", measured.links);
    worst(
        Machine { aspm: "powersave", ..GOOD },
        "aspm",
        "policy is powersave; states in which links may sleep: 01:00.0 L1",
        "pcie_aspm/parameters/policy",
    );
    worst(Machine { governor: "powersave", ..GOOD }, "frequency", "is powersave", "for cpu in 2 3; do echo performance > ");
    // What works at a sixth of its speed loses more than by half of the link's lanes; idle CPUs are slow for that.
    let slow = Machine { governor: "powersave", mhz: Some(800), width: 8, ..GOOD };
    worst(slow.clone(), "frequency", "the slowest at work at 800 of 5000 MHz", "from the next start vgapt's hook does that: vgapt prepare");
    let document = Place::new(Machine { mhz: None, ..slow }).document();
    assert_eq!(codes(&document, "costs"), ["link", "frequency"][..], "{document:#}");
    // A governor that lets them run at full speed costs nothing now.
    let place = Place::new(Machine { governor: "schedutil", ..GOOD });
    for cpu in [2, 3] {
        for (file, khz) in [("scaling_cur_freq", 4_900_000), ("cpuinfo_max_freq", 5_000_000)] {
            fs::write(place.root.path().join(format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/{file}")), format!("{khz}\n")).unwrap();
        }
    }
    assert_eq!(codes(&place.document(), "costs"), [""; 0]);
}

#[test]
fn a_core_that_sleeps_too_deep() {
    worst(
        Machine { woken: 400, ..GOOD },
        "idle",
        "left C6 400 times a second, which takes up to 133 µs",
        "cpupower -c 2-3 idle-set -D 133",
    );
}

#[test]
fn a_guest_that_loses_time() {
    let seen = "3.50 s passed in the guest (its agent says), 5.00 s";
    worst(Machine { late: Duration::from_millis(1500), ..GOOD }, "guest-clock", seen, "loses ticks");
    let clock = |late| judged(Machine { late: Duration::from_millis(late), ..GOOD }, "guest-clock")["verdict"].clone();
    assert_eq!([clock(60), clock(150)], ["good", "costs"]);
}

#[test]
fn what_has_no_thread_is_named_too() {
    worst(Machine { softirqs: 20, ..GOOD }, "softirqs", "up to 20 % of a host CPU of the guest: NET_RX 2000 a second", "rps_cpus");
    // With a network card's interrupt there, that is what to move.
    worst(Machine { softirqs: 20, interrupts: 3000, ..GOOD }, "interrupts", "eth0", "echo 0-1 > ");
    let tick = judged(Machine { tickless: "2-3", ..GOOD }, "timer");
    assert!(tick["verdict"] == "good" && tick["seen"].as_str().unwrap().contains("nohz_full"), "{tick}");
}

#[test]
fn memory_that_is_not_pinned() {
    let pinned = judged(Machine { pinned_mib: 64, ..GOOD }, "pinned");
    assert!(pinned["verdict"] == "unknown" && pinned["seen"].as_str().unwrap().contains("64 MiB of the guest's 4200 MiB"), "{pinned}");
    assert_eq!(judged(GOOD, "pinned")["verdict"], "good");
}

#[test]
fn what_costs_most_is_named_first() {
    let machine =
        Machine { load: 45, waited: 30, interrupts: 3000, width: 8, reserved_mib: 0, ordinary_mib: 4200, exits: 90_000, host: 40, ..GOOD };
    let document = Place::new(machine).document();
    assert_eq!(codes(&document, "costs"), ["host-load", "exits", "pages", "link", "interrupts", "waiting"][..], "{document:#}");
}

/// What could not be read is never good.
#[test]
fn what_is_not_readable_is_unknown() {
    let files = ["proc/interrupts", "proc/4242/smaps_rollup", "proc/4242/task/4250/schedstat", "sys/kernel/debug", "sys/module"];
    let document = serde_json::to_value(Place::new(GOOD).judged(&files)).unwrap();
    assert_eq!(codes(&document, "unknown"), ["waiting", "interrupts", "pages", "card-interrupts", "aspm"], "{document:#}");
    assert_eq!(codes(&document, "costs"), [""; 0]);
    assert_eq!((&document["exits"], &document["memory"]), (&Value::Null, &Value::Null));
    // A kernel that says nothing of pinned memory.
    let place = Place::new(GOOD);
    place.judged(&[]);
    fs::write(place.root.path().join("proc/4242/status"), "Name:\tx\n").unwrap();
    let root = Root::open(place.root.path()).unwrap();
    assert!(discovery::surroundings(&root, QEMU, &"2".parse().unwrap()).pinned.unknown().is_some());
    // What the command itself has not counted or been told.
    let document: Value = serde_json::from_str(&Place::new(GOOD).measured(&["--json"]).with(0).stdout).unwrap();
    assert_eq!(codes(&document, "unknown"), ["exit-reasons", "guest-clock"], "{document:#}");
    assert_eq!(document["vcpus"][0]["reasons"], Value::Null);
    // Threads without the names of virtual CPUs.
    let place = Place::new(GOOD);
    let document = serde_json::to_value(place.judged(&["proc/4242/task/4250", "proc/4242/task/4251"])).unwrap();
    assert_eq!(codes(&document, "unknown"), ["pinning", "quota", "exit-reasons"], "{document:#}");
}

#[test]
fn where_nothing_can_be_measured() {
    let place = Place::new(GOOD);
    let uri = |name: &str| format!("test://{}/{name}", place.node.path().display());
    let root = place.root.path().to_str().unwrap();
    // A tree whose time stands still.
    place.on(&[]).with(3).saying(&["no time passed between the samples"]);
    // Off.
    let off = place.machine.xml() + "<t:runstate>5</t:runstate></domain>";
    fs::write(place.node.path().join("off.xml"), format!("<node>{off}</node>")).unwrap();
    run(&mut vgapt(["--root", root, "-c", &uri("off.xml"), "measure", "it"])).with(1).saying(&["is not running", "start it"]);
    // It ends meanwhile; another process gets its number.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            fs::rename(place.root.path().join("proc/4242"), place.root.path().join("proc/gone")).unwrap();
        });
        place.on(&[]).with(3).saying(&["'it' ended while it was measured", "why it"]);
    });
    // Only somebody else's QEMU, which has its name.
    place.on(&[]).with(3).saying(&["no process that can be seen here runs QEMU for 'it'"]);
    run(&mut vgapt(["-c", "test:///default", "measure", "test"])).with(3).saying(&["the domains of libvirt's test driver run nowhere"]);
    run(&mut vgapt(["--root", command::Z170, "-c", "test:///default", "measure", "test"])).with(3).saying(&["a capture holds one moment"]);
    place.on(&["--against", "/nosuch.json"]).with(3).saying(&["/nosuch.json", "--save"]);
}

/// A moment that is cut anywhere is read without a panic, and never better than the whole.
#[test]
fn odd_files_cost_nothing_but_knowledge() {
    let place = Place::new(GOOD);
    let root = Root::open(place.root.path()).unwrap();
    for file in ["proc/stat", "proc/interrupts", "proc/4242/task/4250/stat", "proc/uptime", "proc/4242/task/4250/schedstat"] {
        let path = place.root.path().join(file);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let _ = discovery::sample(&root, QEMU, &[], &CpuSet::default());
        }
        fs::write(&path, [&whole[..], b"\xff)(99999999999999999999999"].concat()).unwrap();
        let _ = discovery::sample(&root, QEMU, &[], &CpuSet::default());
        fs::write(&path, whole).unwrap();
    }
    assert!(
        discovery::sample(&root, QEMU, &[], &CpuSet::default())
            .unwrap()
            .is_some_and(|sample| sample.threads.len() == 4 && sample.cpus.len() == 4)
    );
}

#[test]
fn before_and_after() {
    let (before, after) = (Place::new(Machine { load: 45, waited: 30, ..GOOD }).judged(&[]), Place::new(GOOD).judged(&[]));
    let changes = measure::changes(&before, &after);
    let of = |what: &str| changes.iter().find(|change| change.what.contains(what)).map(|change| (change.before, change.after));
    assert_eq!(of("longest wait"), Some((Some(30.0), Some(0.0))));
    assert_eq!(of("what costs speed"), Some((Some(2.0), Some(0.0))));
    assert_eq!(of("halt_exits"), Some((Some(450.0), Some(450.0))));
    assert_eq!(of("exits: HLT"), Some((Some(450.0), Some(450.0))));
}

/// The document is as its schema says, the text says the same, and both can be kept and compared with.
#[test]
fn the_document_the_text_and_the_picture() {
    let place = Place::new(Machine { load: 45, waited: 30, interrupts: 3000, ..GOOD });
    let (svg, file) = (place.node.path().join("cores.svg"), place.node.path().join("before.json"));
    let (svg, file) = (svg.to_str().unwrap(), file.to_str().unwrap());
    let ran = place.measured(&["--verbose", "--svg", svg, "--save", file]).with(0).saying(&["the measurement is in", "the picture is in"]);
    let saved: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = plain(&ran.stdout);
    let says = |said: &str| assert!(text.contains(&plain(said)), "{said}\n{}", ran.stdout);
    for judgement in saved["judgements"].as_array().unwrap() {
        for key in ["subject", "seen", "remedy", "command"] {
            says(judgement[key].as_str().unwrap_or_default());
        }
    }
    for one in ["loads", "interrupts"].iter().flat_map(|list| saved[list].as_array().unwrap()) {
        says(one["name"].as_str().unwrap());
    }
    assert_eq!(saved["judgements"][0]["code"], "host-load", "{saved:#}");
    let picture = fs::read_to_string(svg).unwrap();
    for word in
        ["why the virtual CPUs left the guest is unknown", "it: its host CPUs for ", ">CPU 2<", ">CPU 3<", "at most ", "fill=\"#009e73\""]
    {
        assert!(picture.contains(word), "{word}\n{picture}");
    }
    vgapt::xml::Document::parse(&picture).unwrap();
    let picture = vgapt::output::measured_svg(&place.judged(&[]));
    for word in [">HLT: 450.0 a second<", ">SOMETHING_NEW: 2.0 a second<", "width=\"720.0\" height=\"14.0\""] {
        assert!(picture.contains(word), "{word}\n{picture}");
    }

    let document: Value = serde_json::from_str(&place.measured(&["--json", "--against", file]).with(0).stdout).unwrap();
    let (_, schema) = vgapt::commands::schemas().into_iter().find(|(command, _)| *command == "measure").unwrap();
    let faults: Vec<String> = jsonschema::validator_for(&schema).unwrap().iter_errors(&document).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}\n{document:#}");
    assert_eq!(document["against"][3]["what"], "longest wait of a virtual CPU");
    assert_eq!(document["next"]["remedy"], document["judgements"][0]["remedy"]);
    assert_eq!(document["next"]["command"], document["judgements"][0]["command"]);
    // One of another domain is compared, and that is said.
    let of_other = saved.to_string().replace("\"name\":\"it\"", "\"name\":\"other\"");
    fs::write(file, of_other).unwrap();
    place.measured(&["--against", file]).with(0).saying(&["the measurement before is of another domain: 'other'"]);
    // The document of --json is as good as the file.
    fs::write(file, document.to_string()).unwrap();
    let said = place.measured(&["--against", file]).with(0).stdout;
    assert!(said.contains("longest wait of a virtual CPU"), "{said}");
}

/// --watch measures until it is told to end.
#[test]
fn watched() {
    let place = Place::new(GOOD);
    let uri = format!("test://{}/node.xml", place.node.path().display());
    let root = place.root.path().to_str().unwrap();
    let seen = place.while_time_passes(|| {
        let mut interrupted = command::command("timeout");
        interrupted.args(["--signal=INT", "--preserve-status", "8", env!("CARGO_BIN_EXE_vgapt"), "--json", "--root", root, "-c", &uri]);
        run(interrupted.args(["measure", "it", "--seconds", "1", "--watch"]))
    });
    assert_eq!(seen.code(), Some(130));
    let documents: Vec<Value> = seen.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(documents.len() >= 2 && documents.iter().all(|one| one["command"] == "measure"), "{}\n{}", seen.stdout, seen.stderr);
    assert_eq!(documents[0]["outcome"], "done");
}

#[test]
fn counters_that_cannot_be_read_are_not_absent() {
    let place = Place::new(GOOD);
    let folder = place.root.path().join("sys/kernel/debug/kvm");
    fs::remove_dir_all(&folder).unwrap();
    // Not even root can look into it.
    symlink("kvm", &folder).unwrap();
    let root = Root::open(place.root.path()).unwrap();
    let sample = discovery::sample(&root, QEMU, &[], &CpuSet::default()).unwrap().unwrap();
    assert!(sample.kvm.unknown().is_some_and(|because| because.contains("/sys/kernel/debug/kvm")), "{:?}", sample.kvm);
    // Without the kernel's threads the others are only a part.
    fs::remove_dir_all(place.root.path().join("proc/9")).unwrap();
    let sample = discovery::sample(&root, QEMU, &[], &CpuSet::default()).unwrap().unwrap();
    assert!(sample.others.unknown().is_some_and(|because| because.contains("hidepid")), "{:?}", sample.others);
}

/// A directory that is removed when whoever asked for it has ended, also by SIGKILL; no other signal keeps it from that.
#[test]
fn a_directory_goes_with_its_process() {
    let tree = TempDir::new().unwrap();
    let folder = tree.path().join("instance");
    // Without timeout(1) before it, which would get the signals.
    let mut remover = std::process::Command::new(env!("CARGO_BIN_EXE_vgapt"));
    remover.args(["--remove-directory-at-the-end", "tree", tree.path().to_str().unwrap(), "/instance"]);
    // Whoever asks holds the other end of the pipe.
    let mut asking = std::process::Command::new("sleep").arg("60").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut child = remover.stdin(asking.stdout.take().unwrap()).spawn().unwrap();
    fs::create_dir(&folder).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(folder.exists() && child.try_wait().unwrap().is_none());
    asking.kill().unwrap();
    asking.wait().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!folder.exists());
}
