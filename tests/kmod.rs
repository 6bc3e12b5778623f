//! The reading of modprobe's configuration held against kmod itself: which files count and in which order, and
//! which of several lines it follows.

#[allow(dead_code)] // kmod is asked about most here.
#[path = "support/command.rs"]
mod command;
#[allow(dead_code)] // One tree is needed here.
#[path = "support/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tempfile::TempDir;
use vgapt::discovery::{self, Scope};
use vgapt::host::modprobe::{self, Configuration};
use vgapt::root::Root;

/// In the order in which kmod looks; without other folders named it looks into these of the system.
const FOLDERS: [&str; 5] = ["etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];
const MODULES: [&str; 4] = ["vfio_pci", "t_one", "t_two", "vfio"];

fn modprobe(tree: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("modprobe");
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    for folder in FOLDERS {
        command.arg("-C").arg(tree.join(folder));
    }
    // By a name of its own each module is found, also where no line but a pattern is about it.
    fs::create_dir_all(tree.join("names")).unwrap();
    fs::write(tree.join("names/zz-names.conf"), MODULES.map(|module| format!("alias known-{module} {module}\n")).concat()).unwrap();
    command.arg("-C").arg(tree.join("names"));
    let output = command.args(arguments).output().expect("kmod is not installed: tests/setup tests installs it");
    String::from_utf8(output.stdout).unwrap()
}

fn read(tree: &Path) -> Configuration {
    let root = Root::open(tree).unwrap();
    let host = discovery::read(&root, Scope::All);
    modprobe::read(&discovery::setup(&root, &host), &[])
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same lines in the same order, command by command, and the same one that is followed.
fn agrees(files: &[(usize, &str, String)]) {
    let tree = TempDir::new().unwrap();
    for folder in FOLDERS {
        fs::create_dir_all(tree.path().join(folder)).unwrap();
    }
    for (folder, name, text) in files {
        let place = tree.path().join(FOLDERS[*folder]).join(name);
        let _ = fs::remove_file(&place);
        if text == "->" {
            std::os::unix::fs::symlink("/dev/null", place).unwrap();
        } else {
            fs::write(place, text).unwrap();
        }
    }
    let ours = read(tree.path());
    let shown = modprobe(tree.path(), &["--showconfig"]);
    for command in ["install", "options", "softdep", "blacklist"] {
        let theirs = shown.lines().filter_map(|line| line.strip_prefix(command)?.strip_prefix(' ')).map(plain);
        // The kernel's own command line adds options of other modules.
        let theirs: Vec<String> = theirs.filter(|line| MODULES.iter().any(|name| line.starts_with(name)) || line.contains('*')).collect();
        let own: Vec<String> = ours.of(command).map(|line| plain(&format!("{} {}", line.name, line.rest))).collect();
        assert_eq!(own, theirs, "{command}\n{files:#?}\n{shown}");
    }
    // By an alias, nothing that is on the blacklist is loaded.
    let listed = |module: &str| ours.of("blacklist").any(|line| line.name == module);
    for module in MODULES.into_iter().filter(|module| !listed(module)) {
        // A module of that name may be there; with an install line that does not matter. What has dependencies runs these, too.
        if let Some(line) = ours.first("install", module).filter(|_| ours.first("softdep", module).is_none()) {
            // Behind the command it shows the module's options.
            let ran = plain(&modprobe(tree.path(), &["-n", "-v", &format!("known-{module}")]));
            assert!(ran.starts_with(&plain(&format!("install {}", line.rest))), "{module}: {ran} {files:#?}");
        }
    }
}

#[test]
fn the_same_name_masks_and_the_first_line_counts() {
    let text = |text: &str| text.to_owned();
    agrees(&[
        (4, "vfio.conf", text("install vfio-pci /bin/false\n")),
        (0, "vgapt.conf", text("install vfio-pci /etc/vgapt/bind vfio-pci $CMDLINE_OPTS\n")),
    ]);
    agrees(&[
        (4, "vfio.conf", text("install vfio-pci /bin/false\n")),
        (0, "vfio.conf", text("->")),
        (0, "vgapt.conf", text("install vfio_pci /x\n")),
    ]);
    agrees(&[(3, "a.conf", text("install vfio-pci /a\n")), (1, "a.conf", text("install vfio_pci /b \\\n c\n# \\\ninstall t_one /d\n"))]);
    agrees(&[(0, "z.conf", text("install vfio* /z\n")), (2, "b.conf", text("\tinstall\tt_one\t/b\\x\n\n options vfio-pci ids=1:2 \n"))]);
    agrees(&[(0, "noconf", text("install t_one /x\n")), (0, "last.conf", text("blacklist t-two\ninstall t_two /no/line/end"))]);
}

/// Of several lines of dependencies the first counts, so what vgapt needs has to be in that one.
#[test]
fn the_first_dependency_counts() {
    let tree = TempDir::new().unwrap();
    for (folder, name, text) in [
        (3, "nvidia.conf", "softdep t-one pre: t_two\ninstall t_two /bin/two\ninstall vfio-pci /bin/vfio\n"),
        (0, "vgapt.conf", "softdep t_one pre: vfio-pci\ninstall t_one /bin/one\n"),
    ] {
        fs::create_dir_all(tree.path().join(FOLDERS[folder])).unwrap();
        fs::write(tree.path().join(FOLDERS[folder]).join(name), text).unwrap();
    }
    let ran = modprobe(tree.path(), &["-n", "-v", "t_one"]);
    assert!(ran.contains("/bin/two") && !ran.contains("/bin/vfio"), "{ran}");
    assert_eq!(read(tree.path()).first("softdep", "t_one").unwrap().rest, "pre: t_two");
    let early = "softdep t_one pre: vfio-pci t_two\n";
    fs::write(tree.path().join("etc/modprobe.d/00-vgapt.conf"), early).unwrap();
    let ran = modprobe(tree.path(), &["-n", "-v", "t_one"]);
    assert!(ran.contains("/bin/vfio"), "{ran}");
}

fn line() -> impl Strategy<Value = String> {
    let module = prop::sample::select(vec!["vfio-pci", "vfio_pci", "t-one", "t_two", "vfio*", "vfio"]);
    let value = prop::sample::select(vec!["/bin/false", "/bin/x a  b", "/bin/x \\\n  y", "/bin/\\z"]);
    let blank = prop::sample::select(vec!["", " ", "\t"]);
    prop_oneof![
        4 => (blank, module.clone(), value).prop_map(|(blank, module, value)| format!("{blank}install {module}{blank} {value}")),
        2 => module.clone().prop_filter("a name", |name| !name.contains('*')).prop_map(|module| format!("options {module} ids=1:2,3:4")),
        1 => module.clone().prop_map(|module| format!("blacklist {module}")),
        1 => module.prop_map(|module| format!("# install {module} /bin/hidden \\")),
        1 => Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kmod_reads_the_same(files in proptest::collection::vec(
        (0..5_usize, prop::sample::select(vec!["a.conf", "vfio.conf", "vgapt.conf", "z.conf", "other"]), proptest::collection::vec(line(), 0..4), 0..9_u8), 0..5)
    ) {
        let text = |lines: &[String], kind: u8| match kind {
            0 => "->".to_owned(),
            1 => lines.join("\n"),
            _ => lines.iter().map(|line| format!("{line}\n")).collect(),
        };
        let files: Vec<(usize, &str, String)> = files.iter().map(|(folder, name, lines, kind)| (*folder, *name, text(lines, *kind))).collect();
        agrees(&files);
    }
}

/// What keeps a module out is told from what loads it in a way of its own; kmod takes the same line as an order.
#[test]
fn an_install_line_that_loads_nothing() {
    for (line, loads_nothing) in [
        ("install vfio /bin/false", true),
        ("install vfio   /usr/bin/true", true),
        ("install vf* exit 0", true),
        ("install vfio /bin/true; /sbin/modprobe --ignore-install vfio", false),
        ("install vfio /usr/local/bin/false-friend", false),
    ] {
        let tree = TempDir::new().unwrap();
        fs::create_dir_all(tree.path().join(FOLDERS[0])).unwrap();
        fs::write(tree.path().join(FOLDERS[0]).join("a.conf"), format!("{line}\n")).unwrap();
        let configuration = read(tree.path());
        let first = configuration.first("install", "vfio").unwrap();
        assert_eq!(first.loads_nothing(), loads_nothing, "{line}");
        let ran = plain(&modprobe(tree.path(), &["-n", "-v", "known-vfio"]));
        assert!(ran.starts_with(&format!("install {}", first.rest)), "{line}: {ran}");
    }
}

/// kmod takes the next line for a part of a comment that ends in a backslash.
#[test]
fn a_name_of_a_card_does_not_hide_the_binding() {
    let host = tree::unpacked(&[Path::new(command::Z170)]);
    let names = host.path().join("usr/share/misc");
    fs::create_dir_all(&names).unwrap();
    fs::write(names.join("pci.ids"), "10de  NVIDIA\n\t1401  GM\u{1b}[31m206\n\t0fba  Audio \\\n").unwrap();
    let root = host.path().to_str().unwrap();
    command::run(&mut command::vgapt(["--root", root, "prepare", "--gpu", "01:00.0", "--yes"])).with(0);
    let shown = modprobe(host.path(), &["--showconfig"]);
    assert!(shown.contains("options vfio_pci ids=10de:1401,10de:0fba"), "{shown}");
    assert!(!fs::read_to_string(host.path().join("etc/modprobe.d/vgapt.conf")).unwrap().contains('\u{1b}'));
}
