//! What the kernel's events of KVM counted: the tables of histogram triggers (Documentation/trace/histogram.rst), and the names
//! of the reasons in the event's own format, which differ between Intel's and AMD's processors and grow with the kernel.

use std::collections::BTreeMap;

use crate::model::ExitTarget;

/// The event of each exit, and the trigger that counts it; a virtual CPU has some twenty reasons.
pub const EXIT_EVENT: (&str, &str) = ("events/kvm/kvm_exit", "hist:keys=common_pid,isa,exit_reason:size=8192");

/// An event that says what an exit was for.
pub struct TargetEvent {
    pub event: &'static str,
    /// The trigger that counts it. What finds no place in its table is not known; it is seldom what is most frequent.
    pub trigger: &'static str,
    field: &'static str,
    target: fn(u64) -> ExitTarget,
}

/// The memory of a device is read in two steps, of which the first (type 0) is not counted (`KVM_TRACE_MMIO_READ_UNSATISFIED`).
pub const TARGET_EVENTS: [TargetEvent; 3] = [
    TargetEvent { event: "events/kvm/kvm_pio", trigger: "hist:keys=common_pid,port:size=8192", field: "port", target: ExitTarget::Port },
    TargetEvent { event: "events/kvm/kvm_msr", trigger: "hist:keys=common_pid,ecx:size=8192", field: "ecx", target: ExitTarget::Register },
    TargetEvent {
        event: "events/kvm/kvm_mmio",
        trigger: "hist:keys=common_pid,gpa:size=8192 if type != 0",
        field: "gpa",
        target: ExitTarget::Memory,
    },
];
/// The instruction set of Intel's processors in the event (`KVM_ISA_VMX` of arch/x86/kvm/trace.h); AMD's is 2.
const VMX: u64 = 1;
/// Intel's reasons are the low half of the number; above it are flags (`EXIT_REASON_FAILED_VMENTRY`).
const VMX_REASON: u64 = 0xffff;

/// How often each thread left the guest, by the reason.
///
/// # Errors
/// Where the table does not have all of them.
pub fn exit_reasons(table: &str, format: &str) -> Result<BTreeMap<u32, BTreeMap<String, u64>>, String> {
    let (rows, dropped) = rows(table, ["isa", "exit_reason"])?;
    if dropped > 0 {
        return Err(format!("the kernel's table was too small for {dropped} exits"));
    }
    let (vmx, svm) = (names(format, 0), names(format, 1));
    let mut all: BTreeMap<u32, BTreeMap<String, u64>> = BTreeMap::new();
    for (thread, [isa, reason], hits) in rows {
        let (names, reason) = if isa == VMX { (&vmx, reason & VMX_REASON) } else { (&svm, reason) };
        let name = names.get(&reason).cloned().unwrap_or_else(|| format!("reason {reason}"));
        let count = all.entry(thread).or_default().entry(name).or_default();
        *count = count.saturating_add(hits);
    }
    Ok(all)
}

/// What each thread left the guest for.
///
/// # Errors
/// Where a table is not one.
pub fn exit_targets(tables: [&str; TARGET_EVENTS.len()]) -> Result<BTreeMap<u32, BTreeMap<ExitTarget, u64>>, String> {
    let mut all: BTreeMap<u32, BTreeMap<ExitTarget, u64>> = BTreeMap::new();
    for (event, table) in TARGET_EVENTS.iter().zip(tables) {
        for (thread, [number], hits) in rows(table, [event.field])?.0 {
            let count = all.entry(thread).or_default().entry((event.target)(number)).or_default();
            *count = count.saturating_add(hits);
        }
    }
    Ok(all)
}

/// A row: the thread, the other keys, and how often.
type Row<const N: usize> = (u32, [u64; N], u64);

/// The rows of a table, and how many events found no place in it.
fn rows<const N: usize>(table: &str, keys: [&str; N]) -> Result<(Vec<Row<N>>, u64), String> {
    let number = |line: &str, key: &str| -> Option<u64> {
        let rest = line.split_once(&format!("{key}:"))?.1.trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    // `Dropped: 0` below the table.
    let dropped = table.lines().find_map(|line| number(line, "Dropped")).ok_or("the kernel's table of exits is not as expected")?;
    let row = |line: &str| {
        let mut values = [0; N];
        for (value, key) in values.iter_mut().zip(keys) {
            *value = number(line, key)?;
        }
        Some((u32::try_from(number(line, "common_pid")?).ok()?, values, number(line, "hitcount")?))
    };
    let lines = table.lines().filter(|line| line.starts_with('{'));
    let rows: Result<_, String> = lines
        .map(|line| row(line).ok_or_else(|| format!("the kernel's table of exits has a line that is not as expected: {line}")))
        .collect();
    Ok((rows?, dropped))
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
    fn what_exits_were_for() {
        let table = |row: &str| format!("# event histogram\n\n{row}\nTotals:\n    Hits: 9\n    Entries: 1\n    Dropped: 3\n");
        let ports = table("{ common_pid:       4250, port:       1544 } hitcount:          7\n");
        let registers =
            table("{ common_pid:       4250, ecx:       1760 } hitcount:         11\n{ common_pid: 4251, ecx: 16 } hitcount: 1\n");
        let memory = table("{ common_pid:       4250, gpa: 4275044592 } hitcount:          2\n");
        let all = exit_targets([&ports, &registers, &memory]).unwrap();
        let shown: Vec<String> = all[&4250].iter().map(|(target, count)| format!("{target} {count}")).collect();
        assert_eq!(shown, ["port 0x608 7", "register 0x6e0 11", "memory 0xfed000f0 2"]);
        for target in all.values().flat_map(BTreeMap::keys) {
            assert_eq!(target.to_string().parse(), Ok(*target));
        }
        assert_eq!(all[&4251].len(), 1);
        assert!(exit_targets([&ports, &registers, ""]).is_err());
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
