//! What the kernel's event `kvm:kvm_exit` counted: the table of a histogram trigger (Documentation/trace/histogram.rst), and
//! the names of the reasons in the event's own format, which differ between Intel's and AMD's processors and grow with the
//! kernel.

use std::collections::BTreeMap;

/// The keys of the table that is read here.
pub const KEYS: &str = "common_pid,isa,exit_reason";
/// The instruction set of Intel's processors in the event (`KVM_ISA_VMX` of arch/x86/kvm/trace.h); AMD's is 2.
const VMX: u64 = 1;
/// Intel's reasons are the low half of the number; above it are flags (`EXIT_REASON_FAILED_VMENTRY`).
const VMX_REASON: u64 = 0xffff;

/// How often each thread left the guest, by the reason.
///
/// # Errors
/// Where the table does not have all of them.
pub fn exit_reasons(table: &str, format: &str) -> Result<BTreeMap<u32, BTreeMap<String, u64>>, String> {
    let number = |line: &str, key: &str| -> Option<u64> {
        let rest = line.split_once(&format!("{key}:"))?.1.trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    // `Dropped: 0` below the table; what found no place in it is counted there.
    match table.lines().find_map(|line| number(line, "Dropped")) {
        Some(0) => {}
        Some(dropped) => return Err(format!("the kernel's table was too small for {dropped} exits")),
        None => return Err("the kernel's table of exits is not as expected".to_owned()),
    }
    let (vmx, svm) = (names(format, 0), names(format, 1));
    let mut all: BTreeMap<u32, BTreeMap<String, u64>> = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with('{')) {
        let of = |key: &str| number(line, key);
        let (Some(thread), Some(isa), Some(reason), Some(hits)) = (of("common_pid"), of("isa"), of("exit_reason"), of("hitcount")) else {
            return Err(format!("the kernel's table of exits has a line that is not as expected: {line}"));
        };
        let thread = u32::try_from(thread).map_err(|_| format!("the kernel's table of exits names a thread {thread}"))?;
        let (names, reason) = if isa == VMX { (&vmx, reason & VMX_REASON) } else { (&svm, reason) };
        let name = names.get(&reason).cloned().unwrap_or_else(|| format!("reason {reason}"));
        let count = all.entry(thread).or_default().entry(name).or_default();
        *count = count.saturating_add(hits);
    }
    Ok(all)
}

/// The names of one list of the event's format: `__print_symbolic(REC->exit_reason, { 0x078, "hlt" }, …)`. The first is
/// Intel's, the second AMD's.
fn names(format: &str, list: usize) -> BTreeMap<u64, String> {
    let text = format.split("__print_symbolic(").nth(list + 1).unwrap_or_default();
    let pair = |part: &str| {
        let (number, name) = part.split('}').next()?.split_once(',')?;
        let number = number.trim();
        let number = number.strip_prefix("0x").map_or_else(|| number.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())?;
        Some((number, name.trim().trim_matches('"').to_owned()))
    };
    // What follows the list is another one.
    let end = text.find("})").unwrap_or(text.len());
    text[..end].split('{').skip(1).filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.12 writes it, shortened.
    const FORMAT: &str = "name: kvm_exit\nID: 1500\nprint fmt: \"vcpu %u reason %s%s%s rip 0x%lx\", REC->vcpu_id, (REC->isa == 1) ? \
        __print_symbolic(REC->exit_reason & 0xffff, { 0, \"EXCEPTION_NMI\" }, { 12, \"HLT\" }, { 30, \"IO_INSTRUCTION\" }) : \
        __print_symbolic(REC->exit_reason, { 0x000, \"read_cr0\" }, { 0x078, \"hlt\" }, { -1, \"invalid_guest_state\" }), \
        (REC->isa == 1 && REC->exit_reason & ~0xffff) ? \" \" : \"\", __print_flags(REC->exit_reason & ~0xffff, \" \", { 0x80000000, \"FAILED_VMENTRY\" })";
    const TABLE: &str = "# event histogram\n#\n# trigger info: hist:keys=common_pid,isa,exit_reason:vals=hitcount:sort=hitcount:size=8192 [active]\n#\n\n\
        { common_pid:       4250, isa:          1, exit_reason:         12 } hitcount:          7\n\
        { common_pid:       4250, isa:          1, exit_reason: 2147483678 } hitcount:          2\n\
        { common_pid:       4250, isa:          1, exit_reason:         77 } hitcount:          3\n\
        { common_pid:       4251, isa:          2, exit_reason:        120 } hitcount:         90\n\nTotals:\n    Hits: 102\n    Entries: 4\n    Dropped: 0\n";

    #[test]
    fn reasons_have_the_names_of_their_processor() {
        let all = exit_reasons(TABLE, FORMAT).unwrap();
        let of = |thread: u32| all[&thread].iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>();
        // One that this kernel's list does not have is shown by its number.
        assert_eq!(of(4250), [("HLT", 7), ("IO_INSTRUCTION", 2), ("reason 77", 3)]);
        assert_eq!(of(4251), [("hlt", 90)]);
        // A format that cannot be read takes the names, not the counts.
        assert_eq!(exit_reasons(TABLE, "").unwrap()[&4251], BTreeMap::from([("reason 120".to_owned(), 90)]));
    }

    #[test]
    fn a_table_that_is_not_whole_is_no_answer() {
        for table in ["", "{ common_pid: 1, isa: 1, exit_reason: 2 } hitcount: 3\n", &TABLE.replace("Dropped: 0", "Dropped: 5")] {
            assert!(exit_reasons(table, FORMAT).is_err(), "{table}");
        }
        assert!(exit_reasons(&TABLE.replace("exit_reason", "reason"), FORMAT).is_err());
        for end in (0..TABLE.len()).chain([TABLE.len()]) {
            assert!(exit_reasons(&TABLE[..end], FORMAT).is_err() || end > TABLE.len() - 3, "{end}");
            names(FORMAT.get(..end * 2).unwrap_or(FORMAT), 1);
        }
    }
}
