//! Which cores: those nearest to the card, in as few L3 caches as possible, the better caches first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Core;

/// What makes an L3 cache better than another: that it is on the card's node; its size; that the host
/// does not share it; the speed of its cores.
type Rank = (bool, u64, bool, u64);

/// Cores of one L3 cache that a guest may have.
#[derive(Clone)]
struct CacheDomain<'c> {
    cores: Vec<&'c Core>,
    rank: Rank,
}

/// What a guest may choose from.
pub(super) struct CandidateCores<'c> {
    /// All cores of the host.
    pub(super) all: &'c [Core],
    /// Those that a guest may have.
    pub(super) free: Vec<&'c Core>,
    pub(super) node: Option<u32>,
}

impl<'c> CandidateCores<'c> {
    /// The best `count` cores, in the guest's order; `None` if there are fewer.
    pub(super) fn choose(&self, count: usize) -> Option<Vec<&'c Core>> {
        let tiers = self.tiers();
        let mut best = tiers.iter().find_map(|tier| {
            let choices = tier.iter().filter_map(|scope| within(&self.domains(scope), count));
            choices.max_by_key(|(used, rank, _)| (Reverse(*used), *rank))
        })?;
        best.2.sort_by_key(|core| (core.package, core.node, core.l3, core.first()));
        Some(best.2)
    }

    /// How many free cores the best L3 cache has, as near to the card as possible.
    pub(super) fn best_cache(&self) -> usize {
        let tiers = self.tiers();
        let best = |tier: &Vec<Vec<&'c Core>>| {
            let domains = tier.iter().flat_map(|scope| self.domains(scope)).collect::<Vec<_>>();
            domains.into_iter().max_by_key(|domain| (domain.rank, domain.cores.len()))
        };
        tiers.iter().find_map(best).map_or(0, |domain| domain.cores.len())
    }

    /// From near to far: the card's node, one and then more of those beside it up to all of its package,
    /// any node, any package, the machine.
    fn tiers(&self) -> Vec<Vec<Vec<&'c Core>>> {
        let of = |wanted: &dyn Fn(&Core) -> bool| -> Vec<&'c Core> { self.free.iter().copied().filter(|core| wanted(core)).collect() };
        let node = self.node.filter(|node| self.all.iter().any(|core| core.node == *node));
        let package = node.and_then(|node| self.all.iter().find(|core| core.node == node)).map(|core| core.package);
        let nodes: BTreeSet<u32> = self.free.iter().map(|core| core.node).collect();
        let packages: BTreeSet<u32> = self.free.iter().map(|core| core.package).collect();
        let mut tiers: Vec<Vec<Vec<&Core>>> = Vec::new();
        if let Some(node) = node {
            // Those of a package are numbered together, and pairs of them lie side by side (sub-NUMA
            // clusters, AMD's quadrants).
            let of_package = |core: &&Core| Some(core.package) == package;
            let mut beside: Vec<u32> =
                self.all.iter().filter(of_package).map(|core| core.node).collect::<BTreeSet<_>>().into_iter().collect();
            beside.sort_by_key(|other| other ^ node);
            tiers.extend((1..=beside.len()).map(|many| vec![of(&|core| beside[..many].contains(&core.node))]));
        }
        tiers.push(nodes.iter().map(|node| of(&|core| core.node == *node)).collect());
        tiers.push(packages.iter().map(|package| of(&|core| core.package == *package)).collect());
        tiers.push(vec![self.free.clone()]);
        tiers
    }

    /// The L3 caches of some cores, the best first.
    fn domains(&self, scope: &[&'c Core]) -> Vec<CacheDomain<'c>> {
        let caches: BTreeSet<usize> = scope.iter().map(|core| core.l3).collect();
        let domain = |l3: &usize| {
            let mut cores: Vec<&Core> = scope.iter().copied().filter(|core| core.l3 == *l3).collect();
            cores.sort_by_key(|core| (Reverse(core.max_khz), core.first()));
            let kib = cores.first().map_or(0, |core| core.l3_kib);
            let is_whole = self.all.iter().filter(|core| core.l3 == *l3).count() == cores.len();
            let fastest = cores.first().map_or(0, |core| core.max_khz);
            let is_near = cores.first().is_some_and(|core| Some(core.node) == self.node);
            CacheDomain { cores, rank: (is_near, kib, is_whole, fastest) }
        };
        let mut domains: Vec<CacheDomain> = caches.iter().map(domain).collect();
        // Sorting is stable, so that of equal caches the first stays the first.
        domains.sort_by_key(|domain| Reverse(domain.rank));
        domains
    }
}

/// `count` cores of these caches: of one cache if it has enough, else of as few as possible, the same
/// number of each if possible; with the number of caches and the rank of the best one.
fn within<'c>(domains: &[CacheDomain<'c>], count: usize) -> Option<(usize, Rank, Vec<&'c Core>)> {
    let take = |domain: &CacheDomain<'c>, count: usize| domain.cores.iter().copied().take(count).collect::<Vec<_>>();
    if let Some(domain) = domains.iter().find(|domain| domain.cores.len() >= count) {
        return Some((1, domain.rank, take(domain, count)));
    }
    let mut by_size = domains.to_vec();
    by_size.sort_by_key(|domain| Reverse((domain.rank.0, domain.cores.len())));
    let mut reached = 0;
    let used = 1 + by_size.iter().position(|domain| {
        reached += domain.cores.len();
        reached >= count
    })?;
    let rank = by_size.iter().take(used).map(|domain| domain.rank).max()?;
    let share = count / used;
    let equal: Vec<&CacheDomain> = domains.iter().filter(|domain| domain.cores.len() >= share).take(used).collect();
    if share * used == count && equal.len() == used {
        return Some((used, rank, equal.into_iter().flat_map(|domain| take(domain, share)).collect()));
    }
    Some((used, rank, by_size.iter().flat_map(|domain| domain.cores.iter().copied()).take(count).collect()))
}
