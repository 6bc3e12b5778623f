//! The competitors, each as one command.

use std::path::Path;
use std::process::{Command, Stdio};

/// The program under test, as `cargo bench` built it (the release profile).
pub(crate) const VGAPT: &str = env!("CARGO_BIN_EXE_vgapt");

/// The guide's loop ("Check IOMMU"), with TREE before its paths and nothing else changed.
const GUIDE: &str = r#"for iommu_group in $(find TREE/sys/kernel/iommu_groups/ -maxdepth 1 -mindepth 1 -type d); do echo "IOMMU group $(basename "$iommu_group")"; for device in $(ls -1 "$iommu_group"/devices/); do echo -n $'\t'; lspci -O sysfs.path=TREE/sys/bus/pci -nns "$device"; done; done"#;

/// A command that can be run again and again.
#[derive(Debug, Clone)]
pub(crate) struct Program(Vec<String>);

impl Program {
    fn new<const N: usize>(argv: [&str; N]) -> Self {
        Self(argv.map(str::to_owned).to_vec())
    }

    /// `vgapt list` of a tree.
    pub(crate) fn list(tree: &Path) -> Self {
        Self::new([VGAPT, "--root", &tree.to_string_lossy(), "list"])
    }

    /// `vgapt define --dry-run` with a card of a tree.
    pub(crate) fn define(tree: &Path, connection: &str, card: &str) -> Self {
        Self::new([VGAPT, "--root", &tree.to_string_lossy(), "-c", connection, "define", "bench", "--dry-run", "--gpu", card])
    }

    /// `lspci -nnk` of a tree.
    pub(crate) fn lspci(tree: &Path) -> Self {
        Self::new(["lspci", "-O", &format!("sysfs.path={}/sys/bus/pci", tree.display()), "-nnk"])
    }

    /// The guide's shell loop over the groups of a tree.
    pub(crate) fn guide(tree: &Path) -> Self {
        Self::new(["bash", "-c", &GUIDE.replace("TREE", &tree.to_string_lossy())])
    }

    /// `virt-install --print-xml` with two functions of a card. An explicit loader, because the test
    /// driver knows no `--boot uefi`; no operating system, which would cost as much again.
    pub(crate) fn virt_install(connection: &str, functions: [&str; 2]) -> Self {
        let [first, second] = functions.map(|address| format!("pci_{}", address.replace([':', '.'], "_")));
        Self::new([
            "virt-install",
            "--connect",
            connection,
            "--name=bench",
            "--memory=8192",
            "--disk=none",
            "--import",
            "--osinfo=require=off",
            "--boot=loader=/usr/share/OVMF/OVMF_CODE_4M.fd,loader.readonly=yes,loader.type=pflash",
            "--hostdev",
            &first,
            "--hostdev",
            &second,
            "--print-xml",
        ])
    }

    /// The command, run as it is or by another program, with nothing on its standard streams.
    pub(crate) fn command(&self, by: &[&str]) -> Command {
        let mut words = by.iter().copied().chain(self.0.iter().map(String::as_str));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env("LC_ALL", "C");
        // In cargo's folders, which a user does not have, each program would look for its libraries first.
        for name in ["LD_LIBRARY_PATH", "LIBVIRT_DEFAULT_URI", "VGAPT_VGA_BUS", "VGAPT_DISK_IMAGE"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}
