//! Memory and huge pages: `/proc/meminfo`, `/sys/kernel/mm/hugepages`, `/proc/mounts`.

use crate::model::{HugepagePool, Memory, Size};
use crate::root::Root;

const NODES: &str = "/sys/devices/system/node";
const POOLS: &str = "/sys/kernel/mm/hugepages";

pub(super) fn read(root: &Root) -> Memory {
    let meminfo = root.text("/proc/meminfo").unwrap_or_default();
    let kib = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok().map(Size::from_kib)
    };
    let mut hugepages: Vec<HugepagePool> = root.names(POOLS).iter().filter_map(|name| pool(root, name)).collect();
    hugepages.sort_by_key(|pool| pool.page);
    Memory {
        total: kib("MemTotal"),
        available: kib("MemAvailable"),
        default_hugepage: kib("Hugepagesize"),
        hugepages,
        nodes: nodes(root),
        hugetlbfs: root.text("/proc/mounts").map(|mounts| hugetlbfs(&mounts)).unwrap_or_default(),
    }
}

/// The line `Node 0 MemTotal:       98304 kB` of each node.
fn nodes(root: &Root) -> Vec<(u32, Size)> {
    let total = |name: &String| {
        let text = root.text(&format!("{NODES}/{name}/meminfo")).ok()?;
        let line = text.lines().find_map(|line| line.split_once("MemTotal:"))?.1;
        Some((name.strip_prefix("node")?.parse().ok()?, Size::from_kib(line.trim().strip_suffix("kB")?.trim().parse().ok()?)))
    };
    root.names(NODES).iter().filter_map(total).collect()
}

/// A directory such as `hugepages-2048kB`.
fn pool(root: &Root, name: &str) -> Option<HugepagePool> {
    let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    let count = |file: &str| root.attribute(&format!("{POOLS}/{name}/{file}")).and_then(|text| text.parse().ok());
    Some(HugepagePool { page: Size::from_kib(kib), total: count("nr_hugepages")?, free: count("free_hugepages").unwrap_or(0) })
}

fn hugetlbfs(mounts: &str) -> Vec<(String, Option<Size>)> {
    let mount = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (place, kind, options) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let page = options.split(',').find_map(|option| option.strip_prefix("pagesize=")?.parse().ok());
        (kind == "hugetlbfs").then(|| (place.to_owned(), page))
    };
    mounts.lines().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        let mounts = "/dev/sda2 / ext4 rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\nx /big hugetlbfs rw,pagesize=1024M 0 0\ntruncated";
        assert_eq!(
            hugetlbfs(mounts),
            [("/dev/hugepages".to_owned(), Some(Size::from_mib(2))), ("/big".to_owned(), Some(Size::from_mib(1024)))]
        );
    }
}
