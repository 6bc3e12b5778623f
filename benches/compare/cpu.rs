//! CPU time where libvirt or a user waits for vgapt: as the kernel counts it for a process and its children (getrusage, which
//! bash's `time` prints). The hook runs in namespaces of its own, in a tree that has their `/proc`, and takes nothing from this machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::goals::Goals;
use crate::programs::VGAPT;
use crate::trees::{Trees, write};

/// How often each is run; bash tells of thousandths of a second for all of them, or at a start for each.
const ROUNDS: u32 = 20;
/// How often these are run: the machine may be busy meanwhile, so the median counts.
const BATCHES: u32 = 5;
/// Open files on the host, in this many processes.
const FILES: u32 = 12_000;
const PROCESSES: u32 = 40;
const MACHINE: &str = "z170-gtx960";
const NOUVEAU: &str = "/sys/bus/pci/drivers/nouveau";

/// Opens the files, and then runs the rest of it.
const HOST: &str = r#"
set -e
mount -t proc proc "$1/proc"
ulimit -n 4096
for ((process = 0; process < PROCESSES; process++)); do
    (for ((file = 0; file < FILES / PROCESSES; file++)); do exec {open}</dev/zero; done; exec sleep 1000) &
done
until [ "$(ls -d "$1"/proc/[0-9]*/fd/* 2>/dev/null | wc -l)" -ge "$FILES" ]; do sleep 0.1; done
"#;
/// The start of a domain, which takes the card from its driver, and its end, so that the next start finds what the first found.
const START: &str = r#"
TIMEFORMAT='%3U %3S'
for ((round = 0; round < ROUNDS; round++)); do
    time "$VGAPT" --root "$1" hook it prepare begin - <"$2" || exit
    grep -q 0000:01:00.0 "$1/sys/bus/pci/drivers/nouveau/unbind" || { echo "the hook took no function from its driver" >&2; exit 1; }
    "$VGAPT" --root "$1" hook it release end - <"$2"
    : >"$1/sys/bus/pci/drivers/nouveau/unbind"
done
"#;
const OTHERS: &str = r#"
TIMEFORMAT='%3U %3S'
for ((batch = 0; batch < BATCHES; batch++)); do time for ((round = 0; round < ROUNDS; round++)); do "$VGAPT" hook it prepare begin - <"$2" || exit; done; done
"#;
const CHECK: &str = r#"
TIMEFORMAT='%3U %3S'
for ((batch = 0; batch < BATCHES; batch++)); do time for ((round = 0; round < ROUNDS; round++)); do "$VGAPT" --root "$1" check; [ $? -le 1 ] || exit; done; done
"#;

/// Runs all of it.
pub(crate) fn measure(trees: &Trees, goals: &mut Goals) -> Result<()> {
    let machine = |name: &str| trees.recorded.iter().find(|tree| tree.name == name).ok_or("a machine is not among the fixtures");
    let (tree, folder) = (&machine(MACHINE)?.path, trees.directory.path());
    let (own, other) = (folder.join("own.xml"), folder.join("other.xml"));
    let domain = |record: &str| {
        format!(
            "<domain type='kvm'><name>it</name>{record}<memory unit='MiB'>512</memory><devices><hostdev mode='subsystem' type='pci' \
             managed='yes'><source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source></hostdev></devices></domain>"
        )
    };
    let record = "<metadata><vgapt:domain xmlns:vgapt='urn:vgapt:domain:1'>{\"request\":{},\"passed\":[{\"address\":\"0000:01:00.0\",\
                  \"id\":\"10de:1401\",\"subsystem\":null}],\"wrote\":{}}</vgapt:domain></metadata>";
    fs::write(&own, domain(record))?;
    fs::write(&other, domain(""))?;
    for path in ["unbind", "bind"] {
        write(tree, &format!("{NOUVEAU}/{path}"), "")?;
    }
    // Its nodes are what is looked for.
    for path in ["drm/card1/uevent", "drm/renderD129/uevent", "drm/card1/card1-DP-1/i2c-3/name", "i2c-2/name"] {
        write(tree, &format!("/sys/bus/pci/devices/0000:01:00.0/{path}"), "")?;
    }
    let largest = trees.recorded.iter().max_by_key(|tree| tree.functions).ok_or("there are no fixtures")?;
    println!("\nCPU time, user and system");
    let mut row = |what: &str, most: f64, found: f64| {
        println!("  {what:60}{found:8.1} ms");
        goals.that(found <= most, format!("{what}: at most {most} ms of CPU; {found:.1} ms"));
    };
    row("hook for a domain that is not vgapt's", 3.0, each(&run(OTHERS, tree, &other, &[])?, ROUNDS)?);
    let own_namespaces = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"];
    let start = run(&format!("{HOST}{START}"), tree, &own, &own_namespaces)?;
    row(&format!("hook at the start of a domain of vgapt's, with {FILES} open files"), 50.0, each(&start, 1)?);
    row("check of the largest recorded machine", 50.0, each(&run(CHECK, &largest.path, &other, &[])?, ROUNDS)?);
    Ok(())
}

/// What bash's `time` printed.
fn run(script: &str, tree: &Path, domain: &Path, by: &[&str]) -> Result<String> {
    let words: Vec<&str> = by.iter().copied().chain(["bash", "-c", script, "bash"]).collect();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(tree)
        .arg(domain)
        .env("VGAPT", VGAPT)
        .env("LC_ALL", "C")
        .env_remove("VGAPT_VGA_BUS")
        .env_remove("LD_LIBRARY_PATH");
    for (name, value) in [("ROUNDS", ROUNDS), ("BATCHES", BATCHES), ("FILES", FILES), ("PROCESSES", PROCESSES)] {
        command.env(name, value.to_string());
    }
    let ran = command.stdin(Stdio::null()).stdout(Stdio::null()).output()?;
    let said = String::from_utf8(ran.stderr)?;
    if ran.status.success() { Ok(said) } else { Err(format!("{:?} of {words:?}: {said}", ran.status).into()) }
}

/// Milliseconds of a run: the median of the lines, each of which is of so many runs.
fn each(said: &str, runs: u32) -> Result<f64> {
    let time = |line: &str| line.split_whitespace().map(str::parse::<f64>).sum::<std::result::Result<f64, _>>();
    let mut times = said.lines().map(time).collect::<std::result::Result<Vec<f64>, _>>().map_err(|error| format!("{error}: {said}"))?;
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).ok_or("time printed nothing")? * 1000.0 / f64::from(runs))
}
