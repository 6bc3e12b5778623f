//! Scripts as people publish them, rebuilt in our own words: what becomes of each of their options.

#[allow(dead_code)] // No machine is needed here.
#[path = "support/command.rs"]
mod command;
#[path = "support/small_scripts.rs"]
mod small_scripts;

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use command::{run, vgapt};

/// What the scripts leave for the environment, and what their commands print.
const GIVEN: [&str; 14] = [
    "QEMU_BINARY=qemu-system-x86_64",
    "VGAPT_FIRMWARE_BIN=/vm/OVMF_CODE.fd",
    "VGAPT_FIRMWARE_VARS_TMP=/vm/OVMF_VARS.fd",
    "CORES_NUMBER=4",
    "VGAPT_MEMORY=8192",
    "VGAPT_KEYBOARD_ID=046d:c31c",
    "VGAPT_MOUSE_ID=046d:c077",
    "VGAPT_VGA_BUS=01:00.0",
    "VGAPT_VGA_AUDIO_BUS=01:00.1",
    "VGAPT_DISK_IMAGE=/vm/win10.qcow2",
    "VGAPT_VIRTIO_DRIVERS_CD=/vm/virtio-win.iso",
    "VM_SHARED_FOLDERS=/srv/shared",
    "cat /sys/class/net/macvtap0/address=52:54:00:00:00:16",
    "cat /sys/class/net/macvtap0/ifindex=7",
];

fn scripts() -> Vec<String> {
    let entries = fs::read_dir("fixtures/scripts").unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let mut scripts: Vec<String> = entries.filter(|path| path.ends_with(".sh")).collect();
    scripts.sort();
    scripts
}

fn import(script: &str, what: &[&str]) -> command::Ran {
    let set = GIVEN.iter().flat_map(|given| ["--set", given]);
    run(&mut vgapt(["import", script].into_iter().chain(set).chain(what.iter().copied())))
}

/// The words of a script's QEMU command as bash itself hears them: the script is run with
/// programs of our own in place of all that it calls.
fn as_bash_hears_it(script: &str) -> Vec<String> {
    let own = "
        hear() { printf '%s\\n' \"$@\" >&9; }
        qemu-system-x86_64() { hear \"$@\"; }; qemu-kvm() { hear \"$@\"; }; /usr/bin/qemu-system-x86_64() { hear \"$@\"; }
        /usr/libexec/qemu-kvm() { hear \"$@\"; }
        pass() { while [ $# -gt 0 ]; do case $1 in *qemu-system-*|*qemu-kvm) break ;; esac; shift; done; \"$@\"; }
        sudo() { pass \"$@\"; }; taskset() { pass \"$@\"; }; exit() { return 0; }; exec() { pass \"$@\"; }
        for name in cp swtpm which qemu-img cat; do eval \"$name() { command -p cat >/dev/null </dev/null; return 0; }\"; done
        set +u; . \"$0\"";
    let mut bash = command::command("bash");
    bash.args(["-c", &format!("exec 9>&1 >/dev/null 2>&1\n{own}"), script]);
    for (name, value) in GIVEN.iter().filter_map(|given| given.split_once('=')).filter(|(name, _)| !name.contains(' ')) {
        bash.env(name, value);
    }
    run(&mut bash).stdout.lines().map(str::to_owned).collect()
}

#[test]
fn every_option_of_every_script_becomes_exactly_one_thing() {
    let mut fates: BTreeMap<String, usize> = BTreeMap::new();
    for script in scripts() {
        let json: Value = serde_json::from_str(&import(&script, &["--json"]).with(0).stdout).unwrap();
        let parts = json["parts"].as_array().unwrap();
        let told: Vec<String> = parts.iter().map(|part| part["option"].as_str().unwrap().to_owned()).collect();
        for part in parts {
            *fates.entry(part["fate"].as_str().unwrap().to_owned()).or_default() += 1;
            assert!(!part["how"].as_str().unwrap().is_empty(), "{script}: {part}");
        }
        // Nothing is lost and nothing is counted twice: the parts are the words that bash would give to QEMU.
        let heard: Vec<String> = as_bash_hears_it(&script);
        // What runs a command of the machine hears what that prints, or nothing.
        if script.contains("-macvtap-") || script.contains("00-guide") {
            continue;
        }
        let heard = heard.join(" ").replace(" --", " -").replace("-M ", "-machine ");
        let here = fs::canonicalize("fixtures/scripts").unwrap().display().to_string();
        assert_eq!(told.join(" ").replace(&here, "fixtures/scripts"), heard.replace(&here, "fixtures/scripts"), "{script}");
    }
    assert!(fates["native"] > 300 && fates["kept"] > 15 && fates["meaningless"] > 15, "{fates:?}");
}

#[test]
fn each_kind_of_trouble_is_right_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (number, small) in small_scripts::all(folder.path()).iter().enumerate() {
        let script = folder.path().join(format!("small-{number}.sh"));
        let ran = run(&mut vgapt(["import", script.to_str().unwrap(), "--print-xml"]));
        let ran = ran.with(i32::from(small.is_refused()));
        let said = format!("{}\n{}", ran.stderr, ran.stdout);
        for (sign, text) in &small.right {
            if said.contains(text) == (*sign == '-') {
                wrong.push(format!("{}{sign} {text}\n{said}", small.script));
            }
        }
        assert_eq!(ran.stdout.is_empty(), small.is_refused(), "{}", small.script);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_plain_script_is_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("start");
    let told = |text: &str, code: i32| {
        fs::write(&path, text).unwrap();
        let ran = run(&mut vgapt(["import", path.to_str().unwrap(), "--print-xml"])).with(code);
        ran.stderr + &ran.stdout
    };
    let q = "qemu-system-x86_64 -m 512 -M q35 -nodefaults";
    let said = told(&format!("The dog's tail\n\n```sh\n{q}\n```\n"), 0);
    assert!(said.contains(">524288</memory>") && said.contains("note: it is a page"), "{said}");
    let said = told("/usr/bin/qemu-system-x86_64\n-m 512\n-cpu host\n", 0);
    assert!(said.contains(">524288</memory>") && said.contains("host-passthrough") && said.contains("on separate lines"), "{said}");
    let makefile = folder.path().join("Makefile");
    fs::write(&makefile, format!("run: $(IMAGE)\n\t{q} -hda $(IMAGE)\n")).unwrap();
    run(&mut vgapt(["import", makefile.to_str().unwrap()])).with(1).saying(&["it is a makefile", "make -n TARGET"]);
    let said = told("[Service]\nExecStart=/usr/bin/qemu-system-x86_64 -m 1 -hda %h/a.img\n", 1);
    assert!(said.contains("line 2: what %h stands for is not known") && said.contains("--set SPECIFIER_h=VALUE"), "{said}");
    let said = told(&format!("mywrap.sh {q}\n"), 1);
    assert!(said.contains("mywrap.sh is not known to start it"), "{said}");
    for before in ["apt-get install qemu-system-x86", "killall qemu-system-x86_64"] {
        let said = told(&format!("{before}\n{q}\n"), 0);
        assert!(said.contains(">524288</memory>") && !said.contains("another QEMU command"), "{said}");
    }
    fs::write(folder.path().join("conf"), "MEM=512\n").unwrap();
    let said = told("source ./conf\nqemu-system-x86_64 -m $MEM -M q35\n", 0);
    assert!(said.contains(">524288</memory>"), "{said}");
    let said = told("QEMU=none\ncat <<EOF >run.sh\n#!/bin/sh\n$QEMU -m 512 \\\n -M q35\nEOF\nsh run.sh\n", 1);
    assert!(said.contains("the QEMU command of line 4 is not read: `cat <<EOF >run.sh` writes it into a file"), "{said}");
    let script = folder.path().join("set.sh");
    fs::write(&script, "GPU=01:00.0\nqemu-system-x86_64 -m $MEM -M q35 -device vfio-pci,host=$GPU\n").unwrap();
    let set =
        |more: &'static str| run(&mut vgapt(["import", script.to_str().unwrap(), "--print-xml", "--set", "GPU=02:00.0", "--set", more]));
    let unused = "'GPU=02:00.0' is not used: the script does not need it, or gives it another value itself";
    set("MEM=512").with(0).saying(&[unused, "host=01:00.0"]);
    set("MEN=512").with(1).saying(&[unused, "MEN=512' is not used", "$MEM is not set"]);
    let said = told("source ./nosuch\nqemu-system-x86_64 -m $MEM -M q35\n", 1);
    assert!(said.contains("the file ./nosuch is not read"), "{said}");
}

#[test]
fn what_each_script_becomes() {
    for script in scripts() {
        let imported = import(&script, &["--print-xml"]).with(0);
        let name = script.rsplit('/').next().unwrap().trim_end_matches(".sh").to_owned();
        let here = std::env::current_dir().unwrap().display().to_string();
        insta::with_settings!({snapshot_path => "../fixtures/scripts", prepend_module_to_snapshot => false, omit_expression => true, description => ""}, {
            // Each script is given what all of them need.
            let told: String = imported.stderr.lines().filter(|line| !line.contains("is not used: the script")).map(|line| format!("{line}\n")).collect();
            insta::assert_snapshot!(name, format!("{told}\n{}", imported.stdout).replace(&here, "HERE"));
        });
    }
}

#[test]
fn what_is_not_set_is_named_and_the_environment_fills_the_guides() {
    let mut import = vgapt(["import", "fixtures/scripts/00-guide.sh"]);
    run(import.env("VGAPT_MEMORY", "4096")).with(1).saying(&[
        "$VGAPT_VGA_BUS is not set, and QEMU's options need it",
        "--set 'VGAPT_VGA_BUS=VALUE'",
        "nothing was imported",
    ]);
    let ran = run(import.env("VGAPT_MEMORY", "4096"));
    assert!(!ran.stderr.contains("VGAPT_MEMORY"), "{}", ran.stderr);
    run(&mut vgapt(["import", "LICENSE"])).with(1).saying(&["does not start QEMU"]);
    run(&mut vgapt(["import", "nosuch.sh"])).with(3).saying(&["cannot read the script nosuch.sh"]);
}

#[test]
fn a_remedy_can_be_pasted() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("start.sh");
    let script = script.to_str().unwrap();
    fs::write(script, "source conf\nqemu-system-x86_64 -enable-kvm -m $(awk -F= '/^mem=/ {print $2}' conf)\n").unwrap();
    let set = r"--set 'awk -F= '\''/^mem=/ {print $2}'\'' conf=VALUE'";
    run(&mut vgapt(["import", script])).with(1).saying(&["vgapt does not run", set, "line 1: the file conf is not read"]);
    let mut bash = command::command("bash");
    bash.args(["-c", &format!("printf %s {}", set.trim_start_matches("--set ").replace("VALUE", "4G"))]);
    let pasted = run(&mut bash).with(0).stdout;
    let told = run(&mut vgapt(["import", script, "--set", &pasted])).with(0).stdout;
    assert!(told.contains("-m 4G  <memory>"), "{told}");
    // All that is lacking is asked for at once, and one number once.
    let words = "-smp $(nproc --all),maxcpus=$(nproc) -name $(basename \"$0\" .sh)$X -device e1000,addr=$(printf %02x $RANDOM)";
    fs::write(script, format!("qemu-system-x86_64 -m 1G {words}\n")).unwrap();
    let asked = run(vgapt(["--root", "fixtures/hosts/b550m-rtx2070s-gt710.host", "import"]).arg(script)).with(1);
    assert_eq!(asked.stderr.matches("error: ").count(), 3, "{}", asked.stderr);
    asked.saying(&[
        "$X is not set",
        "$RANDOM is known only where the script runs",
        "vgapt does not run $(nproc)",
        "this host has 16 CPUs: --set nproc=16",
    ]);
    fs::write(script, "case $1 in run) qemu-system-x86_64 -m 1 -usb ;; *) exit 1 ;; esac\n").unwrap();
    run(&mut vgapt(["import", script])).with(1).saying(&["the QEMU command of line 1 is not read", "--set '1=VALUE'"]);
    let told = run(&mut vgapt(["import", script, "--set", "1=run"])).with(0).stdout;
    assert!(told.contains("-usb"), "{told}");
    fs::write(script, "A=$(hostname)\nB=($(ls))\nqemu-system-x86_64 -m 1 -name $A ${B[@]}\n").unwrap();
    let told = run(&mut vgapt(["import", script, "--set", "A=x", "--set", "B=-usb -k de"])).with(0).stdout;
    assert!(told.contains("-name x") && told.contains("-usb") && told.contains("-k de"), "{told}");
}

#[test]
fn what_a_request_can_say() {
    import("fixtures/scripts/03-array-looking-glass.sh", &["--request"])
        .with(0)
        .saying(&["vgapt define makes another machine", "Looking Glass"]);
    let ran = import("fixtures/scripts/03-array-looking-glass.sh", &["--request", "--json"]).with(0);
    let answer = serde_json::from_str::<Value>(&ran.stdout).unwrap();
    assert!(answer["beyond"].as_array().unwrap().iter().any(|what| what.as_str().unwrap().contains("Looking Glass")), "{answer}");
    let request = &answer["request"];
    assert_eq!((request["gpu"][0].as_str(), request["cpus"].as_u64()), (Some("0000:0a:00.0"), Some(12)));
    assert_eq!(request["disk"][0].as_str(), Some("/srv/vm/win11.qcow2"));
    let ran = import("fixtures/scripts/22-nodes-of-the-host.sh", &["--request", "--json"]).with(0);
    let request = &serde_json::from_str::<Value>(&ran.stdout).unwrap()["request"];
    assert_eq!((request["network"].as_str(), request["sound"].as_str()), (Some("bridge=br7"), Some("pulseaudio")), "{request}");
    assert_eq!(request["evdev"][0].as_str(), Some("/dev/input/by-id/usb-one-event-kbd"));
    assert_eq!(request["evdev-toggle"].as_str(), Some("alt-alt"));
    let file = import("fixtures/scripts/03-array-looking-glass.sh", &["--request"]).with(0).stdout;
    assert!(file.contains("gpu = [\"0000:0a:00.0\"]"), "{file}");
}

/// What the request says is held against what `define` makes of it.
#[test]
fn what_a_request_makes_otherwise_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("l.sh");
    let words = "-netdev bridge,id=n,br=br0 -device e1000,netdev=n,mac=52:54:00:01:02:03 -drive file=/vm/a.img,if=virtio,format=raw \
        -cdrom /vm/b.iso -boot d -vga none -display none";
    fs::write(&script, format!("qemu-system-x86_64 -enable-kvm -M q35 -m 1G -smp 2 -cpu host {words}\n")).unwrap();
    let script = script.to_str().unwrap();
    let on = |words: &[&str]| run(vgapt(["--root", "fixtures/hosts/b550m-rtx2070s-gt710.host", "import", script, "--request"]).args(words));
    let card = "network bridge br0 e1000, MAC address 52:54:00:01:02:03 → bridge br0, a MAC address of libvirt's choice";
    let all = [card, "boot order cdrom, hd → hd, cdrom", "disk /vm/a.img vda → sda", "features/hyperv added"];
    on(&[]).with(0).saying(&all);
    let answer: Value = serde_json::from_str(&on(&["--json"]).with(0).stdout).unwrap();
    let beyond: Vec<&str> = answer["beyond"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(all.iter().all(|change| beyond.contains(change)), "{beyond:?}");
}

#[test]
fn a_format_that_is_not_said_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // The beginning of a qcow2 image, whose name says nothing.
    fs::write(path("disk"), b"QFI\xfb\0\0\0\x03").unwrap();
    fs::write(path("plain.qcow2"), [0; 512]).unwrap();
    let words = "qemu-system-x86_64 -hda disk -drive file=plain.qcow2,if=virtio -drive file=gone.img,if=virtio\n";
    fs::write(path("start.sh"), words).unwrap();
    let ran = import(&path("start.sh"), &["--print-xml"]).with(0);
    let disks: Vec<&str> =
        ran.stdout.lines().filter(|line| line.contains("<driver name='qemu'") || line.contains("<source file=")).map(str::trim).collect();
    let disk = |format: &str, name: &str| [format!("<driver name='qemu' type='{format}'/>"), format!("<source file='{}'/>", path(name))];
    assert_eq!(disks, [disk("qcow2", "disk"), disk("raw", "plain.qcow2"), disk("raw", "gone.img")].concat());
    assert!(ran.stderr.contains(&format!("{} cannot be read here", path("gone.img"))), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&format!("{} cannot be read", path("disk"))), "{}", ran.stderr);
    assert!(ran.stderr.contains("disk, plain.qcow2, gone.img: resolved in /"), "{}", ran.stderr);
}

#[test]
fn what_a_guest_wrote_into_its_disk_is_not_believed() {
    let tree = tempfile::tempdir().unwrap();
    for folder in ["vm", "etc"] {
        fs::create_dir(tree.path().join(folder)).unwrap();
    }
    // A qcow2 header that names /etc/shadow (`docs/interop/qcow2.txt`).
    let mut header = vec![0; 64 << 10];
    header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    header[14..16].copy_from_slice(&512_u16.to_be_bytes());
    header[19] = 11;
    header[103] = 104;
    header[512..523].copy_from_slice(b"/etc/shadow");
    for name in ["sh.raw", "disk", "fd.img", "cd.iso", "x.qcow2"] {
        fs::write(tree.path().join("vm").join(name), &header).unwrap();
    }
    fs::write(tree.path().join("etc/shadow"), "root:x").unwrap();
    let script = tree.path().join("start.sh").display().to_string();
    let root = tree.path().display().to_string();
    let import = |options: &str, what: &str| {
        fs::write(&script, format!("qemu-system-x86_64 -name new -m 1G {options}\n")).unwrap();
        run(&mut vgapt(["--root", &root, "-c", "test:///default", "import", &script, what]))
    };
    let outside = "gives the guest access to /etc/shadow";
    for (options, said) in [
        ("-drive file=/vm/sh.raw,if=virtio", "its content looks like qcow2"),
        ("-fda /vm/fd.img", "its content looks like qcow2"),
        ("-drive file=/vm/disk,if=virtio", outside),
        ("-drive file=/vm/sh.raw,format=qcow2,if=virtio", outside),
        ("-hda /vm/x.qcow2", outside),
        // Given to QEMU as it is, which looks at the content.
        ("-drive file=/vm/sh.raw,if=none,id=x -device nvme,drive=x,serial=s", "its content looks like qcow2"),
        ("-drive file=/vm/disk,if=none,id=x -device nvme,drive=x,serial=s", outside),
    ] {
        import(options, "--define").with(1).saying(&[said, "nothing was defined for 'new'"]);
        let ran = import(options, "--print-xml").with(0).saying(&[said]);
        assert!(said == outside || !ran.stdout.contains("type='qcow2'"), "{}", ran.stdout);
        assert!(import(options, "--json").with(0).stdout.contains("\"findings\""), "{options}");
    }
    // What is stated counts, and a CD is what it is.
    for options in ["-drive file=/vm/sh.raw,format=raw,if=virtio", "-cdrom /vm/cd.iso", "-drive file=/vm/cd.iso,media=cdrom,if=ide"] {
        let ran = import(options, "--print-xml").with(0);
        assert!(ran.stdout.contains("type='raw'") && !ran.stderr.contains("qcow2"), "{}\n{}", ran.stderr, ran.stdout);
        import(options, "--define").with(0);
    }
}

#[test]
fn the_first_id_counts_and_the_scripts_directory_is_pwd() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("start.sh").display().to_string();
    let drive = "-drive id=rootfs,file=/vm/root.img,id=disk,format=raw,if=none -device virtio-scsi-pci,id=scsi0";
    fs::write(&script, format!("qemu-system-x86_64 -m 8G {drive} -device scsi-hd,bus=scsi0.0,drive=rootfs\n")).unwrap();
    let xml = run(&mut vgapt(["import", &script, "--print-xml"])).with(0).stdout;
    assert!(xml.contains("<source file='/vm/root.img'/>"), "{xml}");
    fs::write(&script, "DIR=$PWD\nqemu-system-x86_64 -m 8G -hda $DIR/a.qcow2 -hdb $(pwd)/b.qcow2 -hdc \"${PWD}\"/c.qcow2\n").unwrap();
    let ran = run(&mut vgapt(["import", &script, "--print-xml"])).with(0).saying(&["$PWD is assumed to be the script's directory"]);
    for name in ["a", "b", "c"] {
        assert!(ran.stdout.contains(&format!("<source file='{}/{name}.qcow2'/>", folder.path().display())), "{}", ran.stdout);
    }
    let ran = run(&mut vgapt(["import", &script, "--print-xml", "--set", "PWD=/elsewhere"])).with(0);
    assert!(ran.stdout.contains("<source file='/elsewhere/a.qcow2'/>") && !ran.stderr.contains("/elsewhere:"), "{}", ran.stderr);
}

#[test]
fn the_options_of_a_file_beside_a_script_count() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("start.sh");
    fs::write(&script, "qemu-system-x86_64 -enable-kvm -M q35 -nodefaults -m 256 -readconfig more.cfg\n").unwrap();
    let import = || run(&mut vgapt(["import", "--print-xml", script.to_str().unwrap()]));
    let ran = import().with(1);
    assert!(ran.stderr.contains("-readconfig") && ran.stderr.contains("copy the file to that path"), "{}", ran.stderr);
    let file = folder.path().join("more.cfg");
    fs::copy("fuzz/corpus/option_file/devices.cfg", &file).unwrap();
    let ran = import().with(0);
    assert!(ran.stderr.contains("more.cfg: 5 options are read from it"), "{}", ran.stderr);
    for is in ["model='ich9-ehci1'", "<master startport='0'/>", "<memory unit='KiB'>1048576</memory>", "<source file='/vm/a,b.img'/>"] {
        assert!(ran.stdout.contains(is), "{is}: {}", ran.stdout);
    }
    fs::write(&file, "[device \"a\"]\n  driver = virtio-net-pci\n").unwrap();
    let ran = import().with(1);
    assert!(ran.stderr.contains("more.cfg, line 2: "), "{}", ran.stderr);
}

/// What is said of a device on this host is what `status` says of the domain.
#[test]
fn devices_of_a_domain_that_it_defines() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("x.sh");
    let import = |address: &str, arguments: &[&str]| {
        fs::write(&script, format!("qemu-system-x86_64 -machine q35 -m 1G -device vfio-pci,host={address}\n")).unwrap();
        run(vgapt(["--root", "fixtures/hosts/b550m-rtx2070s-gt710.host", "import"]).arg(&script).args(arguments))
    };
    import("99:00.0", &["--define"]).with(1).saying(&["error: PCI function 99:00.0 does not exist", "nothing was defined for 'x'"]);
    let seen = "blocked: the host uses other devices of the same IOMMU group: 2b:00.1 audio on snd_hda_intel";
    let refused = [seen, "nothing was defined for 'x': see above; use --force to override", "next: pass 2b:00.1, 2b:00.2 through too"];
    import("2b:00.0", &["--define"]).with(1).saying(&refused);
    let ran = import("2b:00.0", &["--define", "--json"]).with(1);
    assert!(ran.stdout.contains("\"outcome\": \"refused\"") && ran.stdout.contains("\"blocked\""), "{}", ran.stdout);
    let forced = ["--define", "--force"];
    let ran = import("2b:00.0", &forced).with(0).saying(&[seen, "'x' is defined", "next: pass 2b:00.1, 2b:00.2 through too"]);
    assert!(!ran.stderr.contains(" start x"), "a start that is refused is no next step: {}", ran.stderr);
    // The XML may be for another host.
    assert!(!import("99:00.0", &["--print-xml"]).with(0).stderr.contains("99:00.0 does not exist"));
}

#[test]
fn the_scripts_own_qemu_stays_or_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("start.sh");
    let said = |text: &str| {
        fs::write(&script, text).unwrap();
        run(vgapt(["import", "--print-xml"]).arg(&script)).with(0)
    };
    let built = said("cd /opt/q\n./build/qemu-system-x86_64 -m 1G -enable-kvm -nodefaults\n");
    assert!(built.stdout.contains("<emulator>/opt/q/build/qemu-system-x86_64</emulator>"), "{}", built.stdout);
    // As on Unraid.
    let wrapped = said("/usr/local/sbin/qemu -m 1G -nodefaults\n");
    assert!(wrapped.stdout.contains("<emulator>/usr/local/sbin/qemu</emulator>"), "{}", wrapped.stdout);
    let found = said("Q=$(cat place)/qemu-system-x86_64\n$Q -m 1G -enable-kvm -nodefaults\n");
    assert!(
        !found.stdout.contains("<emulator>") && found.stderr.contains("whose place is not known, so the domain has libvirt's own QEMU"),
        "{}",
        found.stderr
    );
}

#[test]
fn quietly_there_are_no_notes() {
    let script = "fixtures/scripts/05-taskset-hugepages.sh";
    let all = import(script, &[]).with(0).stdout;
    assert!(all.contains("note: taskset 0xFFF0 before QEMU is converted to <vcpu cpuset=…>\n"), "{all}");
    let quiet = import(script, &["-q"]).with(0).stdout;
    assert!(quiet.contains("<vcpu>") && !quiet.contains("note: "), "{quiet}");
}

#[test]
fn it_defines() {
    let script = "fixtures/scripts/03-array-looking-glass.sh";
    import(script, &["--define"]).with(0).saying(&["'win11' is defined", "vgapt export win11 --to qemu"]);
    import(script, &["--define", "--name", "test"]).with(1).saying(&["the domain 'test' already exists", "--name"]);
}

/// A host on which one QEMU runs, as `/proc` shows it.
fn host_with_qemu(argv: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let process = root.path().join("proc/4711");
    for folder in ["fd", "fdinfo"] {
        fs::create_dir_all(process.join(folder)).unwrap();
    }
    let strings = |words: &[&str]| words.iter().map(|word| format!("{word}\0")).collect::<String>();
    fs::write(process.join("cmdline"), strings(argv)).unwrap();
    fs::write(process.join("environ"), strings(&["PWD=/elsewhere", "QEMU_AUDIO_DRV=pa"])).unwrap();
    fs::write(process.join("status"), "Name:\tqemu-system-x86\nCpus_allowed_list:\t2-3\n").unwrap();
    fs::write(process.join("fdinfo/30"), "pos:\t0\niff:\ttap0\n").unwrap();
    for (thread, name, cpus) in [("4711", "qemu-system-x86", "2-3"), ("4712", "CPU 0/KVM", "3"), ("4713", "CPU 1/KVM", "2-3")] {
        let task = process.join("task").join(thread);
        fs::create_dir_all(&task).unwrap();
        fs::write(task.join("comm"), format!("{name}\n")).unwrap();
        fs::write(task.join("status"), format!("Cpus_allowed_list:\t{cpus}\n")).unwrap();
    }
    let net = root.path().join("sys/class/net/tap0");
    fs::create_dir_all(&net).unwrap();
    fs::create_dir_all(root.path().join("sys/devices/system/cpu")).unwrap();
    fs::write(root.path().join("sys/devices/system/cpu/online"), "0-3\n").unwrap();
    for (link, to) in [
        (process.join("exe"), "/opt/qemu/bin/qemu-system-x86_64"),
        (process.join("cwd"), "/vm"),
        (process.join("fd/30"), "/dev/net/tun"),
        (process.join("fd/9"), "/srv/a b.img"),
        (net.join("master"), "../br7"),
    ] {
        std::os::unix::fs::symlink(to, link).unwrap();
    }
    // No QEMU, and a process that has ended.
    fs::create_dir_all(root.path().join("proc/1")).unwrap();
    fs::write(root.path().join("proc/1/cmdline"), "init\0").unwrap();
    fs::create_dir_all(root.path().join("proc/2")).unwrap();
    root
}

#[test]
fn a_qemu_that_runs_is_read_exactly() {
    let root = host_with_qemu(&[
        "qemu-system-x86_64",
        "-name",
        "guest=win 10",
        "-smp",
        "2",
        "-m",
        "512",
        "-M",
        "q35",
        "-nodefaults",
        "-append",
        "a b",
        "-hda",
        "c.img",
        "-add-fd",
        "fd=9,set=2",
        "-drive",
        "file=/dev/fdset/2,format=raw,if=virtio",
        "-netdev",
        "tap,id=n,fd=30",
        "-device",
        "virtio-net-pci,netdev=n",
    ]);
    let place = root.path().to_str().unwrap();
    let import = |which: &[&str], code: i32| {
        let mut import = vgapt(["--root", place, "import"]);
        run(import.args(which)).with(code)
    };
    let ran = import(&["--print-xml", "--running"], 0);
    for right in [
        "<name>win 10</name>",
        "<emulator>/opt/qemu/bin/qemu-system-x86_64</emulator>",
        "<cmdline>a b</cmdline>",
        "<source file='/vm/c.img'/>",
        "<source file='/srv/a b.img'/>",
        "<source bridge='br7'/>",
        "cpuset='2-3'>2</vcpu>",
        "<cputune>\n    <vcpupin vcpu='0' cpuset='3'/>\n  </cputune>",
    ] {
        assert!(ran.stdout.contains(right), "{right}\n{}", ran.stdout);
    }
    assert!(!ran.stderr.contains("is on no network"), "{}", ran.stderr);
    for which in ["4711", "win 10"] {
        assert_eq!(import(&["--print-xml", "--running", which], 0).stdout, ran.stdout);
    }
    import(&["--running", "win11"], 3).saying(&["no QEMU 'win11' runs here; these do: 4711 (win 10)"]);
    fs::remove_dir_all(root.path().join("proc/4711")).unwrap();
    import(&["--running"], 3).saying(&["no QEMU is seen among the processes of this host"]);
    run(&mut vgapt(["--root", command::Z170, "import", "--running"])).with(3).saying(&["a capture contains no processes"]);
    let root = host_with_qemu(&["qemu-system-aarch64", "-m", "512", "-M", "virt"]);
    fs::remove_file(root.path().join("proc/4711/exe")).unwrap();
    run(vgapt(["--root", root.path().to_str().unwrap(), "import"]).arg("--running")).with(1).saying(&["emulates aarch64"]);
}

#[test]
fn a_copied_command_line_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("argv.txt");
    let path = path.to_str().unwrap();
    let import = |text: &str, more: &[&str], code: i32| {
        fs::write(path, text).unwrap();
        let ran = run(vgapt(["import", "--print-xml", "--argv", path]).args(more)).with(code);
        ran.stderr + &ran.stdout
    };
    let ps = "root 4711 1.0 qemu-system-x86_64 -m 512 -M q35 -nodefaults -append console=ttyS0 rw -hda a.img\n";
    assert!(import(ps, &[], 1).contains("--set PWD=DIRECTORY"));
    let said = import(ps, &["--set", "PWD=/vm"], 0);
    assert!(said.contains("<source file='/vm/a.img'/>") && said.contains("<cmdline>console=ttyS0 rw</cmdline>"), "{said}");
    assert!(said.contains("'console=ttyS0 rw' is read as one word"), "{said}");
    let unit = "[Service]\nWorkingDirectory=/vm\nEnvironment=\"NAME=a b\"\nExecStart=/usr/bin/qemu-system-x86_64 -m 512 -nodefaults \\\n  -name ${NAME} -hda %i.img\n";
    assert!(import(unit, &[], 1).contains("--set 'INSTANCE=VALUE'"));
    let said = import(unit, &["--set", "INSTANCE=one"], 0);
    assert!(said.contains("<name>a b</name>") && said.contains("<source file='/vm/one.img'/>"), "{said}");
    let said = import("# Page\n```sh\n$ sudo qemu-system-x86_64 -m 512 -nodefaults -hda /a.img\n```\n", &[], 0);
    assert!(said.contains("<source file='/a.img'/>"), "{said}");
    assert!(import("nothing\n", &[], 1).contains("no command that starts QEMU was found"));
}
