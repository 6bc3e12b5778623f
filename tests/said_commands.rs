//! Each command of vgapt's own that a remedy, a note, a help text or the documentation names is one that
//! the command line takes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use vgapt::cli::Cli;

/// Options of other programs that are named beside vgapt's.
const OF_OTHERS: &[(&str, &str)] = &[
    ("boltctl enroll", "--policy"),
    ("an entry of GRUB", "--id"),
    ("QEMU, which takes two dashes too", "--device"),
    ("transactional-update", "--continue"),
    ("benches/guest", "--settings"),
    ("rmdir", "--ignore-fail-on-non-empty"),
    ("systemd-run", "--setenv"),
    ("grubby", "--remove-args --update-kernel"),
    ("vgapt itself, between its processes", "--execute-tied-to --read-only --write-attribute --show-hang --remove-directory-at-the-end"),
    ("cargo", "--bins --lib --locked --no-fail-fast --offline --path --test"),
    ("git", "--follow-tags"),
    ("firewall-cmd", "--add-service --permanent --reload --zone"),
    ("bootc loader-entries set-options-for-source", "--source --options"),
    ("rpm-ostree kargs, rpm-ostree initramfs", "--append-if-missing --delete-if-present --editor --enable --disable --arg --reproducible"),
    ("dracut", "--regenerate-all"),
    ("mkinitcpio", "--cmdline --no-cmdline"),
    ("cp", "--no-clobber --update"),
    ("dnf, pacman, zypper", "--oldinstallonly --needed --noconfirm --non-interactive"),
    ("systemctl, systemd-tmpfiles, sysctl", "--now --property --runtime --timestamp --user --value --create --system --load"),
    ("qemu-img", "--backing-chain --object --image-opts --output"),
    ("libguestfs", "--check-tmpdir --compress --convert --machine-readable --tmp"),
    ("qm of Proxmox VE", "--hostpci0"),
    ("virsh", "--config --domain --edit --inactive --keep-tpm --key --live --nvram --remove --reset-nvram --security-info --uri"),
    ("virt-install", "--boot --osinfo --unattended"),
    ("mdevctl", "--auto --defined --type --uuid"),
    ("journalctl", "--no-pager --output --since"),
    ("ausearch", "--raw"),
    ("losetup", "--find --offset --show --sizelimit"),
    ("virtctl", "--image-path --size"),
];

/// What a script may start QEMU with: tables of other programs' options.
const TABLES: [&str; 2] = ["src/import/shell/programs.rs", "src/import/before.rs"];

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The texts between quotes of a source file, without those of its tests; a comment's are none.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let mut found = Vec::new();
    let mut rest = source.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|letter| *letter != '\n').is_some() {},
            '\'' if rest.peek() == Some(&'"') => drop(rest.next()),
            '"' => {
                let mut text = String::new();
                while let Some(letter) = rest.next() {
                    match letter {
                        '"' => break,
                        '\\' => match rest.next() {
                            Some('n') => text.push('\n'),
                            Some('\n') => while rest.next_if(|letter| letter.is_whitespace()).is_some() {},
                            Some(letter) => text.push(letter),
                            None => {}
                        },
                        _ => text.push(letter),
                    }
                }
                found.push(text);
            }
            _ => {}
        }
    }
    found
}

/// What follows `vgapt` where a subcommand follows, up to where a sentence or a word of a shell ends.
fn commands(text: &str) -> Vec<String> {
    if !text.contains("vgapt ") {
        return Vec::new();
    }
    let names: Vec<String> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("vgapt ") {
        if text[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric() || "-_/.".contains(letter)) {
            continue;
        }
        let rest = &text[at + "vgapt ".len()..];
        let end = rest.find(['`', ';', '\n', ')', '|', '#', '\'', '>']).unwrap_or(rest.len());
        let rest = ["vgapt ", " && ", ", ", "[OPTIONS]"].iter().fold(&rest[..end], |rest, end| rest.split(end).next().unwrap_or_default());
        let words: Vec<&str> = rest.split_whitespace().collect();
        let subcommand = words.iter().find(|word| !word.starts_with('-'));
        if subcommand.is_some_and(|word| names.iter().any(|name| name == word.trim_end_matches([',', ':', '.']))) {
            found.push(words.join(" "));
        }
    }
    found
}

/// A word in which something is to be filled in; what it may be.
fn fillings(word: &str) -> Vec<String> {
    let is_open = word.contains('{') || word.contains('…') || word.contains('$') || word.contains("...");
    let is_name =
        !word.starts_with('-') && word.len() > 1 && word.chars().all(|letter| letter.is_ascii_uppercase() || "_=:".contains(letter));
    if !is_open && !is_name {
        return vec![word.to_owned()];
    }
    let start = word.split(['{', '…', '$']).next().unwrap_or_default();
    if start.starts_with("--") || (is_open && start.contains('=')) {
        return ["01:00.0", "8G", "4", "a"].iter().map(|value| format!("{start}{value}")).collect();
    }
    ["01:00.0", "8G", "4", "a", "046d:c31c", "/a=b", "01:00.0=1", "2560x1440"].map(str::to_owned).to_vec()
}

/// Whether the command line takes this with one of the fillings.
fn takes(words: &[&str]) -> Result<(), clap::Error> {
    let mut lines: Vec<Vec<String>> = vec![vec!["vgapt".to_owned()]];
    for word in words {
        let own = fillings(word);
        let longer = |line: &Vec<String>| own.iter().map(|word| [&line[..], std::slice::from_ref(word)].concat()).collect::<Vec<_>>();
        lines = lines.iter().flat_map(longer).take(2000).collect();
    }
    let mut last = Ok(());
    for line in lines {
        match Cli::try_parse_from(line) {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => return Ok(()),
            Err(error) => last = Err(error),
        }
    }
    last
}

/// What is wrong with a command that a sentence may go on behind: the longest beginning that the command
/// line takes has to have all its options in it.
fn wrong(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_end_matches([',', ':', '.', '"'])).collect();
    let least = words.iter().rposition(|word| word.starts_with('-')).map_or(1, |last| last + 1);
    let has_more = words.len() > 1 && Cli::command().find_subcommand(words[0]).is_some_and(clap::Command::has_subcommands);
    let least = if has_more { least.max(2) } else { least };
    let mut first = None;
    for end in (least..=words.len()).rev() {
        match takes(&words[..end]) {
            Ok(()) => return None,
            // The name of a command, in a sentence.
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => return None,
            Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
            Err(error) => first = Some(error),
        }
    }
    first.map(|error| format!("vgapt {command}: {}", error.to_string().lines().next().unwrap_or_default()))
}

/// `--option`s that are named in a text.
fn options(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("--") {
        let is_start = text[..at].chars().next_back().is_none_or(|letter| letter.is_whitespace() || "`'\"([|".contains(letter));
        let name: String = text[at..].chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
        if is_start && name.len() > 2 && name.as_bytes()[2].is_ascii_alphabetic() {
            found.insert(name.trim_end_matches('-').to_owned());
        }
    }
    found
}

fn own_options(command: &clap::Command, into: &mut BTreeSet<String>) {
    let names = command.get_arguments().filter_map(clap::Arg::get_long_and_visible_aliases).flatten();
    into.extend(names.map(|name| format!("--{name}")));
    for command in command.get_subcommands() {
        own_options(command, into);
    }
}

fn known_options() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = OF_OTHERS.iter().flat_map(|(_, own)| own.split(' ')).map(str::to_owned).collect();
    let mut command = Cli::command();
    command.build();
    own_options(&command, &mut known);
    known
}

fn helps(command: &mut clap::Command, into: &mut Vec<(String, String)>) {
    into.push((command.get_name().to_owned(), command.render_long_help().to_string()));
    for command in command.get_subcommands_mut() {
        helps(command, into);
    }
}

/// Each text with its place: the program's own words, the help, the documentation, the recorded outputs.
fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for path in files("src", "rs").into_iter().filter(|path| !TABLES.iter().any(|table| path == Path::new(table))) {
        let source = fs::read_to_string(&path).unwrap();
        texts.extend(literals(&source).into_iter().map(|text| (path.display().to_string(), text)));
    }
    let mut command = Cli::command();
    command.build();
    helps(&mut command, &mut texts);
    let documents = [vec![PathBuf::from("README.md"), "CONTRIBUTING.md".into()], files("docs", "md"), files("tests", "snap")].concat();
    for path in documents {
        texts.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
    }
    texts
}

#[test]
fn each_command_that_is_named_is_one() {
    let mut found: Vec<String> = Vec::new();
    let (mut counted, mut seen) = (0, BTreeSet::new());
    for (place, text) in texts() {
        for command in commands(&text) {
            counted += 1;
            if seen.insert(command.clone()) {
                found.extend(wrong(&command).map(|what| format!("{place}: {what}")));
            }
        }
    }
    assert!(counted > 200, "{counted} commands were found");
    assert!(found.is_empty(), "{} of {counted}:\n{}", found.len(), found.join("\n"));
}

/// A command that the program prints is copied as it is: what it is for stands before it, and not behind it as its predicate.
#[test]
fn no_words_are_glued_to_a_command() {
    const PREDICATES: [&str; 8] = ["shows", "names", "says", "lists", "removes", "adds", "restores", "opens"];
    let mut found = Vec::new();
    for path in files("src/commands", "rs") {
        for text in literals(&fs::read_to_string(&path).unwrap()) {
            let is_glued = |command: &String| command.split(' ').any(|word| PREDICATES.contains(&word));
            found.extend(commands(&text).into_iter().filter(is_glued).map(|command| format!("{}: vgapt {command}", path.display())));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_option_that_is_named_is_one() {
    let known = known_options();
    let mut found = BTreeSet::new();
    for (place, text) in texts() {
        for option in options(&text).into_iter().filter(|option| !known.contains(option)) {
            found.insert(format!("{option} in {place}"));
        }
    }
    assert!(found.is_empty(), "{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_check_finds_what_is_wrong() {
    assert_eq!(commands("run vgapt check --gpu {} again; or vgapt has"), ["check --gpu {} again"]);
    assert_eq!(wrong("check --gpu {} again"), None);
    assert_eq!(wrong("list --all shows what is there"), None);
    assert_eq!(wrong("prepare takes intel_iommu=off off the command line"), None);
    for bad in ["check --gpus {}", "define NAME --no-card", "disk mergee a b", "export NAME --to xen"] {
        assert!(wrong(bad).is_some(), "{bad}");
    }
    assert_eq!(options("say --gpu, '--page-size=1G' or x--y").into_iter().collect::<Vec<_>>(), ["--gpu", "--page-size"]);
    assert_eq!(literals("// \"no\"\nlet a = \"one \\\"two\\\"\"; let b = '\"';"), ["one \"two\""]);
    assert!(Path::new("src/cli.rs").is_file());
}
