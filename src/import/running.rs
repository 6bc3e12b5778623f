//! A QEMU that runs on the host, as a script that was followed.

use super::environment::is_for_qemu;
use super::options::options;
use super::shell::Script;
use crate::model::{QemuProcess, Reading};

/// The name that a command line sets with `-name`.
pub fn name_of(argv: &[String]) -> Option<String> {
    let all = options(argv);
    all.iter().rev().find_map(|option| option.peek("guest").filter(|_| option.name == "name")).map(str::to_owned)
}

/// What a process runs; `given` supplies `PWD`, where its directory is not known.
pub fn running(process: &QemuProcess, given: &dyn Fn(&str) -> Option<String>) -> Script {
    let mut notes = Vec::new();
    let mut argv = process.argv.clone();
    if let (Some(name), Some(program)) = (argv.first_mut(), &process.program) {
        program.clone_into(name);
    }
    let environment = match &process.environment {
        Reading::Known(environment) => environment.clone(),
        _ => Vec::new(),
    };
    let is_daemon = argv.iter().any(|word| word.trim_start_matches('-') == "daemonize");
    let begun = environment.iter().find(|(name, _)| name == "PWD").map(|(_, folder)| folder.clone());
    let folder = match &process.folder {
        // -daemonize changes it to the root directory after it has opened its files (`os_setup_post`).
        Reading::Known(_) if is_daemon => begun,
        Reading::Known(folder) => Some(folder.clone()),
        _ => None,
    };
    let descriptors = match &process.descriptors {
        Reading::Known(descriptors) => descriptors.clone(),
        _ => std::collections::BTreeMap::new(),
    };
    for because in [process.environment.unknown(), process.descriptors.unknown()].into_iter().flatten() {
        notes.push(format!("{because}: as root more of the process can be read"));
    }
    if argv.iter().any(|word| word.ends_with("/master-key.aes") || word.contains("/master-key.aes\"")) {
        notes.push("libvirt started this QEMU: its domain is complete in virsh dumpxml".into());
    }
    if argv.iter().any(|word| word.contains('\u{fffd}')) {
        return Script::refused("a word of the command line is not UTF-8, and libvirt accepts no other", "rename the file that it names");
    }
    let before = process.processors.iter().flat_map(|set| ["taskset".to_owned(), "-c".to_owned(), set.clone()]).collect();
    let environment = environment.into_iter().filter(|(name, _)| is_for_qemu(name)).map(|(name, value)| (name, value, None)).collect();
    let pins = process.pins.clone();
    Script { argv, pins, before, environment, notes, descriptors, folder: given("PWD").or(folder), ..Script::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(words: &str) -> QemuProcess {
        QemuProcess {
            pid: 7,
            argv: words.split(' ').map(str::to_owned).collect(),
            program: Some("/usr/bin/qemu-system-x86_64".into()),
            folder: Reading::Known("/".into()),
            environment: Reading::Known(vec![("PWD".into(), "/vm".into()), ("QEMU_AUDIO_DRV".into(), "pa".into())]),
            descriptors: Reading::Unknown("cannot read /proc/7/fd".into()),
            processors: Some("2-3".into()),
            pins: vec![(0, "2".into())],
        }
    }

    #[test]
    fn where_it_was_started() {
        let script = running(&process("qemu -daemonize -m 1"), &|_| None);
        assert_eq!((script.folder.as_deref(), script.argv[0].as_str()), (Some("/vm"), "/usr/bin/qemu-system-x86_64"));
        assert_eq!((script.before.join(" ").as_str(), script.environment.len(), script.notes.len()), ("taskset -c 2-3", 1, 1));
        assert_eq!(running(&process("qemu -m 1"), &|_| None).folder.as_deref(), Some("/"));
        assert_eq!(running(&process("qemu -m 1"), &|name| (name == "PWD").then(|| "/x".into())).folder.as_deref(), Some("/x"));
        assert_eq!(name_of(&process("qemu -name win10,process=x").argv).as_deref(), Some("win10"));
    }
}
