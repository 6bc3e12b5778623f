//! A QEMU driver of the tests' own, never the machine's: inside the client, or a daemon that ends with its test.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::command::{Ran, Z170, command, run, vgapt};

/// The account of nobody in particular, for a session where root may not make a mount namespace.
const NOBODY: u32 = 65534;
/// Puts everything that a system's libvirtd writes on file systems that only it sees.
const SYSTEM: &str = r#"
set -e
for of in /etc /var/lib /var/cache /var/log /run; do
    mkdir -p $of/libvirt
    mount -t tmpfs tmpfs $of/libvirt
done
cp "$1/qemu.conf" /etc/libvirt
mkdir /var/cache/libvirt/qemu /var/lib/libvirt/hugepages
mount --bind "$2" /var/cache/libvirt/qemu
mount -t hugetlbfs hugetlbfs /var/lib/libvirt/hugepages || echo "no hugetlbfs"
exec setpriv --pdeathsig KILL libvirtd -f "$1/libvirtd.conf" -p "$1/pid" --timeout 120
"#;

/// Major and minor.
pub(crate) type Version = (u32, u32);

/// A libvirt with the QEMU driver.
pub(crate) struct Libvirt {
    pub(crate) uri: String,
    /// Whether its domains may be of type `kvm`.
    pub(crate) kvm: bool,
    /// Whether it runs as root.
    pub(crate) is_system: bool,
    /// Whether it may make network devices, which are then none of the machine's.
    pub(crate) has_network: bool,
    directory: TempDir,
    daemon: Option<Child>,
}

/// Tells of what cannot be tested here; with `VGAPT_TEST_ALL` set it fails instead.
pub(crate) fn skip(what: &str, why: &str) {
    let told = format!("SKIPPED: {what}: {why}");
    assert!(std::env::var_os("VGAPT_TEST_ALL").is_none(), "{told}");
    // Not with eprintln, which is only shown where a test fails.
    writeln!(std::io::stderr(), "{told}").expect("standard error is open");
}

/// Whether these programs are installed. With `VGAPT_TEST_PROGRAMS` set, as in `.ci/run`, a missing one fails the test.
pub(crate) fn have(what: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> =
        programs.iter().filter(|program| !succeeds(Command::new("sh").args(["-c", "type $0", program]).env("PATH", path()))).collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("VGAPT_TEST_PROGRAMS").is_none(), "{what}: not installed: {missing:?}");
        skip(what, &format!("not installed: {missing:?}"));
    }
    missing.is_empty()
}

/// An ordinary user's lacks the folders of libvirtd on Debian.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What libvirt finds out about QEMU takes it seconds, and is kept from run to run.
fn cache(of: &str) -> PathBuf {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join(of);
    fs::create_dir_all(&cache).expect("target can be written");
    cache
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("proc is mounted").uid() == 0
}

/// libvirt asks QEMU for what it can do as root, and whether /dev/kvm is there as QEMU's user. Where
/// only one of them may open it, it does not believe its own answer and asks again for each device.
fn as_ourselves() -> &'static str {
    if is_root() { "user = \"root\"\ngroup = \"root\"\n" } else { "" }
}

impl Libvirt {
    /// The driver inside each client, one client at a time.
    pub(crate) fn embedded() -> Self {
        let directory = TempDir::new().expect("a temporary folder");
        symlink(cache("embedded"), directory.path().join("cache")).expect("a link in an empty folder");
        fs::create_dir(directory.path().join("etc")).expect("own folder");
        fs::write(directory.path().join("etc/qemu.conf"), as_ourselves()).expect("own folder");
        let uri = format!("qemu:///embed?root={}", directory.path().display());
        Self { uri, kvm: false, is_system: is_root(), has_network: false, directory, daemon: None }.looked_at()
    }

    /// A libvirtd: as root one of the system's, in namespaces of its own; else a session.
    pub(crate) fn daemon() -> Self {
        let directory = TempDir::new().expect("a temporary folder");
        let path = directory.path();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("own folder");
        let conf = format!("unix_sock_dir = '{}'\nauth_unix_rw = 'none'\nauth_unix_ro = 'none'\n", path.display());
        fs::write(path.join("libvirtd.conf"), conf.replace('\'', "\"")).expect("own folder");
        let conf = "stdio_handler = 'file'\ncgroup_controllers = []\nnamespaces = []\nsecurity_driver = 'none'\n";
        fs::write(path.join("qemu.conf"), conf.replace('\'', "\"") + as_ourselves()).expect("own folder");
        let is_system = is_root() && succeeds(Command::new("unshare").args(["--mount", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]));
        let (mut command, has_network) = if is_system { (system(path), true) } else { session(path) };
        let log = fs::File::create(path.join("log")).expect("own folder");
        let errors = log.try_clone().expect("a file can be opened twice");
        let daemon = command.env("PATH", self::path()).stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let uri = format!("qemu+unix:///{}?socket={}/libvirt-sock", if is_system { "system" } else { "session" }, path.display());
        let mut libvirt =
            Self { uri, kvm: false, is_system, has_network, directory, daemon: Some(daemon.expect("unshare and setpriv are there")) };
        libvirt.wait();
        libvirt.looked_at()
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ended = self.daemon.as_mut().is_some_and(|daemon| daemon.try_wait().is_ok_and(|status| status.is_some()));
            let answers = !ended && succeeds(command("virsh").args(["-c", &self.uri, "uri"]));
            if answers {
                return;
            }
            let log = || fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(!ended && Instant::now() < deadline, "libvirtd does not come up:\n{}", log());
            sleep(Duration::from_millis(50));
        }
    }

    fn looked_at(mut self) -> Self {
        self.kvm = succeeds(command("virsh").args(["-c", &self.uri, "domcapabilities", "--virttype", "kvm", "--machine", "q35"]));
        if !self.kvm {
            static TOLD: Once = Once::new();
            TOLD.call_once(|| skip("domains of type kvm", "QEMU may not use /dev/kvm here; type qemu is taken in their place"));
        }
        self
    }

    /// A path in the folder of this libvirt, which goes with it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    pub(crate) fn virsh(&self, arguments: &[&str]) -> Ran {
        run(command("virsh").args(["-q", "-c", &self.uri]).args(arguments)).with(0)
    }

    pub(crate) fn vgapt(&self, arguments: &[&str]) -> Ran {
        run(&mut vgapt(["--root", Z170, "-c", &self.uri].iter().chain(arguments)))
    }

    /// A domain that is not there yet.
    pub(crate) fn define_new(&self, arguments: &[&str]) -> Ran {
        self.vgapt(&[&["define"], arguments, &self.template("windows").iter().map(String::as_str).collect::<Vec<_>>()].concat())
    }

    /// The options that make a domain for this system one that this libvirt takes.
    pub(crate) fn template(&self, os: &str) -> Vec<String> {
        let os_option = ["--os".to_owned(), os.to_owned()];
        if self.kvm {
            return os_option.to_vec();
        }
        let text = |name: &str| fs::read_to_string(format!("{}/templates/{name}.xml", env!("CARGO_MANIFEST_DIR")));
        let (name, own) = text(os).map(|text| (os, text)).or_else(|_| text("windows").map(|text| ("windows", text))).expect("templates");
        let file = self.path(&format!("{name}.xml"));
        // Whole at once: other threads read it meanwhile.
        let own_copy = self.path(&format!("{name}.{:?}", std::thread::current().id()));
        fs::write(&own_copy, own.replace("<domain type='kvm'", "<domain type='qemu'")).expect("own folder");
        fs::rename(own_copy, &file).expect("own folder");
        [&os_option[..], &["--template".to_owned(), file]].concat()
    }

    /// Whether huge pages could be had: the system's libvirtd found a hugetlbfs, which a session never looks for.
    pub(crate) fn has_hugepages(&self) -> bool {
        self.is_system && !fs::read_to_string(self.path("log")).is_ok_and(|log| log.contains("no hugetlbfs"))
    }

    /// libvirt's own, and QEMU's.
    pub(crate) fn versions(&self) -> (Version, Version) {
        let said = self.virsh(&["version"]).stdout;
        let of = |what: &str| {
            let number = said.lines().find_map(|line| line.strip_prefix(what)).expect("virsh tells versions").trim();
            let mut parts = number.rsplit(' ').next().unwrap_or_default().split('.').map(|part| part.parse().unwrap_or_default());
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        };
        (of("Using library: "), of("Running hypervisor: "))
    }

    /// The domain as it is stored, passwords included.
    pub(crate) fn xml(&self, name: &str) -> String {
        self.virsh(&["dumpxml", "--inactive", "--security-info", name]).stdout
    }
}

fn system(directory: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--net", "sh", "-c", SYSTEM, "libvirtd"]).arg(directory).arg(cache("system"));
    command
}

/// An ordinary user's; root becomes one. Where user namespaces are allowed, with a network of its own.
fn session(directory: &Path) -> (Command, bool) {
    let mut words: Vec<String> = Vec::new();
    let mut user_cache = cache("session").display().to_string();
    if is_root() {
        let group = fs::metadata("/dev/kvm").map_or(NOBODY, |kvm| kvm.gid());
        words = ["setpriv", "--reuid", &NOBODY.to_string(), "--regid", &NOBODY.to_string(), "--groups", &group.to_string()]
            .map(str::to_owned)
            .to_vec();
        chown(directory, Some(NOBODY), None).expect("root may give away");
        user_cache = directory.join("cache").display().to_string();
    }
    let isolated = ["unshare", "--user", "--map-current-user", "--keep-caps", "--net"].map(str::to_owned);
    let trial = [&words[..], &isolated[..], &["true".to_owned()]].concat();
    let has_network = succeeds(Command::new(&trial[0]).args(&trial[1..]));
    if has_network {
        words.extend(isolated);
    }
    let file = |name: &str| directory.join(name).display().to_string();
    // Where a session looks for it.
    fs::create_dir_all(directory.join("CONFIG_HOME/libvirt")).expect("own folder");
    fs::copy(directory.join("qemu.conf"), directory.join("CONFIG_HOME/libvirt/qemu.conf")).expect("own folder");
    if is_root() {
        for folder in ["CONFIG_HOME", "CONFIG_HOME/libvirt"] {
            chown(directory.join(folder), Some(NOBODY), None).expect("root may give away");
        }
    }
    words.extend(
        ["setpriv", "--pdeathsig", "KILL", "libvirtd", "--timeout", "120", "-f", &file("libvirtd.conf"), "-p", &file("pid")]
            .map(str::to_owned),
    );
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("HOME", directory).env("XDG_CACHE_HOME", user_cache);
    for name in ["CONFIG_HOME", "DATA_HOME", "RUNTIME_DIR"] {
        command.env(format!("XDG_{name}"), file(name));
    }
    (command, has_network)
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        // Domains outlive their daemon.
        let running = run(command("virsh").args(["-q", "-c", &self.uri, "list", "--name"])).stdout;
        for name in running.split_whitespace() {
            run(command("virsh").args(["-q", "-c", &self.uri, "destroy", name]));
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
    }
}
