//! Programs: QEMU, and commands that run another one.

use super::command::{Part, Statement};
use super::marks::{CLOSE, has_unknown, shown, unknown};
use super::word::{Piece, Word};
use crate::import::table::has;

/// What such a command runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// From this word on.
    From(usize),
    /// A text for a shell, and the number of words before it.
    Text(usize, String),
}

/// Commands that run another one: names, options that take a value, and the number of words before
/// the inner command.
const WRAPPERS: &[(&str, &str, usize)] = &[
    ("sudo", "-u -g -p -C -h -r -t -T -U -D -R --user --group --prompt --chdir", 0),
    ("doas", "-u -C", 0),
    ("pkexec", "--user", 0),
    ("exec", "-a", 0),
    ("nohup setsid command builtin gamemoderun prime-run unshare gdb", "", 0),
    ("nice", "-n --adjustment", 0),
    ("ionice", "-c -n --class --classdata", 0),
    ("taskset chroot", "", 1),
    ("chrt", "-T -P -D", 1),
    ("numactl", WITH_VALUE_OF_NUMACTL, 0),
    ("env", "-u --unset -C --chdir", 0),
    ("time", "-f -o", 0),
    ("timeout", "-s -k --signal --kill-after", 1),
    ("prlimit", "-p --pid", 0),
    ("setpriv", "--reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits", 0),
    ("systemd-run", "-u -p -M -H -E -t --unit --property --slice --uid --gid --setenv --description --nice", 0),
    ("systemd-inhibit", "--what --who --why --mode", 0),
    ("runuser", "-u -g -G --user", 0),
    ("gnome-terminal xterm konsole alacritty kitty foot", "-T --title -geometry --geometry", 0),
    ("stdbuf", "-i -o -e", 0),
    ("cgexec", "-g", 0),
    ("cset", "-s -u -g", 1),
    ("strace", "-o -e -p -s", 0),
    ("screen", "-S -t -c -h -p -s -T -e", 0),
    ("tmux", "-s -n -c -x -y -t -e -F -f -L -S", 1),
];

/// Options of numactl with a value; all others have none.
pub(in crate::import) const WITH_VALUE_OF_NUMACTL: &str = "-m --membind -i --interleave -w --weighted-interleave -p --preferred -P --preferred-many -C --physcpubind -N --cpunodebind -c --cpubind";

/// Whether a word is the name of a command that runs another one.
pub(in crate::import) fn is_wrapper(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or_default();
    WRAPPERS.iter().any(|(wrappers, ..)| has(wrappers, name))
}

/// Whether the word behind an option of such a command is the option's value.
pub(in crate::import) fn takes_value(command: &str, option: &str) -> bool {
    let row = WRAPPERS.iter().find(|(wrappers, ..)| has(wrappers, command));
    option.starts_with('-') && row.is_some_and(|(_, with_value, _)| has(with_value, option) || last_takes_value(with_value, option))
}

/// What a command runs, if it runs another one.
pub(super) fn inner(argv: &[String]) -> Option<Inner> {
    let name = argv.first()?.rsplit('/').next()?;
    match name {
        "eval" => return Some(Inner::Text(1, argv[1..].join(" "))),
        "bash" | "sh" | "zsh" | "dash" | "ksh" | "ash" | "su" | "sg" => return of_shell(argv),
        // It says where a program is.
        "command" if argv.get(1).is_some_and(|word| matches!(word.as_str(), "-v" | "-V")) => return None,
        // They change a process that runs.
        "taskset" | "chrt" | "ionice" if changes_process(&argv[1..]) => return None,
        // Its other commands make and change sets.
        "cset" if !argv[1..].iter().any(|word| matches!(word.as_str(), "-e" | "--exec")) => return None,
        "runuser" if argv.iter().any(|word| word == "-c") => return of_shell(argv),
        "ip" if argv.get(1..3).is_some_and(|words| words == ["netns", "exec"]) => return Some(Inner::From(4)),
        _ => {}
    }
    let (_, with_value, mut before) = *WRAPPERS.iter().find(|(wrappers, ..)| has(wrappers, name))?;
    let (mut at, mut plain) = (1, false);
    while let Some(word) = argv.get(at) {
        if word == "--" && !plain {
            plain = true;
        } else if word.starts_with('-') && word.len() > 1 && !plain {
            at += usize::from(has(with_value, word) || last_takes_value(with_value, word));
        } else if before > 0 {
            before -= 1;
        } else if !((name == "env" || name == "sudo") && word.contains('=') && !word.starts_with('/')) {
            break;
        }
        at += 1;
    }
    // These pass a single word to a shell.
    let is_text = (name == "tmux" || name == "screen") && argv.len() == at + 1 && argv[at].contains(' ');
    Some(if is_text { Inner::Text(at, argv[at].clone()) } else { Inner::From(at) })
}

/// `-p`, `-pc`, `--pid` among the options: the command names a process in place of a program.
fn changes_process(words: &[String]) -> bool {
    let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || ",-".contains(c));
    let mut options = words.iter().take_while(|word| word.starts_with('-') || is_number(word));
    options.any(|word| word == "--pid" || (word.starts_with('-') && !word.starts_with("--") && word.contains('p')))
}

/// Whether of the letters of a word the last is the first that takes a value, as in `sudo -Hu NAME`.
fn last_takes_value(with_value: &str, word: &str) -> bool {
    let takes = |letter: char| has(with_value, &format!("-{letter}"));
    let first = word.char_indices().skip(1).find(|(_, letter)| takes(*letter));
    !word.starts_with("--") && first.is_some_and(|(at, letter)| at + letter.len_utf8() == word.len())
}

/// `bash -c 'text'`, `su USER -c 'text'`.
fn of_shell(argv: &[String]) -> Option<Inner> {
    let is_c = |word: &String| word == "--command" || (word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'));
    let at = argv.iter().position(is_c)? + 1;
    argv.get(at).map(|text| Inner::Text(at, text.clone()))
}

/// Commands that may mention QEMU without running it.
const MENTIONS_QEMU: &str = "apt-get apt dnf yum pacman zypper apk emerge nix-env echo printf pgrep pkill killall which type ls grep cat trap \
                             readlink alias pidof";

pub(super) fn mentions_qemu(program: &str) -> bool {
    has(MENTIONS_QEMU, program)
}

/// Programs that change nothing that a guest needs.
pub(super) const ONLY_READ: &str = "[ awk basename cat cd clear command cut date dirname disown find free grep groups hash head id kill killall ls lscpu \
                         lsmod lspci lsusb mkdir notify-send nproc pgrep pidof pkill ps pwd readlink realpath rm sed seq shopt sort stat tail \
                         tput tr trap type ulimit uname which wc xrandr zenity";
/// Programs that scripts run beside QEMU, and that are no functions of a file that they source.
const BESIDE_QEMU: &str = "arp bash blkid brctl chgrp chmod chown cp cpupower curl dd dhclient dmesg dnsmasq driverctl ethtool \
                           fallocate fsck gsettings hugeadm hwclock ifconfig install ip iptables ip6tables jq ln losetup lsof mkfifo \
                           mkfs mknod mktemp modprobe mount mv nbd-client nc ncat nft nvidia-smi openssl pactl partprobe passt paste \
                           qemu-img qemu-nbd rmdir rmmod route scp setpci sh socat spicy ssh su swtpm sync sysctl systemctl tee touch \
                           truncate tunctl udevadm umount unzip usermod virsh virt-viewer virtiofsd vncviewer wget wmctrl xdotool xhost";

/// Whether a command is a program that is known here, and not a function of another file.
pub(super) fn is_known_program(name: &str) -> bool {
    [ONLY_READ, BESIDE_QEMU, MENTIONS_QEMU].iter().any(|known| has(known, name)) || is_wrapper(name)
}

/// Options that only QEMU has.
const OF_QEMU: &str =
    "-m -cpu -smp -machine -M -enable-kvm -accel -drive -hda -cdrom -device -netdev -nic -vnc -vga -display -nographic -bios";

/// Whether the options of a command are those of QEMU, whatever its program is.
pub(super) fn has_options_of_qemu(argv: &[String]) -> bool {
    argv.iter().skip(1).filter(|word| has(OF_QEMU, word)).count() > 1
}

/// Whether a command, as written, starts QEMU.
pub(super) fn starts_qemu(step: &Statement) -> bool {
    let Some((first, parts)) = step.parts() else { return false };
    if matches!(first, "[" | "[[" | "test") {
        return false;
    }
    let said = |piece: &Piece| match piece {
        Piece::Text(text) | Piece::Quoted(text) => text.clone(),
        Piece::Parameter { inside, .. } => unknown(inside),
        Piece::Command { text, .. } => unknown(&format!("$({text})")),
    };
    let words = parts.iter().skip_while(|part| part.assigned().is_some()).filter_map(Part::word);
    // `qemu-system-$ARCH` is known by its beginning.
    let word = |word: &Word| {
        let begins = word.pieces.first().map(&said).filter(|begin| begin.contains("qemu-system-"));
        begins.unwrap_or_else(|| word.pieces.iter().map(&said).collect())
    };
    runs_qemu(&words.map(word).collect::<Vec<_>>())
}

/// Whether a command is QEMU, or runs it through any number of others.
fn runs_qemu(mut argv: &[String]) -> bool {
    loop {
        let Some(first) = argv.first() else { return false };
        if is_qemu(first) || begins_with_qemu(first) {
            return true;
        }
        match inner(argv) {
            Some(Inner::From(at)) => argv = argv.get(at..).unwrap_or_default(),
            Some(Inner::Text(_, text)) => {
                let mut words = text.split_whitespace();
                let first = words.next().unwrap_or_default();
                return is_qemu(first) || (!mentions_qemu(first) && words.any(is_qemu_by_its_name));
            }
            None => return is_given_qemu(argv),
        }
    }
}

/// Whether a text is a command that starts QEMU.
fn begins_with_qemu(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.next().is_some_and(is_qemu_by_its_name) && words.any(|word| word.starts_with('-') || has_unknown(word))
}

/// Whether a command that is not known here is given QEMU with options, to run it.
pub(super) fn is_given_qemu(argv: &[String]) -> bool {
    let Some((first, words)) = argv.split_first() else { return false };
    // A word that assigns is part of no command.
    let is_other =
        is_known_program(first) || first.contains('=') || NO_PROGRAMS.contains(&first.as_str()) || DECLARERS.contains(&first.as_str());
    let is_option = |word: &String| word.starts_with('-') || has_unknown(word);
    let is_run = |at: usize| is_qemu_by_its_name(&words[at]) && words[at + 1..].iter().any(is_option);
    !is_other && (0..words.len()).any(|at| begins_with_qemu(&words[at]) || is_run(at))
}

/// Commands of the shell that declare variables.
pub(super) const DECLARERS: [&str; 5] = ["export", "local", "declare", "readonly", "typeset"];
/// Others of its own that run nothing.
const NO_PROGRAMS: [&str; 5] = ["unset", "read", "set", "source", "."];

/// `kvm` is also a group, a module and a device: as an argument it is no program.
fn is_qemu_by_its_name(word: &str) -> bool {
    word.rsplit(CLOSE).next() != Some("kvm") && !word.contains('=') && is_qemu(word)
}

/// A QEMU program, or a variable that must be one.
pub(super) fn is_qemu(word: &str) -> bool {
    let name = word.rsplit(['/', CLOSE]).next().unwrap_or_default();
    let is_variable = || {
        shown(word)
            .strip_prefix('$')
            .is_some_and(|name| name.to_uppercase().contains("QEMU") && name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    // `/dev/kvm` is a device.
    if word.starts_with("/dev/") || word.starts_with("/sys/") {
        return false;
    }
    name.starts_with("qemu-system-") || ["qemu-kvm", "kvm", "kvm-spice"].contains(&name) || word.ends_with("bin/qemu") || is_variable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_within() {
        for (command, within) in [
            ("sudo -u kvm qemu -m 1", "qemu -m 1"),
            ("sudo -Hu kvm qemu -m 1", "qemu -m 1"),
            ("sudo -ukvm qemu -m 1", "qemu -m 1"),
            ("sudo -E A=b /usr/bin/qemu", "/usr/bin/qemu"),
            ("nice -n -5 qemu", "qemu"),
            ("nice -10 qemu", "qemu"),
            ("taskset -c 0-3 qemu", "qemu"),
            ("chrt -r 1 taskset 0xf qemu", "taskset 0xf qemu"),
            ("timeout -s 9 1h qemu", "qemu"),
            ("env -u X A=1 qemu", "qemu"),
            ("systemd-run --scope -p CPUQuota=1 --unit=x qemu -m 1", "qemu -m 1"),
            ("screen -dmS vm sudo qemu", "sudo qemu"),
            ("ip netns exec vm qemu", "qemu"),
        ] {
            let argv: Vec<String> = command.split(' ').map(str::to_owned).collect();
            let Some(Inner::From(at)) = inner(&argv) else { panic!("{command}") };
            assert_eq!(argv[at..].join(" "), within);
        }
        let argv: Vec<String> = ["su", "-", "vm", "-c", "a b"].map(str::to_owned).into();
        assert_eq!(inner(&argv), Some(Inner::Text(4, "a b".into())));
        for none in ["echo qemu", "taskset -pc 4 1234", "chrt --fifo --pid 1 1234", "cset set -c 1 -s vm"] {
            assert_eq!(inner(&none.split(' ').map(str::to_owned).collect::<Vec<_>>()), None);
        }
    }
}
