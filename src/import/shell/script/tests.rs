use proptest::prelude::*;

use super::*;

fn read(text: &str, path: &str, given: Lookup<'_>) -> Script {
    super::read(text, path, given, &|file| (file == "/vm/conf").then(|| "V=beside".into()))
}

fn argv(script: &str) -> String {
    read(script, "/vm/start.sh", &|name| (name == "GIVEN").then(|| "given".into())).argv.join("|")
}

#[test]
fn as_a_shell_reads_it() {
    assert_eq!(argv("qemu-kvm -m 1 \\\n  -smp 2 # more\n-x"), "qemu-kvm|-m|1|-smp|2");
    assert_eq!(
        argv("A=1 B=\"$A 2\"\nsudo -E /usr/bin/qemu-system-x86_64 -m $B -n \"$B\" 'a $B'"),
        "/usr/bin/qemu-system-x86_64|-m|1|2|-n|1 2|a $B"
    );
    assert_eq!(argv("O=\"-m 1\"\nO=\"$O -smp 2\"\nO+=' -usb'\nkvm $O ${X:-a b} ${GIVEN:-c} \"${Y-}\""), "kvm|-m|1|-smp|2|-usb|a|b|given|");
    assert_eq!(argv("A=(-m 1)\nA+=(\n -smp 'a b' # c\n)\nqemu-kvm \"${A[@]}\" \"$@\" $1 2>&1 >log &"), "qemu-kvm|-m|1|-smp|a b|$1");
    assert_eq!(
        argv("if [ -n \"$X\" ]; then A=1; else A=2; fi\nqemu-kvm -m $A -d $(dirname \"$0\")/x ${0%/*}"),
        "qemu-kvm|-m|2|-d|/vm/x|/vm"
    );
    assert_eq!(argv("cat <<END\nqemu-kvm -m 1 -m 2 -m 3\nEND\nqemu-kvm -m 7 -m 8"), "qemu-kvm|-m|7|-m|8");
}

fn notes(script: &str) -> String {
    read(script, "x", &|_| None).notes.join("\n")
}

#[test]
fn conditions_are_followed_as_far_as_they_can_be_told() {
    let of = |script: &str| argv(&format!("{script}\nkvm -m 1 $V"));
    assert_eq!(of("G=0\nif [ $G = 1 ]; then V=a; elif [[ $G == [0-9] && ! -z x ]]; then V=b; else V=c; fi"), "kvm|-m|1|b");
    assert_eq!(of("I=\n[ -n \"$I\" ] && V=a\n[ -z \"$I\" ] || V=b"), "kvm|-m|1");
    assert_eq!(of("M=b\ncase $M in a|c) V=1;; (b*) V=2;; *) V=3;; esac"), "kvm|-m|1|2");
    assert_eq!(of("i=0\nwhile [ $i -lt 3 ]; do V=\"$V $i\"; i=$((i+1)); done\nuntil true; do V=x; done"), "kvm|-m|1|0|1|2");
    assert_eq!(of("for x in a b1 b2; do [ $x = b1 ] && continue; V+=\" $x\"; done"), "kvm|-m|1|a|b2");
    assert_eq!(of("for ((i=1; i<3; i++)); do V+=\" $i\"; done"), "kvm|-m|1|1|2");
    assert_eq!(of("false && V=a || V=b; true || V=c"), "kvm|-m|1|b");
    assert_eq!(of("[ $EUID -ne 0 ] && { echo no; exit 1; }\nV=a\nif [ ! -f /x ]; then usage; exit; fi"), "kvm|-m|1|a");
    assert!(notes("exec kvm -m 1 \\\n\n-usb -net nic\n").contains("before '-usb -net nic'"));
    assert_eq!(of("if [[ $EUID -ne 0 ]]\nthen\n exit 1\nfi\nif [[ a == a\n && b == b ]]\nthen\n V=a\nfi"), "kvm|-m|1|a");
    assert_eq!(of("for x in $Y; do V+=\" $x\"; done"), "kvm|-m|1|$Y");
    assert_eq!([of("source ./conf"), of(". /vm/conf"), of("cd /x; . $Z/conf")].join(" "), "kvm|-m|1|beside kvm|-m|1|beside kvm|-m|1|$V");
    assert_eq!(of("declare -A a=([x]=1 [y]=2); for k in \"${!a[@]}\"; do V+=\" $k${a[$k]}\"; done"), "kvm|-m|1|x1|y2");
    assert_eq!(argv("while true; do kvm -m 1; sleep 1; done"), "kvm|-m|1");
    assert_eq!(argv("kvm -m 1\nexit\nkvm -m 2 -x"), "kvm|-m|1");
}

#[test]
fn what_cannot_be_told_is_told() {
    assert_eq!(
        notes("V=\nif [ -e /dev/kvm ]; then\n V=a\nelse V=\"b c\"; fi\nkvm -m 1 $V"),
        "line 2: it is unknown whether `[ -e /dev/kvm ]` is true; assumed true; left out: V=\"b c\""
    );
    assert_eq!(
        notes("V=\nwhile [ $# -gt 0 ]; do V=$1; shift; done\nkvm -m 1 $V"),
        "line 2: the script takes arguments; without any, `[ $# -gt 0 ]` is false; left out: V=$1; --set '1=VALUE' sets the first"
    );
    assert_eq!(
        notes("[[ -n $X ]] && V=a\nkvm -m 1 $V"),
        "line 1: $X has no value from outside the script, so `[[ -n $X ]]` is false; left out: V=a; to give one: --set 'X=VALUE'"
    );
    assert_eq!(
        notes("V=\ncat f | while read -r x; do V+=$x; done\nkvm -m 1"),
        "line 2: it is unknown how often `while read -r x` runs; left out: V+=$x"
    );
    assert_eq!(notes("M=1\n. ./conf\nkvm -m $M"), "line 2: the file ./conf is not read; it may set or change any variable");
    assert_eq!(notes("kvm -m 1 -cdrom /iso/*.iso '*'"), "line 1: '/iso/*.iso' is not expanded to file names: it is used as written");
    assert_eq!(notes("ls | wc -l; mkdir x; [ -e y ] && cat y\nkvm -m 1"), "");
    let folder = |script: &str| read(script, "/s/x.sh", &|_| None).folder;
    assert_eq!(folder("cd /vm || exit\ncd a\nkvm -m 1\ncd /b").as_deref(), Some("/vm/a"));
    assert_eq!(folder("(cd /vm)\nkvm -m 1").as_deref(), Some("/s"));
    assert_eq!(folder("cd $(mktemp -d)\nkvm -m 1"), None);
    let copied = read("D=/d\ncp -f $D/VARS.fd /tmp/v.fd\nkvm -m 1", "x", &|_| None).copies;
    let copy = |from: &str, to: &str, if_missing| Copied { from: from.into(), to: to.into(), if_missing };
    assert_eq!(copied, [copy("/d/VARS.fd", "/tmp/v.fd", false)]);
    for script in ["[ -f v ] || cp t v", "if [ ! -e v ]; then cp t v; fi", "[[ -s v ]] || { cp -n t v; }"] {
        let script = read(&format!("{script}\nkvm -m 1"), "x", &|_| None);
        assert_eq!(script.copies, [copy("t", "v", true)]);
        assert!(script.notes[0].contains("left out: cp"), "{:?}", script.notes);
    }
    assert!(notes("V=\nlspci | grep -q x && V=a\nkvm -m 1 $V").contains("whether `lspci | grep -q x` is true; assumed true"));
    let arguments = |name: &str| (name == "1").then(|| "run".to_owned());
    let script = read("case $1 in run) kvm -m 1 ;; *) exit ;; esac", "x", &arguments);
    assert_eq!((script.argv.join(" "), script.notes), ("kvm -m 1".into(), Vec::new()));
}

#[test]
fn functions_and_arguments() {
    assert_eq!(argv("gpu() { O+=\" -device $1\"; }\nO='-m 1'\ngpu a\ngpu b\nkvm $O"), "kvm|-m|1|-device|a|-device|b");
    assert_eq!(argv("M=1\nf() { local M=2; kvm -m $M \"$@\"; }\nM=3\nf 'a b' c"), "kvm|-m|2|a b|c");
    assert_eq!(argv("f() { local M=2; N=$M; return; N=4; }\nM=1\nf\nkvm -m $M $N"), "kvm|-m|1|2");
    assert_eq!(argv("set -e -- -m 'a b'\nkvm \"$@\" $2 $3"), "kvm|-m|a b|a|b");
    assert_eq!(argv("A=x\nunset A\nkvm -m 1 $A"), "kvm|-m|1");
    let unset = |script: &str| read(script, "x", &|_| None).unset.into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!(unset("M=1\nread -p mem M\nkvm -m $M ${2:-3} $1"), "1 M");
    assert_eq!(unset("printf -v M %d 4\nmapfile -t X <list\nkvm -m $M \"${X[@]}\""), "M X");
}

#[test]
fn commands_within_commands() {
    for script in [
        "sudo -u kvm bash -c 'kvm -m \"4 G\"'",
        "O='-m \"4 G\"'\neval \"kvm $O\"",
        "tmux new-session -d -s qemu 'kvm -m \"4 G\"'",
        "screen -dmS vm sudo kvm -m '4 G'",
        "su - user -c \"kvm -m '4 G'\"",
        "{ kvm -m '4 G' | tee log; } &",
        "[Service]\nEnvironment=\"M=4 G\"\nExecStart=/usr/bin/env kvm \\\n -m ${M}\nRestart=no",
    ] {
        assert_eq!(argv(script), "kvm|-m|4 G", "{script}");
    }
    // systemd splits `$M` as a word of its own, also in quotes, which are gone by then (`replace_env_argv`).
    assert_eq!(argv("[Service]\nEnvironment=\"M=4 G\"\nExecStart=kvm -m \"$M\"\n"), "kvm|-m|4|G");
}

#[test]
fn parts_of_values() {
    let of = |words: &str| argv(&format!("P=0_1_2\nF=a.b.c\ndeclare -A C=([x]=1 [y]='2 3')\nC[z]=4\nL=(k l m)\nkvm -m {words}"));
    assert_eq!(of("${P#*_} ${P##*_} ${P%_*} ${P%%_*}"), "kvm|-m|1_2|2|0_1|0");
    assert_eq!(of("${P//_/:} ${F^^} ${P:0:1}"), "kvm|-m|${P//_/:}|${F^^}|${P:0:1}");
    assert_eq!(of("${#F} ${#L[@]} ${L[1]} ${L[-1]}"), "kvm|-m|5|3|l|m");
    assert_eq!(of("${C[x]} \"${C[y]}\" ${C[z]} ${N:=7} $N"), "kvm|-m|1|2 3|4|7|7");
    assert_eq!(of("'{a,b}' {} $'a\\x41\\'' <<< \"no\""), "kvm|-m|{a,b}|{}|aA'");
    let unset = |words: &str| read(&format!("kvm -m {words}"), "x", &|_| None).unset.into_keys().next();
    assert_eq!([unset("{1..4}"), unset("a{b,'c d'}")], [Some("{1..4}".into()), Some("a{b,c d}".into())]);
    assert_eq!(argv("M=1\r\nkvm \\\r\n -m $M\r\n"), "kvm|-m|1");
}

#[test]
fn why_nothing_was_read() {
    let why = |script: &str, path: &str| read(script, path, &|_| None).refusal.map(|(why, _)| why).unwrap_or_default();
    assert_eq!(why("A=1\nB='x\nkvm -m 1", "x"), "line 2: a quote or bracket that opens there is never closed, or is not quoted");
    assert_eq!(why("import os", "a.py"), "it is a Python script, and vgapt follows those of sh and bash only");
    assert_eq!(why("#!/bin/zsh\nkvm -m 1 $A", "x"), "it is a zsh script, and vgapt follows those of sh and bash only");
    assert_eq!(
        why("start() {\n qemu-kvm -m 1\n}\n$1", "x"),
        "the QEMU command of line 2 is not read: no command that is read calls the function start"
    );
    assert_eq!(why("exit 0\n\nqemu-kvm -m 1", "x"), "the QEMU command of line 3 is not read: line 1: `exit 0` ends the script before it");
    assert!(why("# qemu-kvm\ncat <<END\nqemu-system-x86_64 -m 1\nEND", "x").contains("line 3"));
    assert_eq!(why("strange qemu-kvm -m 1", "x"), "the QEMU command of line 1 is not read: strange is not known to start it");
    assert_eq!(why("echo hello", "x"), "");
    assert!(why("command -v qemu-kvm\nf() { qemu-kvm -m 1; }", "x").contains("line 2"));
}

#[test]
fn what_is_not_known_is_named() {
    let script = read("taskset -c 1 $QEMU -smp $(nproc) -m $MEM -x `a b`", "x", &|_| None);
    assert_eq!(
        (script.unset.into_iter().collect(), script.before.join(" ")),
        (["$(a b)", "$(nproc)", "MEM"].map(|name| (name.to_owned(), Some(1))).to_vec(), "taskset -c 1".into())
    );
    assert_eq!(script.argv.join(" "), "$QEMU -smp $(nproc) -m $MEM -x $(a b)");
}

#[test]
fn a_hostile_script_ends() {
    let many = "a ".repeat(99);
    let loops = format!("for a in {many}; do (").repeat(20) + "x" + &"); done".repeat(20);
    let calls: String = (0..14).map(|n| format!("f{n}() {{ {} }}\n", format!("f{}; ", n + 1).repeat(50))).collect();
    let doubled = "A=x\n".to_owned() + &"A=$A$A\n".repeat(90);
    for script in [loops, calls + "f14() { A=1; }\n[ -f x ] || f0\nf0", doubled, "f() { f; f; }; f".into(), "while :; do :; done".into()] {
        assert_eq!(argv(&format!("{script}\n")), "");
    }
}

proptest! {
    #[test]
    fn reading_never_panics(text in "\\PC*", shell in "[a-z \"'$(){}<>&|;\\\\\n#=+@\\[\\]:-]*") {
        read(&text, "x", &|_| None);
        read(&shell, "x", &|_| None);
        read(&format!("qemu-kvm -m 1 {shell}"), "x", &|_| None);
    }
}

/// What bash 5.2 makes of these.
#[test]
fn values_are_split_at_what_ifs_says() {
    for (script, heard) in [
        (r#"f() { local IFS=,; local d=(file=/vm/a if=virtio); kvm -drive "${d[*]}"; }; f"#, "kvm|-drive|file=/vm/a,if=virtio"),
        ("IFS=:; V=a:b; kvm -m 1 $V", "kvm|-m|1|a|b"),
        (r#"IFS=:; V=a::b:; kvm -m 1 $V "$V""#, "kvm|-m|1|a||b|a::b:"),
        (r#"IFS=$'\n\t'; V="a b"; kvm -m 1 $V"#, "kvm|-m|1|a b"),
        (r#"IFS=; V="a b"; kvm -m 1 $V"#, "kvm|-m|1|a b"),
        ("IFS=' ,'; V=' a , b,,c '; kvm -m 1 $V", "kvm|-m|1|a|b||c"),
        ("IFS=:; V=:a; kvm -m 1 x$V", "kvm|-m|1|x|a"),
        (r#"IFS=,; set -- a b; kvm -m 1 "$*"; "#, "kvm|-m|1|a,b"),
        ("IFS=,; V=a,b; unset IFS; kvm -m 1 $V", "kvm|-m|1|a,b"),
        (r#"IFS=: ; for x in ${V:-1:2}; do W="$W $x"; done; kvm -m 1 "$W""#, "kvm|-m|1| 1 2"),
        ("V='a b '; kvm -m 1 $V''c", "kvm|-m|1|a|b|c"),
        (r#"A=('' x ''); kvm -m 1 ${A[@]} "${A[@]}""#, "kvm|-m|1|x||x|"),
        ("IFS=' ,'; V='a, ,b'; kvm -m 1 $V", "kvm|-m|1|a||b"),
    ] {
        assert_eq!(argv(script), heard, "{script}");
    }
}
