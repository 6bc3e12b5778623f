//! Who gets which CPU: recorded processors (fixtures/processors), made-up ones, and the laws on any.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use vgapt::discovery::{self, Scope};
use vgapt::model::{Cache, CpuSet, LogicalCpu, Size, Topology};
use vgapt::root::Root;
use vgapt::topology::{Core, CoreKinds, Count, GuestTopology, Pinning, PinningError, PinningRequest, cores, kinds, pin};

fn recorded(name: &str) -> Topology {
    let root = Root::open(&Path::new("fixtures/processors").join(format!("{name}.host"))).unwrap();
    discovery::read(&root, Scope::All).topology
}

fn exactly(cpus: u32) -> PinningRequest {
    PinningRequest { count: Count::Exactly(cpus), kinds: CoreKinds::Performance, node: None }
}

const AUTO: PinningRequest = PinningRequest { count: Count::Auto, kinds: CoreKinds::Performance, node: None };

fn on(node: u32, demand: PinningRequest) -> PinningRequest {
    PinningRequest { node: Some(node), ..demand }
}

/// The guest's CPUs, the emulator's, and `sockets:dies:cores:threads`.
fn said(topology: &Topology, demand: PinningRequest) -> String {
    let Pinning { vcpus, emulator, guest: GuestTopology { sockets, dies, cores, threads }, .. } = pin(topology, &demand).unwrap();
    let vcpus: Vec<String> = vcpus.iter().map(u32::to_string).collect();
    format!("{} | {emulator} | {sockets}:{dies}:{cores}:{threads}", vcpus.join(" "))
}

#[test]
fn x3d_takes_the_larger_cache_and_goes_to_the_other_only_when_it_must() {
    let x3d = recorded("ryzen-9-7950x3d");
    assert_eq!(said(&x3d, AUTO), "1 17 2 18 3 19 4 20 5 21 6 22 7 23 | 0,8-16,24-31 | 1:1:7:2");
    assert_eq!(said(&x3d, exactly(8)), "1 17 2 18 3 19 4 20 | 0,5-16,21-31 | 1:1:4:2");
    // The first has seven cores to give, the second eight.
    assert_eq!(said(&x3d, exactly(16)), "8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31 | 0-7,16-23 | 1:1:8:2");
    assert_eq!(said(&x3d, exactly(20)), "1 17 2 18 3 19 4 20 5 21 8 24 9 25 10 26 11 27 12 28 | 0,6-7,13-16,22-23,29-31 | 1:2:5:2");
    assert_eq!(pin(&x3d, &exactly(32)), Err(PinningError::TooFew(30)));
    // A smaller cache than there is, and how many fit on that; beside it more are on both.
    assert_eq!([14, 16, 20].map(|cpus| pin(&x3d, &exactly(cpus)).unwrap().larger_cache), [None, Some((96 << 10, 14)), None]);
}

#[test]
fn cores_of_other_guests_are_left_to_them_where_enough_others_are() {
    let mut x3d = recorded("ryzen-9-7950x3d");
    x3d.used = "1-2,17-18".parse().unwrap();
    assert_eq!(said(&x3d, exactly(4)), "3 19 4 20 | 0,5-16,21-31 | 1:1:2:2");
    // As many as alone: on the other cache.
    assert_eq!(said(&x3d, AUTO), "8 24 9 25 10 26 11 27 12 28 13 29 14 30 | 0,3-7,15-16,19-23,31 | 1:1:7:2");
    // Not enough are left.
    let shared = pin(&x3d, &exactly(28)).unwrap();
    assert!(!shared.taken.0.is_disjoint(&x3d.used.0) && shared.room_beside == Some(26), "{shared:?}");
    // Nor of the fast ones.
    let mut hybrid = recorded("core-i7-1370p");
    hybrid.used = "2-5".parse().unwrap();
    let fitting = PinningRequest { kinds: CoreKinds::Fitting, ..exactly(8) };
    assert_eq!(pin(&hybrid, &fitting).unwrap().taken.to_string(), "2-9");
    // The second guest is as near to its card as the first.
    let mut epyc = recorded("epyc-7451-x2");
    let first = pin(&epyc, &on(4, exactly(6))).unwrap();
    epyc.used = first.taken.clone();
    let second = pin(&epyc, &on(4, exactly(6))).unwrap();
    assert!(second.taken.0.is_disjoint(&first.taken.0) && second.nodes == first.nodes && second.caches == 1, "{second:?}");
}

/// Others have made a partition of some CPUs, where libvirt cannot start a guest; or one for the guests.
#[test]
fn cpus_that_control_groups_keep_from_guests_are_not_used() {
    let mut x3d = recorded("ryzen-9-7950x3d");
    x3d.of_guests = "0-3,6-19,22-31".parse().ok();
    assert_eq!(said(&x3d, exactly(10)), "1 17 2 18 3 19 6 22 7 23 | 0,8-16,24-31 | 1:1:5:2");
    // Half a core is none.
    x3d.of_guests = "8-15,24-26".parse().ok();
    assert_eq!(said(&x3d, exactly(4)), "8 24 9 25 | 10-15,26 | 1:1:2:2");
    assert_eq!(pin(&x3d, &exactly(8)), Err(PinningError::TooFew(6)));
    x3d.of_guests = "8,24".parse().ok();
    assert_eq!(said(&x3d, exactly(2)), "8 24 | 8,24 | 1:1:1:2");
    // What says so: the guests' own group, else the root's.
    let place = tempfile::TempDir::new().unwrap();
    let read = || discovery::read(&Root::open(place.path()).unwrap(), Scope::All).topology.of_guests;
    assert_eq!(read(), None);
    for (group, cpus) in [("", "0-3"), ("machine.slice", "2-3")] {
        let group = place.path().join("sys/fs/cgroup").join(group);
        std::fs::create_dir_all(&group).unwrap();
        std::fs::write(group.join("cpuset.cpus.effective"), format!("{cpus}\n")).unwrap();
        assert_eq!(read(), cpus.parse().ok());
    }
}

#[test]
fn hybrid_takes_performance_cores_unless_asked() {
    let hybrid = recorded("core-i7-1370p");
    assert_eq!(said(&hybrid, AUTO), "2 3 4 5 6 7 8 9 10 11 | 0-1,12-19 | 1:1:5:2");
    assert_eq!(said(&hybrid, exactly(4)), "2 3 4 5 | 0-1,6-19 | 1:1:2:2");
    assert_eq!(pin(&hybrid, &exactly(12)), Err(PinningError::TooFew(10)));
    let any = PinningRequest { kinds: CoreKinds::Any, ..exactly(12) };
    assert_eq!(said(&hybrid, any), "2 3 4 5 6 7 8 9 10 11 12 13 | 0-1,14-19 | 1:1:12:1");
    let small = PinningRequest { kinds: CoreKinds::Efficient, ..exactly(4) };
    assert_eq!(said(&hybrid, small), "12 13 14 15 | 0-11,16-19 | 1:1:4:1");
}

/// Two performance cores with two threads, two clusters of four small ones, and two for next to no power.
fn two_performance_cores() -> Topology {
    let cpu = |cpu: u32| {
        let (kind, siblings) = match cpu {
            0..=3 => ("core", vec![cpu & !1, cpu | 1]),
            4..=11 => ("atom", vec![cpu]),
            _ => ("lowpower", vec![cpu]),
        };
        LogicalCpu {
            cpu,
            siblings: CpuSet(siblings.into_iter().collect()),
            kind: Some(kind.to_owned()),
            ..made_up(&[(&[0], 0, 0)]).cpus[0].clone()
        }
    };
    let l2 = |cpus: std::ops::Range<u32>| Cache { level: 2, cpus: CpuSet(cpus.collect()), size: None };
    let l3 = Cache { level: 3, cpus: CpuSet((0..12).collect()), size: Some(Size::from_mib(12)) };
    Topology {
        online: CpuSet((0..14).collect()),
        cpus: (0..14).map(cpu).collect(),
        caches: vec![l2(0..2), l2(2..4), l2(4..8), l2(8..12), l2(12..14), l3],
        ..Topology::default()
    }
}

#[test]
fn where_performance_cores_have_no_room_one_cluster_of_small_ones_is_taken() {
    let hybrid = two_performance_cores();
    let fitting = |cpus| PinningRequest { kinds: CoreKinds::Fitting, ..exactly(cpus) };
    assert_eq!(said(&hybrid, fitting(2)), "2 3 | 0-1,4-13 | 1:1:1:2");
    assert_eq!(pin(&hybrid, &fitting(2)).unwrap().instead_of, None);
    assert_eq!(said(&hybrid, fitting(4)), "4 5 6 7 | 0-3,8-13 | 1:1:4:1");
    assert_eq!(pin(&hybrid, &fitting(4)).unwrap().instead_of, Some(2));
    assert_eq!(said(&hybrid, fitting(3)), "4 5 6 | 0-3,7-13 | 1:1:3:1");
    // More than a cluster has: of both.
    assert_eq!(said(&hybrid, fitting(6)), "4 5 6 7 8 9 | 0-3,10-13 | 1:1:6:1");
    assert_eq!(pin(&hybrid, &fitting(9)), Err(PinningError::TooFew(2)), "no one kind has room");
    assert_eq!(pin(&hybrid, &exactly(4)), Err(PinningError::TooFew(2)), "who asks for performance cores gets no others");
}

#[test]
fn three_core_caches_are_shared_out_evenly() {
    let epyc = recorded("epyc-7451-x2");
    assert_eq!(epyc.online.0.len(), 96);
    for cpus in [2, 4, 6] {
        assert_eq!(pin(&epyc, &on(1, exactly(cpus))).unwrap().caches, 1, "{cpus}");
    }
    let four = pin(&epyc, &on(1, exactly(8))).unwrap();
    assert_eq!((four.guest, four.caches), (GuestTopology { sockets: 1, dies: 2, cores: 2, threads: 2 }, 2));
    assert_eq!(four.nodes.to_string(), "1");
    let six = pin(&epyc, &on(1, exactly(12))).unwrap();
    assert_eq!((six.guest, six.caches), (GuestTopology { sockets: 1, dies: 2, cores: 3, threads: 2 }, 2));
    assert_eq!(pin(&epyc, &on(1, AUTO)).unwrap().guest, GuestTopology { sockets: 1, dies: 1, cores: 3, threads: 2 });
}

#[test]
fn two_sockets_follow_the_card() {
    let xeon = recorded("xeon-6140-x2");
    for node in [0, 1] {
        let pinning = pin(&xeon, &on(node, exactly(16))).unwrap();
        assert_eq!((pinning.nodes.to_string(), pinning.caches), (node.to_string(), 1));
        assert!(pinning.vcpus.iter().all(|cpu| cpu % 2 == node), "{pinning:?}");
        assert!(pinning.emulator.0.iter().all(|cpu| cpu % 2 == node), "{pinning:?}");
    }
    assert!(!pin(&xeon, &on(0, AUTO)).unwrap().taken.0.contains(&0));
    // No word of the card: the socket that is not the host's.
    assert_eq!(pin(&xeon, &exactly(8)).unwrap().nodes.to_string(), "1");
    let both = pin(&xeon, &on(1, exactly(40))).unwrap();
    assert_eq!(both.guest, GuestTopology { sockets: 2, dies: 1, cores: 10, threads: 2 });
    assert_eq!(pin(&xeon, &on(1, AUTO)).unwrap().guest, GuestTopology { sockets: 1, dies: 1, cores: 18, threads: 2 });
}

#[test]
fn zen_5_before_zen_5c() {
    let hx = recorded("ryzen-ai9-hx370");
    assert_eq!(said(&hx, AUTO), "1 13 2 14 3 15 | 0,4-12,16-23 | 1:1:3:2");
    // Four of the large cores are not to be had, and four small ones share one cache.
    let of_kind = |kinds| PinningRequest { kinds, ..exactly(8) };
    for (kinds, room) in [(CoreKinds::Fitting, Some(6)), (CoreKinds::Efficient, None)] {
        assert_eq!(said(&hx, of_kind(kinds)), "4 16 5 17 6 18 7 19 | 0-3,8-15,20-23 | 1:1:4:2");
        assert_eq!(pin(&hx, &of_kind(kinds)).unwrap().instead_of, room);
    }
    assert_eq!(pin(&hx, &exactly(8)), Err(PinningError::TooFew(6)), "who asks for the fast ones gets no others");
    assert_eq!(kinds(&hx), Some(("fast", "slower")));
    let x3d = recorded("ryzen-9-7950x3d");
    assert_eq!((kinds(&x3d), pin(&x3d, &of_kind(CoreKinds::Efficient))), (None, Err(PinningError::NoSuchCores)));
}

/// A made-up processor: of each core its threads, its L3 and its node.
fn made_up(layout: &[(&[u32], usize, u32)]) -> Topology {
    let mut cpus: Vec<LogicalCpu> = Vec::new();
    for (threads, _, node) in layout {
        let siblings = CpuSet(threads.iter().copied().collect());
        cpus.extend(threads.iter().map(|cpu| LogicalCpu {
            cpu: *cpu,
            package: Some(*node),
            die: None,
            siblings: siblings.clone(),
            node: Some(*node),
            kind: None,
            max_khz: None,
        }));
    }
    cpus.sort_by_key(|cpu| cpu.cpu);
    let l3s: BTreeSet<usize> = layout.iter().map(|(_, l3, _)| *l3).collect();
    let of = |l3: usize| layout.iter().filter(move |core| core.1 == l3).flat_map(|core| core.0.iter().copied()).collect();
    let caches = l3s.into_iter().map(|l3| Cache { level: 3, cpus: CpuSet(of(l3)), size: Some(Size::from_mib(16)) }).collect();
    Topology {
        online: CpuSet(cpus.iter().map(|cpu| cpu.cpu).collect()),
        cpus,
        caches,
        isolated: CpuSet::default(),
        used: CpuSet::default(),
        of_guests: None,
        nohz_full: vgapt::model::Reading::default(),
    }
}

#[test]
fn without_smt() {
    let topology = made_up(&[(&[0], 0, 0), (&[1], 0, 0), (&[2], 0, 0), (&[3], 0, 0)]);
    assert_eq!(said(&topology, AUTO), "1 2 3 | 0 | 1:1:3:1");
    assert_eq!(said(&topology, exactly(2)), "1 2 | 0,3 | 1:1:2:1");
    assert_eq!(pin(&topology, &exactly(4)), Err(PinningError::TooFew(3)));
}

#[test]
fn isolated_cores_are_the_guests_and_nobody_elses() {
    let mut topology = made_up(&[(&[0, 4], 0, 0), (&[1, 5], 0, 0), (&[2, 6], 0, 0), (&[3, 7], 0, 0)]);
    topology.isolated = "2-3,6-7".parse().unwrap();
    assert_eq!(said(&topology, exactly(4)), "2 6 3 7 | 0-1,4-5 | 1:1:2:2");
    assert_eq!(said(&topology, exactly(2)), "2 6 | 0-1,4-5 | 1:1:1:2");
    assert_eq!(said(&topology, AUTO), "2 6 3 7 | 0-1,4-5 | 1:1:2:2");
    // More than were isolated.
    assert_eq!(said(&topology, exactly(6)), "1 5 2 6 3 7 | 0,4 | 1:1:3:2");
    assert_eq!([4, 6].map(|cpus| pin(&topology, &exactly(cpus)).unwrap().room_isolated), [None, Some(4)]);
}

#[test]
fn the_nodes_beside_the_cards_come_first() {
    // Four nodes of two cores, each with a cache of its own.
    let numbers: Vec<[u32; 1]> = (0..8).map(|cpu| [cpu]).collect();
    let layout: Vec<(&[u32], usize, u32)> =
        numbers.iter().enumerate().map(|(at, cpu)| (&cpu[..], at / 2, u32::try_from(at / 2).unwrap())).collect();
    let mut topology = made_up(&layout);
    topology.cpus.iter_mut().for_each(|cpu| cpu.package = Some(0));
    assert_eq!(pin(&topology, &on(2, exactly(2))).unwrap().nodes.to_string(), "2");
    assert_eq!(pin(&topology, &on(2, exactly(4))).unwrap().nodes.to_string(), "2-3");
    assert_eq!(pin(&topology, &on(1, exactly(3))).unwrap().nodes.to_string(), "0-1");
    assert_eq!(pin(&topology, &on(3, exactly(3))).unwrap().vcpus, [4, 6, 7]);
}

#[test]
fn an_odd_number_leaves_no_half_core_to_the_host() {
    let topology = made_up(&[(&[0, 4], 0, 0), (&[1, 5], 0, 0), (&[2, 6], 0, 0), (&[3, 7], 0, 0)]);
    assert_eq!(said(&topology, exactly(3)), "1 5 2 | 0,3-4,7 | 1:1:3:1");
    assert_eq!(pin(&topology, &exactly(3)).unwrap().taken.to_string(), "1-2,5-6");
    assert_eq!(said(&topology, exactly(1)), "1 | 0,2-4,6-7 | 1:1:1:1");
}

#[test]
fn a_core_with_a_thread_offline_comes_last() {
    // CPU 5, the sibling of 1, is offline.
    let topology = made_up(&[(&[0, 4], 0, 0), (&[1], 0, 0), (&[2, 6], 0, 0), (&[3, 7], 0, 0)]);
    assert_eq!(said(&topology, exactly(4)), "2 6 3 7 | 0-1,4 | 1:1:2:2");
    assert_eq!(said(&topology, exactly(5)), "2 6 3 7 1 | 0,4 | 1:1:5:1");
}

#[test]
fn nothing_to_give() {
    assert_eq!(pin(&Topology::default(), &AUTO), Err(PinningError::Unknown));
    assert_eq!(pin(&made_up(&[(&[0, 1], 0, 0)]), &AUTO), Err(PinningError::OneCore));
    assert_eq!(said(&made_up(&[(&[0, 1], 0, 0), (&[2, 3], 0, 0)]), AUTO), "2 3 | 0-1 | 1:1:1:2");
}

/// Up to four nodes with up to three caches of up to five cores, some threads offline, CPU numbers as kernels give them.
fn any_topology() -> impl Strategy<Value = Topology> {
    let cores = proptest::collection::vec((0_u32..4, 0_usize..3, 1_u32..3, any::<bool>()), 1..24);
    cores.prop_map(|cores| {
        let count = u32::try_from(cores.len()).unwrap();
        let threads: Vec<Vec<u32>> =
            (0..count).zip(&cores).map(|(index, core)| if core.2 == 2 { vec![index, index + count] } else { vec![index] }).collect();
        let layout: Vec<(&[u32], usize, u32)> =
            cores.iter().zip(&threads).map(|(core, threads)| (threads.as_slice(), core.0 as usize * 3 + core.1, core.0)).collect();
        let mut topology = made_up(&layout);
        for (cpu, core) in topology.cpus.iter_mut().zip(&cores) {
            cpu.kind = Some(if core.3 { "core" } else { "atom" }.into());
        }
        topology
    })
}

proptest! {
    #[test]
    fn the_laws_hold_on_any_topology(
        topology in any_topology(),
        count in prop_oneof![Just(Count::Auto), (1_u32..48).prop_map(Count::Exactly)],
        wanted in prop_oneof![Just(CoreKinds::Performance), Just(CoreKinds::Efficient), Just(CoreKinds::Any)],
        node in proptest::option::of(0_u32..5),
    ) {
        let all = cores(&topology);
        let whole: BTreeSet<u32> = all.iter().flat_map(|core| core.cpus.iter().copied()).collect();
        prop_assert_eq!(&whole, &topology.online.0, "each CPU is in one core");
        let Ok(pinning) = pin(&topology, &PinningRequest { count, kinds: wanted, node }) else { return Ok(()) };
        let Pinning { vcpus, taken, emulator, guest, .. } = &pinning;
        let distinct: BTreeSet<u32> = vcpus.iter().copied().collect();
        prop_assert_eq!(distinct.len(), vcpus.len());
        prop_assert!(distinct.is_subset(&taken.0) && taken.0.is_subset(&topology.online.0));
        if let Count::Exactly(count) = count {
            prop_assert_eq!(vcpus.len(), count as usize);
        }
        prop_assert_eq!((guest.sockets * guest.dies * guest.cores * guest.threads) as usize, vcpus.len());
        // Never half a core, and never the host's first.
        for core in &all {
            let of_guest = core.cpus.iter().filter(|cpu| taken.0.contains(cpu)).count();
            prop_assert!(of_guest == 0 || of_guest == core.cpus.len(), "half of {core:?} in {pinning:?}");
        }
        prop_assert!(all[0].cpus.iter().all(|cpu| !taken.0.contains(cpu)));
        prop_assert!(!emulator.0.is_empty() && emulator.0.is_disjoint(&taken.0));
        // Siblings of the host are siblings of the guest.
        for core in vcpus.chunks(guest.threads as usize).filter(|_| guest.threads > 1) {
            prop_assert!(all.iter().any(|known| known.cpus == core), "{core:?} is no core");
        }
        // Only what was asked for.
        let of_guest: Vec<&Core> = all.iter().filter(|core| taken.0.contains(&core.first())).collect();
        let asked = |core: &&Core| wanted == CoreKinds::Any || core.is_efficient == (wanted == CoreKinds::Efficient);
        prop_assert!(of_guest.iter().all(asked));
        // Across caches only where no cache on the card's node has as many cores free.
        if pinning.caches > 1 && guest.threads > 1 {
            let threads = guest.threads as usize;
            let fits = |l3: usize| all[1..].iter().filter(|core| {
                core.l3 == l3 && core.cpus.len() == threads && of_guest[0].is_efficient == core.is_efficient
                    && pinning.nodes.0.contains(&core.node)
            }).count() >= of_guest.len();
            prop_assert!(wanted == CoreKinds::Any || !of_guest.iter().any(|core| fits(core.l3)), "{pinning:?}");
        }
    }
}
