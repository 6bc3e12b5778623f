//! Scripts that ask for more than a machine has: each is read, or refused by its line, in little time and memory.

#[allow(dead_code)] // No machine is needed here.
#[path = "support/command.rs"]
mod command;

use std::fs;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use command::run;

/// What a whole process may map, in KiB: the program itself and what it makes of a script.
const MEMORY: u32 = 150_000;
/// Generous: a build without optimisation, on a machine that does other things as well.
const TIME: Duration = Duration::from_secs(25);
const LENGTH: usize = 100_000;

/// Imports a script within these; what it said, and its exit code.
fn import(name: &str, script: &str, what: &str) -> (String, i32) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("start.sh");
    fs::write(&path, script).unwrap();
    let mut limited = command::command("bash");
    limited.args([
        "-c",
        &format!("ulimit -v {MEMORY}; exec \"$@\""),
        "bash",
        env!("CARGO_BIN_EXE_vgapt"),
        "import",
        path.to_str().unwrap(),
    ]);
    let since = Instant::now();
    let ran = run(limited.args((!what.is_empty()).then_some(what)));
    let time = since.elapsed();
    let code = ran.code().unwrap_or_else(|| panic!("{name}: killed: {}", ran.stderr.chars().take(500).collect::<String>()));
    println!("{name}: {time:?}, {code}, {}", ran.stderr.chars().take(200).collect::<String>());
    assert!(time < TIME, "{name}: {time:?}");
    assert!(
        [0, 1].contains(&code) && !ran.stderr.contains("panicked"),
        "{name}: {code}: {}",
        ran.stderr.chars().take(500).collect::<String>()
    );
    (ran.stderr, code)
}

/// A text as often as 100 kB hold it.
fn filled(before: &str, again: &str, after: &str) -> String {
    format!("{before}{}{after}", again.repeat((LENGTH - before.len() - after.len()) / again.len()))
}

fn numbered(before: &str, each: impl Fn(usize) -> String, after: &str) -> String {
    let mut script = before.to_owned();
    for number in 0.. {
        let line = each(number);
        if script.len() + line.len() + after.len() > LENGTH {
            break;
        }
        script += &line;
    }
    script + after
}

const QEMU: &str = "\nqemu-system-x86_64 -m 1G -smp 2\n";
/// How a refusal by line begins.
const REFUSED: &str = ": line ";

#[test]
fn what_doubles_itself_is_refused_by_its_line() {
    let many = "x ".repeat(190);
    for (name, script) in [
        ("an array", filled("A=(a b c d)\n", "A=(\"${A[@]}\" \"${A[@]}\")\n", QEMU)),
        ("an array of elements", filled("A=(a)\n", "A+=(\"${A[@]}\")\n", QEMU)),
        ("a value", filled("A=abcdefgh\n", "A=\"$A$A\"\n", &format!("B=(\"$A\"){QEMU}"))),
        ("a value that is added to", filled("A=abcdefgh\n", "A+=$A\n", QEMU)),
        ("arguments", filled("set -- a b c\n", "set -- \"$@\" \"$@\"\n", QEMU)),
        ("words", filled("A='a b c d e f'\n", "B=($A$A$A$A $A$A); A=\"${B[*]} ${B[*]}\"\n", QEMU)),
        ("a function", format!("f() {{ A=(\"${{A[@]}}\" \"${{A[@]}}\" x); f; f; }}\nf{QEMU}")),
        ("a text that is read again", format!("A='A=\"$A;$A\"; eval \"$A\"'\neval \"$A\"{QEMU}")),
        ("a text that reads itself", format!("A='eval \"$A\"'\neval \"$A\"{QEMU}")),
        ("loops in loops", format!("for a in {many}; do for b in {many}; do for c in {many}; do A+=x; done; done; done{QEMU}")),
    ] {
        let (said, code) = import(name, &script, "");
        assert!(code == 0 || (code == 1 && said.contains(REFUSED)), "{name}: {said}");
    }
}

#[test]
fn a_pattern_over_a_long_value_ends() {
    let long = "x".repeat(90_000);
    let stars = "*x".repeat(20_000);
    for (name, script, is_read) in [
        ("replaced", format!("A={long}\nA=\"${{A//x*z/y}}\"{QEMU}"), false),
        ("cut at the end", format!("A={long}\nA=${{A%%z*}}\nA=${{A%x*}}\nA=${{A##*y}}{QEMU}"), true),
        ("many stars", format!("A={}\nA=${{A##{stars}y}}{QEMU}", "x".repeat(50_000)), false),
        ("many brackets", format!("A={}\nA=${{A##*{}}}{QEMU}", "x".repeat(50_000), "[".repeat(45_000)), true),
        ("compared", format!("A={}\nif [[ $A == {stars}y ]]; then B=1; fi{QEMU}", "x".repeat(50_000)), false),
        ("a set", format!("A={}\nA=${{A##*[{}]}}{QEMU}", "x".repeat(50_000), "b".repeat(45_000)), false),
    ] {
        let (said, code) = import(name, &script, "");
        assert!(code == i32::from(!is_read), "{name}: {code} {said}");
        assert!(is_read || said.contains(REFUSED), "{name}: {said}");
    }
}

#[test]
fn an_array_that_is_only_declared_is_not_copied() {
    let many = "x ".repeat(190);
    let array = format!("A=(x x x x x x x x)\n{}", "A+=(\"${A[@]}\")\n".repeat(13));
    for (name, script) in [
        ("a line each", format!("{array}{}{QEMU}", "declare A\n".repeat(9_000))),
        ("loops", format!("{array}for a in {many}; do for b in {many}; do declare A; done; done{QEMU}")),
        ("in a function", format!("{array}f() {{ local A; }}\n{}{QEMU}", "f\n".repeat(9_000))),
    ] {
        let (said, code) = import(name, &script, "");
        assert!(code == 0 || (code == 1 && said.contains(REFUSED)), "{name}: {said}");
    }
}

#[test]
fn a_node_that_leads_to_itself_is_no_image() {
    for nodes in [
        "-blockdev driver=raw,node-name=a,file=a",
        "-blockdev driver=qcow2,node-name=a,file=b -blockdev driver=raw,node-name=b,file=a",
        "-blockdev '{\"driver\":\"throttle\",\"node-name\":\"a\",\"file\":\"a\"}'",
    ] {
        import(nodes, &format!("qemu-system-x86_64 -m 1G {nodes} -device virtio-blk-pci,drive=a\n"), "--print-xml");
    }
}

#[test]
fn what_no_domain_can_hold_is_refused() {
    for (script, words) in [
        ("qemu-system-x86_64 -m 1G -name $'\\x1b[31mfoo'\n", "a character that is not allowed in XML"),
        ("qemu-system-x86_64 -m 1G -name \u{1b}[31mfoo\n", "a character that is not allowed in XML"),
        ("qemu-system-x86_64 -m 99999999999999999999G\n", "99999999999999999999G"),
    ] {
        let (said, code) = import(words, script, "--define");
        assert!(code != 0 && said.contains(words), "{script}: {code}: {said}");
    }
}

#[test]
fn a_pipe_beside_the_script_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("x")).status().unwrap().success());
    fs::write(folder.path().join("start.sh"), format!(". ./x{QEMU}")).unwrap();
    let since = Instant::now();
    run(command::vgapt([std::ffi::OsStr::new("import"), folder.path().join("start.sh").as_os_str()]).current_dir(&folder));
    assert!(since.elapsed() < TIME);
}

#[test]
fn whatever_is_deep_or_many_ends() {
    let device = |number: usize| format!(" -device virtio-net-pci,id=n{number}");
    for (name, script) in [
        ("devices", numbered("qemu-system-x86_64 -m 1G", device, "\n")),
        (
            "devices from a loop",
            "for a in {1..150}; do for b in {1..150}; do D+=\" -device e1000\"; done; done\nqemu-system-x86_64 -m 1G $D\n".to_owned(),
        ),
        ("drives", numbered("qemu-system-x86_64 -m 1G", |number| format!(" -drive file=/vm/{number}.img,if=virtio,format=raw"), "\n")),
        ("properties", numbered("qemu-system-x86_64 -m 1G -device e1000", |number| format!(",p{number}=1"), "\n")),
        ("parameters in parameters", format!("A={}{}{QEMU}", "${X:-".repeat(18_000), "}".repeat(9_000))),
        ("parameters in parameters, closed", format!("A={}{}{QEMU}", "${X:-".repeat(15_000), "}".repeat(15_000))),
        ("sums in sums", format!("A=$(({}1{})){QEMU}", "(".repeat(45_000), ")".repeat(45_000))),
        ("brackets", filled("", "(", QEMU)),
        ("brackets with a letter", filled("", "((a);\n", QEMU)),
        ("braces", filled("", "{ ", QEMU)),
        ("conditions", filled("", "if a; then ", QEMU)),
        ("conditions on conditions", filled("", "[ -n \"$X\" ] && ", QEMU)),
        (
            "functions in functions",
            format!(
                "{}A=({}){}f0{QEMU}",
                numbered("", |n| format!("f{n}() {{\n"), "").chars().take(700).collect::<String>(),
                "a ".repeat(45_000),
                "\n}\n".repeat(60)
            ),
        ),
        ("functions", numbered("", |number| format!("f{number}() {{ A=1; }}; f{number} && f{number} || f{number}\n"), QEMU)),
        (
            "unknown values",
            numbered("A=\"", |number| format!("$U{number} "), "\"\nif [ \"$A\" = x ]; then B=1; fi\nqemu-system-x86_64 $A -m 1\n"),
        ),
        ("commands of QEMU", filled("if [ \"$X\" = y ]; then\n", "qemu-system-x86_64 -m 1\n", "fi\n")),
        ("texts in texts", format!("A=$({}{}){QEMU}", "cat <<E\n$(".repeat(9_000), ")\nE\n".repeat(200))),
        ("subshells", numbered("", |number| format!("A{number}=$A; (:) | :\n"), QEMU)),
        ("heredocs", filled("", "cat <<A <<B <<C\n", QEMU)),
        ("back ticks", filled("", "A=`a`$(b)\n", QEMU)),
        ("cases", numbered("A=b\ncase $A in\n", |number| format!("a{number}) B=1;;\n"), &format!("esac{QEMU}"))),
        ("numbers", format!("i=9223372036854775807; ((i++)); ((i+=1)); ((i--)); A=abc; B=${{A:$i:$i}}; C=(1); D=${{C[$i]}}{QEMU}")),
    ] {
        import(name, &script, "--print-xml");
    }
    let (said, code) =
        import("devices that are too many", &format!("D=({})\nqemu-system-x86_64 \"${{D[@]}}\"\n", "-usb ".repeat(18_000)), "");
    assert!(code == 1 && said.contains("line 2: the QEMU command there is too long"), "{said}");
    let (said, code) = import("a script that is too long", &format!("{}{QEMU}", "# a comment\n".repeat(30_000)), "");
    assert!(code == 1 && said.contains("longer than 256 KiB"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Pieces of scripts in any order, each as often as it comes.
    #[test]
    fn any_script_ends(pieces in proptest::collection::vec((0..22_usize, 1..60_usize), 1..40)) {
        const PIECES: [&str; 22] = [
            "A=(\"${A[@]}\" \"${B[@]}\" x)\n", "B+=(\"${A[@]}\")\n", "C=\"$C$D x\"\n", "D=${C//x/$D}\n", "for a in {1..50}; do ", "done\n", "f() { ", "}\n",
            "f \"$@\"\n", "set -- \"${A[@]}\" $C\n", "if [[ $C == *x*y ]]; then ", "fi\n", "eval \"$C\"\n", "( ", ") | ", "while [ $i -lt 99 ]; do ((i++)); ",
            "${X:-", "} ", "qemu-system-x86_64 -m 1 \"${A[@]}\" $C\n", "\"", "$((", "case $C in *x) ",
        ];
        let script: String = pieces.iter().map(|(piece, times)| PIECES[*piece].repeat(*times)).collect();
        import("pieces", &script, "--print-xml");
    }
}
