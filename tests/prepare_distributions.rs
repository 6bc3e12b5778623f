//! What `vgapt prepare` does to each distribution in fixtures/distributions: on the same machine, the
//! plan as an expert of that distribution would make it lies beside each; a second time there is nothing to
//! do, and `vgapt undo` gives everything back.

#[path = "support/command.rs"]
#[expect(dead_code, reason = "what it says is in the snapshots")]
mod command;
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;

use command::{run, vgapt, without_options};
use tree::{Content, assert_same, distribution, walk};

const DISTRIBUTIONS: &str = "fixtures/distributions";
/// Those that are refused, and told what to do.
const REFUSED: [&str; 4] = ["arch-uki-unsigned", "centos-bootc", "fedora-bootc", "two-loaders-nothing-tells"];

fn distributions() -> Vec<String> {
    let entries = fs::read_dir(DISTRIBUTIONS).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = entries
        .filter(|path| path.extension().is_some_and(|ending| ending == "host"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() > 20, "the distributions are not there");
    names
}

fn on(root: &Path, arguments: &[&str]) -> command::Ran {
    run(&mut vgapt([&["--root", &root.display().to_string()], arguments].concat()))
}

#[test]
fn plans_are_right() {
    for name in distributions() {
        let root = distribution(&name);
        let root = root.path();
        let before = walk(root);
        let refused = REFUSED.contains(&name.as_str());
        let full = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run", "--verbose"]).stdout;
        let first = on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(i32::from(refused));
        insta::with_settings!({snapshot_path => "../fixtures/distributions", prepend_module_to_snapshot => false, omit_expression => true}, {
            let said = without_options(&format!("{full}----\n{}----\n{}", first.stdout, first.stderr));
            insta::assert_snapshot!(format!("{name}.plan"), said);
        });
        if refused {
            assert_same(&before, &walk(root), &name);
            continue;
        }
        let prepared = walk(root);
        let second = on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
        assert!(second.stderr.contains("already up to date"), "{name}: {}{}", second.stdout, second.stderr);
        let third = on(root, &["prepare", "--yes"]).with(0);
        assert!(third.stderr.contains("already up to date"), "{name}, without a card named: {}{}", third.stdout, third.stderr);
        assert_same(&prepared, &walk(root), &name);
        on(root, &["undo", "--yes"]).with(0);
        assert_same(&before, &walk(root), &name);
    }
}

/// What a shell makes of a variable in /etc/default/grub and the files after it, as grub-mkconfig sources them.
fn variable(root: &Path, name: &str) -> Vec<String> {
    let script = format!(
        ". \"$0/etc/default/grub\"\nfor more in \"$0\"/etc/default/grub.d/*.cfg; do [ ! -e \"$more\" ] || . \"$more\"; done\nprintf %s \"${name}\""
    );
    let output = Command::new("sh").args(["-c", &script]).arg(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_shell_reads_what_was_there_and_ours_once() {
    for name in distributions().iter().filter(|name| !REFUSED.contains(&name.as_str())) {
        let root = distribution(name);
        let root = root.path();
        if !root.join("etc/default/grub").exists() {
            continue;
        }
        let of = |variable_name: &str| variable(root, variable_name);
        let (mut all, normal) = (of("GRUB_CMDLINE_LINUX"), of("GRUB_CMDLINE_LINUX_DEFAULT"));
        let files = || walk(root).into_iter().filter(|(path, _)| path.starts_with("/etc/default/grub")).collect::<Vec<_>>();
        let files_before = files();
        on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
        if files() != files_before {
            all.push("intel_iommu=on".to_owned());
        }
        assert_eq!((all, normal), (of("GRUB_CMDLINE_LINUX"), of("GRUB_CMDLINE_LINUX_DEFAULT")), "{name}");
    }
}

/// A short `a{sv}` as `GVariant` has it, of keys and serialized variants: aligned to 8 bytes, with the offsets of the ends behind.
fn dictionary(entries: &[(&str, &str)]) -> String {
    let offset = |length: usize| char::from_u32(u32::try_from(length).unwrap()).filter(char::is_ascii).unwrap();
    let (mut text, mut ends) = (String::new(), String::new());
    for (key, variant) in entries {
        text += &"\0".repeat(text.len().next_multiple_of(8) - text.len());
        let key = format!("{key}\0");
        let padding = "\0".repeat(key.len().next_multiple_of(8) - key.len());
        text += &format!("{key}{padding}{variant}{}", offset(key.len()));
        ends.push(offset(text.len()));
    }
    text + &ends
}

/// Whether rpm-ostree regenerated the initramfs before, and how, is what undo restores; where that is not known, nothing is
/// changed. rpm-ostree refuses to enable what is enabled without arguments.
#[test]
fn rpm_ostree_regenerates_as_before() {
    const ORIGIN: &str = "ostree/deploy/fedora/deploy/0000000000000000000000000000000000000000000000000000000000000001.0.origin";
    for (before, done, undone) in [
        ("", "--enable", "--disable"),
        ("[rpmostree]\nregenerate-initramfs=true\n", "--enable --arg=--reproducible", "--enable"),
        (
            "[rpmostree]\nregenerate-initramfs=true\ninitramfs-args=--add;lvm;\n",
            "--enable --arg=--add --arg=lvm",
            "--enable --arg=--add --arg=lvm",
        ),
    ] {
        // In its own file, or in that of a deployment that waits for the shutdown.
        for is_staged in [false, true] {
            let root = distribution("silverblue-ostree");
            let root = root.path();
            if is_staged {
                fs::create_dir_all(root.join("run/ostree")).unwrap();
                let origin = format!("[origin]\nrefspec=x\n{before}\0\0s");
                let target = dictionary(&[("origin", &origin)]);
                fs::write(root.join("run/ostree/staged-deployment"), dictionary(&[("target", &format!("{target}\0a{{sv}}"))])).unwrap();
            } else {
                fs::write(root.join(ORIGIN), format!("[origin]\nrefspec=x\n{before}")).unwrap();
            }
            let ran = on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
            assert!(ran.stdout.contains(&format!("$ rpm-ostree initramfs {done}\n")), "{before}: {}", ran.stdout);
            let ran = on(root, &["undo", "--yes"]).with(0);
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(
                said.lines().any(|line| line.contains(&format!("rpm-ostree initramfs {undone} "))
                    || line.ends_with(&format!("rpm-ostree initramfs {undone}"))),
                "{before}: {said}"
            );
        }
    }
    let root = distribution("silverblue-ostree");
    fs::remove_file(root.path().join(ORIGIN)).unwrap();
    let before = walk(root.path());
    let ran = on(root.path(), &["prepare", "--gpu", "01:00.0", "--yes"]).with(1);
    assert!(ran.stderr.contains("it is unknown whether rpm-ostree regenerates the initramfs already"), "{}{}", ran.stdout, ran.stderr);
    assert_same(&before, &walk(root.path()), "nothing is changed");
}

/// What bootc keeps for vgapt is set whole, and taken back by its owner's name; the deployment that waits for the shutdown counts,
/// not the entry that booted. What another owner set, bootc does not take away.
#[test]
fn bootc_keeps_parameters_by_their_owner() {
    const SET: &str = "bootc loader-entries set-options-for-source --source vgapt";
    const STAGED: &str = "run/ostree/staged-deployment";
    let root = distribution("fedora-bootc");
    let root = root.path();
    let before = walk(root);
    let at_start = ["prepare", "--gpu", "01:00.0", "--bind", "start", "--yes"];
    let ran = on(root, &at_start).with(0);
    assert!(ran.stdout.contains(&format!("$ {SET} --options=intel_iommu=on\n")), "{}", ran.stdout);
    let ran = on(root, &["undo", "--yes"]).with(0);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains(&format!("$ {SET} (run it in that system)")), "{}{}", ran.stdout, ran.stderr);
    assert_same(&before, &walk(root), "undone");

    // What vgapt has in the entry is kept beside what comes.
    let entry = root.join("boot/loader/entries/ostree-1.conf");
    let text = fs::read_to_string(&entry).unwrap();
    let with_own = format!("{}x-options-source-vgapt intel_iommu=on\n", text.replace("rhgb quiet", "rhgb quiet intel_iommu=on"));
    fs::write(&entry, &with_own).unwrap();
    let pages = ["--hugepages", "4G", "--page-size", "1G"];
    let ran = on(root, &[&at_start[..], &pages].concat());
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains(&format!("$ {SET} --options='intel_iommu=on hugepagesz=1G hugepages=4'\n").replace("--options='", "'--options=")),
        "{said}"
    );

    // Another one's is not taken away by bootc, but by rpm-ostree where that is there.
    fs::write(&entry, text.replace("rhgb quiet", "rhgb quiet intel_iommu=off")).unwrap();
    let ran = on(root, &at_start).with(1);
    assert!(ran.stderr.contains("remove from your image, or where it was installed: intel_iommu=off"), "{}", ran.stderr);

    // Nothing is left to do where the waiting deployment has it; one that is not understood is not overwritten.
    fs::write(&entry, &text).unwrap();
    fs::create_dir_all(root.join("run/ostree")).unwrap();
    let target = format!("{}\0a{{sv}}", dictionary(&[("origin", "x\0\0s")]));
    let line = "rhgb\0quiet\0intel_iommu=on\0\u{5}\u{b}\u{1a}\0as";
    fs::write(root.join(STAGED), dictionary(&[("target", &target), ("kargs", line)])).unwrap();
    let ran = on(root, &at_start).with(0);
    assert!(ran.stderr.contains("already up to date"), "{}{}", ran.stdout, ran.stderr);
    fs::write(root.join(STAGED), "something else").unwrap();
    let ran = on(root, &at_start).with(1);
    assert!(ran.stderr.contains("staged-deployment is not understood"), "{}{}", ran.stdout, ran.stderr);
}

/// An empty file and one without write permission are files like any other; a directory keeps its mode.
/// dnf refuses where the system is an image: rpm-ostree lays packages over it, or they belong into it.
#[test]
fn an_image_gets_packages_in_its_own_way() {
    for (name, by_check, by_prepare) in [
        (
            "silverblue-ostree",
            "rpm-ostree install libvirt-daemon-kvm",
            "rpm-ostree install libvirt-daemon-kvm qemu-kvm edk2-ovmf qemu-img swtpm-tools, and reboot; then run the same",
        ),
        (
            "fedora-bootc",
            "add libvirt-daemon-kvm to the image of this host",
            "in its Containerfile), and boot that; then run the same without --install",
        ),
    ] {
        let tree = distribution(name);
        let root = tree.path();
        let checked = on(root, &["check"]);
        assert!(checked.stdout.contains(by_check) && !checked.stdout.contains("remedy: dnf"), "{name}: {}", checked.stdout);
        let prepared = on(root, &["prepare", "--gpu", "01:00.0", "--bind", "start", "--install", "--dry-run"]).with(1);
        assert!(
            prepared.stderr.contains(by_prepare) && !prepared.stdout.contains("$ dnf"),
            "{name}: {}{}",
            prepared.stdout,
            prepared.stderr
        );
    }
}

#[test]
fn modes_come_back() {
    let root = distribution("debian13-grub-initramfs-tools");
    let root = root.path();
    for (path, mode) in [("etc/default/grub", 0o440), ("etc/modprobe.d", 0o750)] {
        fs::set_permissions(root.join(path), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let before = walk(root);
    on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    assert_eq!(walk(root)["/etc/default/grub"].mode & 0o7777, 0o440);
    assert!(matches!(walk(root)["/etc/default/grub"].content, Content::File(_)));
    on(root, &["undo", "--yes"]).with(0);
    assert_same(&before, &walk(root), "modes");
}

/// The names in back quotes behind a word of the last column.
fn named<'p>(page: &'p str, word: &str) -> Vec<&'p str> {
    let cells = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| ")).map(|(_, cell)| cell);
    let parts = cells.flat_map(|cell| cell.split("; ")).filter_map(|part| part.strip_prefix(word));
    parts.flat_map(|names| names.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_table_names_all_that_was_tried() {
    let page = fs::read_to_string("docs/prepare.md").unwrap();
    let mut files = named(&page, "files ");
    files.sort_unstable();
    assert_eq!(files, distributions());
    for name in named(&page, "root ") {
        assert!(Path::new("tests/roots").join(name).is_file(), "there is no root {name}");
    }
    for name in named(&page, "lab ") {
        assert!(Path::new("tests/lab/scenarios").join(name).is_file(), "there is no scenario {name}");
    }
    let refused: Vec<&str> = page.lines().filter(|line| line.contains("| refused") && line.contains("| files ")).collect();
    assert_eq!(refused.len(), REFUSED.len(), "{refused:#?}");
    for name in REFUSED {
        assert!(refused.iter().any(|line| line.contains(&format!("`{name}`"))), "{name} is not said to be refused");
    }
}

fn with_image(root: &Path, image: &str, programs: &[&str]) {
    for entry in fs::read_dir(root.join("boot/loader/entries")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("initramfs-linux-fallback.img", image).replace("initramfs-linux.img", image)).unwrap();
    }
    let line = root.join("proc/cmdline");
    let text = fs::read_to_string(&line).unwrap();
    fs::write(&line, text.replace("initramfs-linux.img", image)).unwrap();
    fs::write(root.join("boot").join(image), "").unwrap();
    for program in programs {
        fs::write(root.join("usr/bin").join(program), "").unwrap();
    }
}

/// The initramfs tool is the one whose image boots, whatever else is installed.
#[test]
fn the_tool_whose_image_boots() {
    for (image, programs, words) in [
        ("booster-linux.img", ["booster"].as_slice(), "the booted initramfs is made by booster"),
        ("initramfs-dracut.img", &["dracut", "lsinitrd"], "$ dracut --force /boot/initramfs-dracut.img "),
        ("tinyramfs.img", &[], "the tool that makes the booted initramfs was not found: tinyramfs.img"),
        ("initramfs-linux.img", &["dracut", "lsinitrd", "booster"], "$ mkinitcpio -P"),
    ] {
        let root = distribution("arch-systemd-boot");
        with_image(root.path(), image, programs);
        let ran = on(root.path(), &["prepare", "--gpu", "01:00.0", "--dry-run"]);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(said.contains(words), "{image}: {said}");
        assert_eq!(said.contains("$ mkinitcpio"), words.contains("mkinitcpio"), "{image}: {said}");
    }
}

/// Where prepare refuses, check does not send the user to it, but to what it asks for.
#[test]
fn check_names_what_prepare_refuses() {
    let root = distribution("arch-systemd-boot");
    with_image(root.path(), "booster-linux.img", &["booster"]);
    let report = without_options(&on(root.path(), &["check", "--gpu", "01:00.0"]).with(1).stdout);
    assert!(!report.contains("remedy: vgapt prepare --gpu 01:00.0\n"), "{report}");
    for words in [
        "missing initramfs: the booted initramfs is made by booster",
        "remedy: see 'initramfs', because of which vgapt prepare writes nothing",
    ] {
        assert!(report.contains(words), "no {words}: {report}");
    }
}

/// What the running kernel has already needs no boot loader that vgapt knows.
#[test]
fn parameters_that_were_set_by_hand() {
    let root = distribution("arch-grub");
    let root = root.path();
    fs::remove_dir_all(root.join("boot/grub")).unwrap();
    fs::remove_file(root.join("etc/default/grub")).unwrap();
    let line = root.join("proc/cmdline");
    let rest = fs::read_to_string(&line).unwrap().replace("BOOT_IMAGE=", "x=");
    fs::write(&line, &rest).unwrap();
    let refused = on(root, &["prepare", "--gpu", "01:00.0", "--dry-run"]).with(1);
    assert!(
        refused.stderr.contains("remedy: add these kernel parameters to your boot loader's configuration: intel_iommu=on"),
        "{}",
        refused.stderr
    );
    fs::write(&line, format!("{} intel_iommu=on\n", rest.trim())).unwrap();
    let ran = on(root, &["prepare", "--gpu", "01:00.0", "--yes"]).with(0);
    assert!(!ran.stderr.contains("boot loader"), "{}", ran.stderr);
}
