//! Looking Glass's kernel module: what the host gets of `prepare`, what the domain gets of `define`, and what is said where
//! something is missing.

#[path = "support/command.rs"]
mod command;

use std::fs;
use std::process::Command;

use command::{Z170, run, vgapt};
use tempfile::TempDir;
use vgapt::discovery::{self, Scope};
use vgapt::domain::{self, Base, Extras, NewDomain, Origin, Request, Without};
use vgapt::model::{Files, Host, Kvmfr, Libvirt, Reading, Uri, allows_device};
use vgapt::root::Root;
use vgapt::xml::Document;

const QEMU_CONF: &str = "# mine\nuser = \"root\"\n#cgroup_device_acl = [\n#    \"/dev/null\", \"/dev/full\", \"/dev/zero\",\n#    \"/dev/random\"\n#]\nmax_core = \"unlimited\" # x\n";

/// The machine of the guide's author with the module, and this qemu.conf.
fn machine(folder: &TempDir, conf: &str, more: &str) -> String {
    let text = fs::read_to_string(Z170).unwrap();
    let release = discovery::read(&Root::open(Z170.as_ref()).unwrap(), Scope::All).platform.kernel.unwrap();
    let file = folder.path().join("machine.host");
    let conf: String = conf.lines().map(|line| format!("| {line}\n")).collect();
    let module =
        format!("[/lib/modules/{release}]\nmodules.dep |\n| updates/dkms/kvmfr.ko.xz:\n| kernel/drivers/vfio/pci/vfio-pci.ko.xz:\n");
    fs::write(&file, format!("{text}\n[/etc/libvirt]\nqemu.conf 0600 |\n{conf}{module}{more}")).unwrap();
    file.display().to_string()
}

fn host(kvmfr: Kvmfr) -> Host {
    Host { kvmfr, ..discovery::read(&Root::open(Z170.as_ref()).unwrap(), Scope::All) }
}

fn ready() -> Kvmfr {
    Kvmfr { node: Reading::Known(Some(true)), mib: Reading::Known(128), module: Reading::Known(true), is_allowed: Reading::Known(true) }
}

fn wish(screen: &str) -> Request {
    Request { extras: Extras { looking_glass: screen.parse().ok(), ..Extras::default() }, ..Request::default() }
}

fn define(xml: &str, host: &Host, request: &Request) -> (String, Vec<&'static str>) {
    let new = xml.is_empty().then(NewDomain::default);
    let text = if xml.is_empty() { domain::template("windows") } else { xml };
    let origin = Origin { domain: Document::parse(text).unwrap(), name: "x", uri: Uri::DEFAULT, new };
    let base = Base::define(origin, request, &Request::default());
    let resolved = domain::resolve(&base, host, &Files::default(), &Libvirt::default());
    let after = domain::merge(&base.domain, &resolved.spec);
    assert_eq!(domain::differences(&resolved.spec, &after), Vec::<String>::new());
    (after.to_string(), resolved.findings.iter().map(|finding| finding.code).collect())
}

#[test]
fn the_domain_has_the_module_where_all_is_there_and_shared_memory_else() {
    let (with, said) = define("", &host(ready()), &wish("2560x1440"));
    assert!(with.contains("\"mem-path\":\"/dev/kvmfr0\",\"size\":134217728,") || with.contains("&quot;size&quot;:134217728"), "{with}");
    assert!(!with.contains("<shmem") && with.contains("xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"), "{with}");
    assert!(said.contains(&"looking-glass-guest") && !said.contains(&"looking-glass"), "{said:?}");
    for lacking in [
        Kvmfr { node: Reading::Absent, ..ready() },
        Kvmfr { node: Reading::Known(Some(false)), ..ready() },
        Kvmfr { node: Reading::Known(None), ..ready() },
        Kvmfr { mib: Reading::Known(32), ..ready() },
        Kvmfr { mib: Reading::Known(100), ..ready() },
        Kvmfr { mib: Reading::Unknown("x".into()), ..ready() },
        Kvmfr { is_allowed: Reading::Known(false), ..ready() },
        Kvmfr { is_allowed: Reading::Unknown("x".into()), ..ready() },
    ] {
        assert_eq!(lacking.missing(64).len(), 1, "{lacking:?}");
        let (xml, said) = define("", &host(lacking), &wish("2560x1440"));
        assert!(xml.contains("<shmem name='looking-glass'>") && !xml.contains("kvmfr"), "{xml}");
        assert!(said.contains(&"looking-glass") && said.contains(&"looking-glass-module"), "{said:?}");
    }
    let (_, said) = define("", &host(Kvmfr::default()), &wish("2560x1440"));
    assert!(!said.contains(&"looking-glass-module"), "nothing is known of a module: {said:?}");
}

#[test]
fn it_comes_and_goes_and_the_options_of_others_stay() {
    let out = Request { without: Without { no_looking_glass: true, ..Without::default() }, ..Request::default() };
    let plain = |xml: &str| xml.lines().filter(|line| !line.contains("vgapt:domain")).map(str::to_owned).collect::<Vec<_>>();
    let q = "http://libvirt.org/schemas/domain/qemu/1.0";
    let own = format!(
        "<domain type='kvm' xmlns:q='{q}'>\n  <name>x</name>\n  <devices/>\n  <q:commandline>\n    <q:arg value='-device'/>\n    <q:arg value='usb-mouse'/>\n    <q:env name='A' value='1'/>\n  </q:commandline>\n</domain>\n"
    );
    let unused = format!("<domain type='kvm' xmlns:qemu='{q}'>\n  <name>x</name>\n  <devices/>\n</domain>\n");
    let none = "<domain type='kvm'>\n  <name>x</name>\n  <devices/>\n</domain>\n";
    for before in [none, &unused, &own] {
        let (with, _) = define(before, &host(ready()), &wish("2560x1440"));
        assert_eq!(with.matches(":arg value='-object'").count(), 1, "{with}");
        for again in [wish("2560x1440"), Request::default()] {
            assert_eq!(define(&with, &host(ready()), &again).0, with, "a second merge changes nothing");
            // The state of the host alone changes nothing either.
            assert_eq!(define(&with, &host(Kvmfr::default()), &again).0, with);
        }
        // What a screen of this size brings besides: its window. Shared memory goes as before.
        let (shared, _) = define(before, &host(Kvmfr::default()), &wish("2560x1440"));
        assert_eq!(plain(&define(&with, &host(ready()), &out).0), plain(&define(&shared, &host(ready()), &out).0));
        // A host that is prepared since.
        let (later, _) = define(&shared, &host(ready()), &wish("2560x1440"));
        assert!(!later.contains("<shmem") && later.contains("kvmfr0"), "{later}");
        // A larger screen than the module has memory for.
        let (large, said) = define(&with, &host(ready()), &wish("7680x4320"));
        assert!(large.contains("<shmem") && !large.contains("kvmfr") && said.contains(&"looking-glass-module"), "{large}");
    }
    let (with, _) = define(&own, &host(ready()), &wish("2560x1440"));
    assert!(with.contains("<q:arg value='usb-mouse'/>\n    <q:env name='A' value='1'/>\n    <q:arg value='-object'/>"), "{with}");
    assert!(!with.contains("xmlns:qemu"), "{with}");
}

#[test]
fn libvirts_schema_has_the_options() {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/schemas/libvirt/domain.rng");
    let folder = tempfile::tempdir().unwrap();
    let (xml, _) = define("", &host(ready()), &wish("2560x1440"));
    let file = folder.path().join("domain.xml");
    fs::write(&file, &xml).unwrap();
    let output = Command::new("xmllint").args(["--noout", "--relaxng", schema]).arg(&file).output().expect("xmllint is installed");
    assert!(output.status.success(), "{}\n{xml}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn prepared_and_undone_in_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let capture = machine(&folder, QEMU_CONF, "[/etc/apparmor.d/abstractions]\nlibvirt-qemu = x\n");
    let tree = folder.path().join("tree");
    vgapt::root::Capture::load(capture.as_ref()).unwrap().unpack(&tree).unwrap();
    let at = |path: &str| tree.join(path);
    let root = tree.display().to_string();
    let conf = at("etc/libvirt/qemu.conf");
    let before = fs::read(&conf).unwrap();
    let prepare = ["--root", &root, "prepare", "--looking-glass", "2560x1440", "--yes"];
    let said = run(&mut vgapt(prepare)).with(0).stdout;
    assert!(said.contains("reboot: the module of Looking Glass"), "{said}");
    assert!(!said.contains("vfio-pci"), "the card was not asked for: {said}");
    let text = |path: &str| fs::read_to_string(at(path)).unwrap();
    assert!(text("etc/modprobe.d/vgapt-kvmfr.conf").ends_with("\noptions kvmfr static_size_mb=64\n"));
    assert!(text("etc/modules-load.d/vgapt-kvmfr.conf").ends_with("\nkvmfr\n"));
    assert!(text("etc/udev/rules.d/70-vgapt-kvmfr.rules").contains("SUBSYSTEM==\"kvmfr\", GROUP=\"kvm\", MODE=\"0660\""));
    assert!(text("etc/apparmor.d/local/abstractions/libvirt-qemu").contains("/dev/kvmfr0 rw,"));
    let after = text("etc/libvirt/qemu.conf");
    assert_eq!(allows_device(&after, "/dev/kvmfr0"), Ok(true));
    assert!(after.contains("\"/dev/random\",\n    \"/dev/kvmfr0\"\n]\nmax_core"), "{after}");
    run(&mut vgapt(prepare)).with(0).saying(&["already up to date"]);
    // Another size is a change of vgapt's own line.
    run(&mut vgapt(["--root", &root, "prepare", "--looking-glass", "3840x2160", "--yes"])).with(0);
    assert!(text("etc/modprobe.d/vgapt-kvmfr.conf").ends_with("\noptions kvmfr static_size_mb=128\n"));
    run(&mut vgapt(["--root", &root, "undo", "--yes"])).with(0);
    assert_eq!(fs::read(&conf).unwrap(), before);
    for path in ["etc/modprobe.d/vgapt-kvmfr.conf", "etc/modules-load.d/vgapt-kvmfr.conf", "etc/udev/rules.d/70-vgapt-kvmfr.rules"] {
        assert!(!at(path).exists(), "{path}");
    }
    assert!(!at("etc/apparmor.d/local/abstractions/libvirt-qemu").exists());
}

#[test]
fn what_prepare_refuses_of_the_module() {
    let folder = tempfile::tempdir().unwrap();
    let prepare = |root: &str| run(&mut vgapt(["--root", root, "prepare", "--looking-glass", "2560x1440", "--dry-run"]));
    prepare(Z170).with(1).saying(&["kvmfr"]);
    let broken = machine(&folder, "cgroup_device_acl = [ \"/dev/null\"\n", "");
    prepare(&broken).with(1).saying(&["/etc/libvirt/qemu.conf, line", "nothing was changed"]);
    let small = machine(&folder, QEMU_CONF, "[/etc/modprobe.d]\nmine.conf = options kvmfr static_size_mb=32\n");
    prepare(&small).with(1).saying(&["/etc/modprobe.d/mine.conf, line 1", "static_size_mb=64"]);
    for line in ["blacklist kvmfr", "install kvmfr /bin/false"] {
        let kept_out = machine(&folder, QEMU_CONF, &format!("[/etc/modprobe.d]\nmine.conf = {line}\n"));
        prepare(&kept_out).with(1).saying(&["/etc/modprobe.d/mine.conf, line 1", "keeps the module of Looking Glass from being loaded"]);
    }
    let enough = machine(&folder, QEMU_CONF, "[/etc/modprobe.d]\nmine.conf = options kvmfr static_size_mb=128\n");
    let said = prepare(&enough).with(0);
    assert!(!said.stdout.contains("/etc/modprobe.d/vgapt-kvmfr.conf") && said.stdout.contains("/etc/modules-load.d/vgapt-kvmfr.conf"));
}

#[test]
fn checked() {
    let folder = tempfile::tempdir().unwrap();
    let check = |more: &str| run(&mut vgapt(["--root", &machine(&folder, QEMU_CONF, more), "-v", "check"])).stdout;
    assert!(check("").contains("is there, and not set up for a guest"));
    let prepared = "[/etc/modules-load.d]\nvgapt-kvmfr.conf = kvmfr\n[/dev]\nkvmfr0 0600 ? 0\n[/etc/modprobe.d]\nx.conf = options kvmfr static_size_mb=64\n";
    let said = check(prepared);
    assert!(said.contains("cgroup_device_acl of /etc/libvirt/qemu.conf does not name /dev/kvmfr0"), "{said}");
    assert!(
        check(&format!("{prepared}y.conf = blacklist kvmfr\n")).contains("keeps the module of Looking Glass from being loaded at boot")
    );
    // A file that QEMU made in place of the node.
    assert!(check(&prepared.replace("kvmfr0 0600 ? 0", "kvmfr0 0600 ? 67108864")).contains("there is no device /dev/kvmfr0"));
    assert!(!run(&mut vgapt(["--root", Z170, "-v", "check"])).stdout.contains("Looking Glass"));
}

/// libvirt itself reads the changed file; a broken one it refuses.
#[test]
fn libvirt_reads_the_changed_configuration() {
    let reads = |text: &str| {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/qemu.conf"), text).unwrap();
        let uri = format!("qemu:///embed?root={}", root.path().display());
        run(command::command("virsh").args(["-c", &uri, "uri"]))
    };
    let others =
        "security_driver = 'none'\ncgroup_device_acl = [\n  '/dev/null', \"/dev/zero\",\n]   # mine\nmax_core = 5\nrelaxed_acs_check = 1\n";
    if reads("").stderr.contains("no connection driver") || reads("").stderr.contains("No such file") {
        assert!(std::env::var_os("VGAPT_TEST_ALL").is_none(), "libvirt's QEMU driver is not installed");
        return;
    }
    for text in [QEMU_CONF, others, "", "cgroup_device_acl = []\n"] {
        let changed = vgapt::model::with_device(text, "/dev/kvmfr0").unwrap();
        reads(&changed).with(0);
        reads(&changed.replacen("\"/dev/kvmfr0\"", "\"/dev/kvmfr0", 1)).with(1);
        assert_eq!(allows_device(&changed, "/dev/kvmfr0"), Ok(true));
    }
    // What is refused here, libvirt does not read either.
    for odd in [
        "cgroup_device_acl = [ \"/dev/null\"",
        "cgroup_device_acl = [ \"/dev/null\" \"/dev/zero\" ]\n",
        "cgroup_device_acl = [ # x\n \"/dev/null\" ]\n",
        "x = 5 y = 6\n",
    ] {
        assert!(vgapt::model::with_device(odd, "/dev/kvmfr0").is_err());
        reads(odd).with(1);
    }
}
