//! Images to work on, and what is checked of them.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::command::{Ran, command, run, vgapt};

/// A directory with images in it.
pub(crate) struct Images {
    pub(crate) directory: TempDir,
    /// Where other programs are looked for first.
    tools: Option<PathBuf>,
}

impl Images {
    /// `base.qcow2` with some content and `base.qcow2.diff` over it with some other.
    pub(crate) fn new(mib: u32) -> Self {
        Self::in_directory(mib, tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("target can be written"))
    }

    /// The same where every user may look; the folders above those of the project may be shut.
    pub(crate) fn in_a_folder_of_all(mib: u32) -> Self {
        let directory = TempDir::new().expect("a temporary folder");
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("own folder");
        Self::in_directory(mib, directory)
    }

    fn in_directory(mib: u32, directory: TempDir) -> Self {
        let images = Self { directory, tools: None };
        images.tool(&["qemu-img", "create", "-q", "-f", "qcow2", "base.qcow2", &format!("{}M", mib * 2)]);
        images.tool(&["qemu-io", "-c", &format!("write -q -P 17 0 {mib}M"), "base.qcow2"]);
        images.vgapt(&["overlay", "base.qcow2"]).with(0);
        images.tool(&["qemu-io", "-c", &format!("write -q -P 34 {}M {mib}M", mib / 2), "base.qcow2.diff"]);
        images
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A program that is found before the real one of its name.
    pub(crate) fn stand_in(&mut self, name: &str, script: &str) {
        let tools = self.path("tools");
        fs::create_dir_all(&tools).expect("own directory");
        fs::write(tools.join(name), format!("#!/bin/bash\n{script}\n")).expect("own directory");
        fs::set_permissions(tools.join(name), PermissionsExt::from_mode(0o755)).expect("own file");
        self.tools = Some(tools);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = vgapt([&["disk"], arguments].concat());
        command.current_dir(self.directory.path());
        if let Some(tools) = &self.tools {
            command.env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").expect("there is a PATH")));
        }
        command
    }

    pub(crate) fn vgapt(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    #[track_caller]
    pub(crate) fn tool(&self, argv: &[&str]) -> Ran {
        run(command(argv[0]).args(&argv[1..]).current_dir(self.directory.path())).with(0)
    }

    /// What lies in the directory, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("own directory");
        let mut names: Vec<String> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "tools");
        names.sort();
        names
    }

    pub(crate) fn hash(&self, name: &str) -> u64 {
        hash(&self.path(name))
    }

    /// Whether two images show the same.
    #[track_caller]
    pub(crate) fn same(&self, one: &str, other: &str) {
        self.tool(&["qemu-img", "compare", "-q", one, other]);
    }

    /// No error in an image; a killed commit may leave clusters that nobody needs (exit code 3). One that is marked
    /// dirty is repaired by QEMU when it is opened for writing next (docs/interop/qcow2, incompatible features).
    #[track_caller]
    pub(crate) fn sound(&self, name: &str) {
        let qemu_img = |arguments: &[&str]| run(command("qemu-img").args(arguments).current_dir(self.directory.path()));
        let mut checked = qemu_img(&["check", "-q", name]);
        if checked.code() == Some(2) && qemu_img(&["info", "--output=json", name]).stdout.contains("\"dirty-flag\": true") {
            fs::copy(self.path(name), self.path("repaired")).unwrap();
            qemu_img(&["check", "-q", "-r", "all", "repaired"]);
            checked = qemu_img(&["check", "-q", "repaired"]);
            fs::remove_file(self.path("repaired")).unwrap();
        }
        assert!(checked.code() == Some(0) || checked.code() == Some(3), "{name}: {}", checked.stderr);
    }
}

fn hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut file = File::open(path).expect("the image is there");
    let mut buffer = vec![0; 1 << 20];
    while let length @ 1.. = file.read(&mut buffer).expect("the image can be read") {
        hasher.write(&buffer[..length]);
    }
    hasher.finish()
}
