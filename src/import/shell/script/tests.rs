use proptest::prelude::*;

use super::*;
use crate::model::Reading;

fn read(text: &str, path: &str, given: Lookup<'_>) -> Script {
    super::read(text, path, given, &|file| match file {
        "/vm/conf" | "/vm/lib/conf" => Reading::Known("V=beside".into()),
        "/vm/.env" => Reading::Known("# what it is\nA=1 # one\n\nB=\"two words\"\nC=a.b\n".into()),
        "/vm/port" => Reading::Known("5900\n".into()),
        "/vm/secret.conf" => Reading::Unknown("permission denied".into()),
        _ => Reading::Absent,
    })
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
    // A function without a body that is one.
    assert_eq!(argv("a()]"), "");
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
    assert_eq!([of(". lib/conf"), of(". ../vm/conf")].join(" "), "kvm|-m|1|beside kvm|-m|1|$V");
    assert_eq!(of("declare -A a=([x]=1 [y]=2); for k in \"${!a[@]}\"; do V+=\" $k${a[$k]}\"; done"), "kvm|-m|1|x1|y2");
    assert_eq!(argv("while true; do kvm -m 1; sleep 1; done"), "kvm|-m|1");
    assert_eq!(argv("kvm -m 1\nexit\nkvm -m 2 -x"), "kvm|-m|1");
}

/// Each is what bash says of it.
#[test]
fn what_is_read_of_the_script_itself() {
    let of = |script: &str| argv(&format!("{script}\nkvm -m 1 $V"));
    assert_eq!(of("L=01:00.0,01:00.1\nIFS=, read -ra A <<< \"$L\"\nV=\"${A[1]} ${A[0]}\""), "kvm|-m|1|01:00.1|01:00.0");
    assert_eq!(of("IFS=: read -r a b c <<<'x:y:z:w'; V=$c-$b"), "kvm|-m|1|z:w-y");
    assert_eq!(of("read -r V < <(lspci)"), "kvm|-m|1|$V");
    assert_eq!(of("read -r V <file; read V"), "kvm|-m|1|$V");
    assert_eq!(of("read -r V <<<\"$1\""), "kvm|-m|1|$V");
    assert_eq!(of("N=2\nread -r -d '' V <<END || true\n-smp $N\n\t-usb\nEND"), "kvm|-m|1|-smp|2|-usb");
    assert_eq!(of("N=2\nread -rd '' V <<-'END'\n\t-smp $N\n\tEND"), "kvm|-m|1|-smp|$N");
    assert_eq!(of("while IFS=' ' read -r a b; do V+=\" $b$a\"; done <<END\n1 2\n3 4\nEND"), "kvm|-m|1|21|43");
    assert_eq!(of("while read -r a; do cat x | read -r y; V+=\" $a\"; done <<<\"p q\""), "kvm|-m|1|p|q");
    assert_eq!(of("V=a\nwhile read -r a; do V=$a; done <list"), "kvm|-m|1|$V");
    assert_eq!(of("mapfile -t A <<<$'a\\nb'; V=${A[1]}"), "kvm|-m|1|b");
    assert_eq!(of("f() { read -r V; }\nf <<<x"), "kvm|-m|1|x");
    assert_eq!(of("{ read -r a; read -r V; } <<END\none\ntwo\nEND"), "kvm|-m|1|two");
    assert_eq!(of("if read -r V <<<x; then V+=y; else V=z; fi"), "kvm|-m|1|xy");
    assert_eq!(of("read -r V 3<<<no <<<yes"), "kvm|-m|1|yes");
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
    let added = "so what `${G:+…}` adds is left out; to give one: --set 'G=VALUE'";
    assert_eq!(notes("kvm -m 1 ${G:+-device vfio-pci,host=$G}"), format!("line 1: $G has no value from outside the script, {added}"));
    assert_eq!(notes("O=\"${G:+-usb}\"\nkvm -m 1 $O"), format!("line 1: $G has no value from outside the script, {added}"));
    assert_eq!(notes("echo ${H:+x}\nG=\nkvm -m 1 ${G:+-usb}"), "");
    assert_eq!(notes("M=1\n. ./conf\nkvm -m $M"), "line 2: the file ./conf is not read; it may set or change any variable");
    assert_eq!(notes("kvm -m 1 -cdrom /iso/*.iso '*'"), "line 1: '/iso/*.iso' is not expanded to file names: it is used as written");
    assert_eq!(notes("ls | wc -l; mkdir x; [ -e y ] && cat y\nkvm -m 1"), "");
    let folder = |script: &str| read(script, "/s/x.sh", &|_| None).folder;
    assert_eq!(folder("cd /vm || exit\ncd a\nkvm -m 1\ncd /b").as_deref(), Some("/vm/a"));
    assert_eq!(folder("(cd /vm)\nkvm -m 1").as_deref(), Some("/s"));
    assert_eq!(folder("cd $(mktemp -d)\nkvm -m 1"), None);
    let copied = read("D=/d\ncp -f $D/VARS.fd /tmp/v.fd\nkvm -m 1", "x", &|_| None).copies;
    let copy = |from: &str, to: &str, if_missing| Copied { from: from.into(), to: to.into(), if_missing, is_temporary: false };
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

/// Where bash says what it does, it is what bash 5.2 says.
#[test]
fn what_has_its_name_from_elsewhere_is_set() {
    let of = |script: &str| argv(&format!("G=a\n{script}\nkvm -m 1 $G"));
    assert_eq!(of("setv() { declare -g \"$1\"=\"$2\"; }; setv G b"), "kvm|-m|1|b");
    assert_eq!(of("f() { export \"$1=$2\"; }; f G b"), "kvm|-m|1|b");
    assert_eq!(of("k=G; declare \"$k\"=b; eval \"$k=\\$$k' c'\""), "kvm|-m|1|b|c");
    assert_eq!(of("f() { local -n r=$1; shift; r+=\" $*\"; }; f G b c"), "kvm|-m|1|a|b|c");
    assert_eq!(of("f() { local -n r=G; g; r=c; }; g() { local r=b; }; f"), "kvm|-m|1|c");
    assert_eq!(of("declare -n r=G; f() { local r=$r-b; H=$r; }; f; r=$H"), "kvm|-m|1|a-b");
    assert_eq!(of("declare -n r=G; r=${!r}-$r"), "kvm|-m|1|G-a");
    assert_eq!(of("f() { declare -g H=b; }; f; G=$H"), "kvm|-m|1|b");
    assert_eq!(of("declare -n r=s; declare -n s=t; declare -n t=r; r=b"), "kvm|-m|1|a");
    assert_eq!(of("f() { declare -p G; declare -f g; }; f"), "kvm|-m|1|a");
    assert_eq!(argv("add() { local -n a=$1; shift; a+=(\"$@\"); }; Q=(kvm -m 1); add Q -n 'a b'; \"${Q[@]}\""), "kvm|-m|1|-n|a b");
    assert_eq!(argv("f() { local -n a=$1; kvm -m \"${#a[@]}\" \"${a[1]}\" ${!a[@]}; }; Q=(x y); f Q"), "kvm|-m|2|y|0|1");
}

#[test]
fn what_sets_an_element_by_a_variable() {
    assert_eq!(argv("m=(); for i in 0 1; do m[$i]=a$i; m[i]+=b; done; kvm -m \"${m[@]}\""), "kvm|-m|a0b|a1b");
    assert_eq!(argv("declare -A m; k=x; m[\"$k\"]=a; m[$k$k]=b; kvm -m ${m[x]} ${m[xx]}"), "kvm|-m|a|b");
    assert_eq!(argv("m=(a); m[${#m[@]}]=b; m[$((1+1))]+=c; kvm -m ${m[@]}"), "kvm|-m|a|b|c");
    let unset = |script: &str| read(script, "x", &|_| None).unset.into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!(unset("m=(); for i in 0 1; do read u d; m[$i]=\"$d\"; done < <(./x)\nkvm -m ${m[0]}"), "d");
    assert_eq!(unset("m=(); while read u d; do m[$i]=\"$d\"; done < <(./x)\nkvm -m ${m[0]}"), "m");
    assert_eq!(unset("m=(a); read i; m[$i]=b\nkvm -m \"${m[@]}\""), "m");
}

/// After these any variable may have another value, and what was empty is no more known than what was never set.
#[test]
fn what_may_set_any_variable() {
    for (script, note) in [
        ("f() { declare -g \"$1\"=b; }; f $X", "line 1: it is unknown which variables `declare -g \"$1\"=b` sets"),
        ("export \"$K=b\"", "line 1: it is unknown which variables `export \"$K=b\"` sets"),
        ("export $(grep -v '^#' .env | xargs)", "line 1: it is unknown which variables `export $(grep -v '^#' .env | xargs)` sets"),
        ("printf -v \"$K\" b", "line 1: it is unknown which variables `printf -v \"$K\" b` sets"),
        ("f() { local -n r=$1; r=b; }; f $X", "line 1: it is unknown which variables `local -n r=$1` sets"),
        ("while IFS== read -r k v; do declare \"$k=$v\"; done <vm.env", "line 1: it is unknown which variables `declare \"$k=$v\"` sets"),
        ("eval \"$(cat /etc/vm.conf)\"", "line 1: what `eval \"$(cat /etc/vm.conf)\"` runs is not known"),
        ("eval \"$K=b\"", "line 1: what `eval \"$K=b\"` runs is not known"),
        (". ./lib", "line 1: the file ./lib is not read"),
        ("read -r \"$K\" <<<b", "line 1: it is unknown which variables `read -r \"$K\"` sets"),
    ] {
        let script = format!("G= H=h A=(); {script}\nif [ -n \"$G\" ]; then V=$G; fi\nkvm -m 1 $V $H");
        let asked = read(&script, "x", &|_| None);
        assert!(asked.notes.contains(&format!("{note}; it may set or change any variable")), "{script}: {:?}", asked.notes);
        assert!(asked.notes.iter().any(|note| note.contains("--set 'G=VALUE'")), "{script}: {:?}", asked.notes);
        let given = |name: &str| (name == "G").then(|| "b".to_owned());
        assert_eq!(read(&script, "x", &given).argv.join("|"), "kvm|-m|1|b|h", "{script}");
    }
    let file = notes(". ./lib\nG=\nchoose\n[ -n \"$G\" ] && V=a\nkvm -m 1 $V");
    assert!(file.contains("line 3: choose may be a function of the file ./lib, and set or change any variable"), "{file}");
    assert!(file.contains("--set 'G=VALUE'"), "{file}");
    assert!(!notes(". ./lib\nG=\nmodprobe vfio\nsudo x\n[ -n \"$G\" ] && V=a\nkvm -m 1 $V").contains("'G=VALUE'"));
    assert_eq!(notes("A=b; eval \"V=$X\"\neval \"kvm -m 1 $V\""), "");
}

/// `kvm` is also a group, a module and a device, and QEMU's name also stands where nothing starts it.
#[test]
fn only_a_command_that_starts_qemu_counts_as_one() {
    for other in [
        "sudo modprobe kvm",
        "touch x; sudo chgrp kvm x",
        "usermod -aG kvm me",
        "sudo killall -9 qemu-system-x86_64",
        "ip tuntap add tap0 mode tap group kvm",
        "deps=\"socat qemu-system-x86_64\"",
        "local QEMU=/usr/bin/qemu-system-x86_64",
        "check_dependency qemu-system-x86_64",
        "command -v qemu-system-x86_64",
        "install qemu-system-x86_64 -m 755 x",
    ] {
        let told = notes(&format!("V=\nif [ -e /dev/kvm ]; then V=a; else {other}; V=b; fi\nf() {{ {other}; }}\nkvm -m 1 $V"));
        assert!(told.contains("`[ -e /dev/kvm ]` is true; assumed true"), "{other}: {told}");
        assert!(!told.contains("another QEMU command"), "{other}: {told}");
        let read = notes(&format!("{other}\nkvm -m 1 -x"));
        assert!(!read.contains("another QEMU command"), "{other}: {read}");
    }
    for start in [
        "sudo -u kvm X=1 kvm -m 1 -x",
        "X=1 kvm -m 1 -x",
        "bash -c 'kvm -m 1 -x'",
        "strange qemu-kvm -m 1",
        "su me -c 'cd /; qemu-kvm -m 1'",
    ] {
        let told = notes(&format!("if lspci | grep -q x; then V=a; else {start}; fi"));
        assert!(told.contains("assumed false"), "{start}: {told}");
    }
}

#[test]
fn whether_a_variable_is_set() {
    let of = |script: &str| argv(&format!("{script}\nkvm -m 1 $V"));
    assert_eq!(of("A=; [[ -v A ]] && V=a; [[ -v V && ! -v B ]] && V+=b"), "kvm|-m|1|ab");
    assert_eq!(of("A=(x y); declare -A C=([k]=1); [[ -v A[1] && -v C[k] && ! -v A[2] && ! -v C[l] ]] && V=a"), "kvm|-m|1|a");
    assert_eq!(of("unset A; if [[ -v A ]]; then V=a; else V=b; fi; if [ -v GIVEN ]; then V+=c; fi"), "kvm|-m|1|bc");
    assert!(notes("[[ -v X ]] && V=a\nkvm -m 1 $V").contains("to give one: --set 'X=VALUE'"));
    assert!(notes("read X; [[ -v X ]] && V=a\nkvm -m 1 $V").is_empty());
}

#[test]
fn an_arm_may_go_on_to_the_next() {
    let of = |script: &str| argv(&format!("{script}\nkvm -m 1 $V"));
    assert_eq!(of("case ab in a*) V+=1;;& x) V+=2;;& *b) V+=3;;& c) V+=4;; *) V+=5;; *) V+=6;; esac"), "kvm|-m|1|135");
    assert_eq!(of("case a in a) V+=1;& x) V+=2;& y) V+=3;; a) V+=4;; esac"), "kvm|-m|1|123");
    assert_eq!(of("case a in a) V+=1;;& b) V+=2;& c) V+=3;; esac"), "kvm|-m|1|1");
}

/// Beside what bash says.
#[test]
fn regular_expressions_numbers_and_texts_of_the_script() {
    let of = |script: &str| argv(&format!("{script}\nkvm -m 1 $V"));
    assert_eq!(of("A=xenon\n[[ $A =~ ^(x|y) && $A =~ o ]] && V=1"), "kvm|-m|1|1");
    assert_eq!(of("A='a b'\nif [[ $A =~ ^(a b|c)$ ]]; then V=1; fi"), "kvm|-m|1|1");
    assert_eq!(of("A=axb\nif [[ $A =~ a\\.b || $A =~ \"x*\" ]]; then V=1; else V=2; fi"), "kvm|-m|1|2");
    assert_eq!(of("R='^[0-9]+$'\nif [[ $1 =~ $R ]]; then V=$1; else V=2048; fi"), "kvm|-m|1|2048");
    assert_eq!(of("if [[ ! ( x =~ ^(y) ) ]]; then V=1; fi"), "kvm|-m|1|1");
    assert!(notes("read X\nif [[ $X =~ ^[Yy]$ ]]; then V=1; fi\nkvm -m 1 $V").contains("it is unknown whether"));
    assert_eq!(of("declare -i A=2*2 B\nB=A+1\nB+=2\nV=$A,$B"), "kvm|-m|1|4,7");
    assert_eq!(argv("O=$(cat <<END\n-m 1\n-name $GIVEN\nEND\n)\nkvm $O"), "kvm|-m|1|-name|given");
}

/// Beside what bash and the programs say.
#[test]
fn what_is_printed_of_files_beside_the_script() {
    let of = |command: &str| argv(&format!("export $({command})\nkvm -m 1 $A-$B-$C"));
    assert_eq!(of("grep -v '^#' .env | xargs"), "kvm|-m|1|1-two-a.b");
    assert_eq!(of("grep -v '^#' ./.env"), "kvm|-m|1|1-\"two-a.b");
    assert_eq!(of("sed 's/#.*//' .env | xargs"), "kvm|-m|1|1-two-a.b");
    assert_eq!(of("cat .env | sed -e '/^#/d' | grep -Ev '^(B|$)' | tr -d '.'"), "kvm|-m|1|1-$B-ab");
    assert_eq!(of("grep -v 'A\\|C' .env | tr -d '\"'"), "kvm|-m|1|$A-two-$C");
    assert_eq!(argv("P=$(<port)\nQ=`cat /vm/port`\nkvm -m 1 $P $((Q+1))"), "kvm|-m|1|5900|5901");
    for unknown in ["cat /etc/port", "awk 1 port", "cat secret.conf", "grep -c 5 port", "sed 's/5/&&/' port"] {
        assert!(argv(&format!("kvm -m 1 $({unknown})")).contains(&unknown[..3]), "{unknown}");
    }
}

/// Beside what bash says.
#[test]
fn options_braces_and_what_is_found() {
    let with = |arguments: &[&str], script: &str| {
        let given = |name: &str| arguments.get(name.parse::<usize>().ok()?.checked_sub(1)?).map(|said| (*said).to_owned());
        read(script, "x", &given).argv.join("|")
    };
    let script = "M=1; W=; while getopts 'm:wx' o; do case $o in m) M=$OPTARG;; w) W=$W-w;; *) W=$W?;; esac; done; shift $((OPTIND-1)); kvm -m $M $W $1";
    assert_eq!(with(&["-wm", "2", "-m3", "-ww", "a"], script), "kvm|-m|3|-w-w-w|a");
    assert_eq!(with(&["-y", "--", "-w"], script), "kvm|-m|1|?|-w");
    assert_eq!(argv(script), "kvm|-m|1|$1");
    assert_eq!(
        argv("i=0; for d in a{1..3}.img {x,}y; do O+=\" $d=$((i++))\"; done; kvm -m 1 $O"),
        "kvm|-m|1|a1.img=0|a2.img=1|a3.img=2|xy=3|y=4"
    );
    assert_eq!(argv("Q=$(which qemu-system-x86_64 2>/dev/null || echo no); $Q -m 1 a,`\n`b"), "qemu-system-x86_64|-m|1|a,b");
    assert_eq!(argv("select v in a b; do break; done; kvm -m 1 $v.img"), "kvm|-m|1|$v.img");
    assert_eq!(argv("m=${1:?no memory}; kvm -m ${m%G} ${m,,}"), "kvm|-m|$1|$1");
    assert_eq!(argv("V=$(lspci | grep $X); kvm -m 1 $V"), "kvm|-m|1|$V");
    let random = "printf -v M '52:54:00:%02x' $((RANDOM & 0xff)); kvm -m 1 -device e1000,mac=$M,netdev=n -net nic,macaddr=52:$(head /dev/urandom | md5sum)";
    assert_eq!(argv(random), "kvm|-m|1|-device|e1000,netdev=n|-net|nic");
}

#[test]
fn a_branch_whose_file_is_not_there_is_not_taken() {
    let of = |first: &str| {
        let script = format!("if [ -f {first} ]; then . ./{first}; elif [ -f conf ]; then source conf; else exit 1; fi\nkvm -m 1 $V");
        read(&script, "/vm/start.sh", &|_| None)
    };
    let script = of("user.conf");
    assert_eq!(script.argv.join("|"), "kvm|-m|1|beside");
    assert!(script.notes[0].contains("whether `[ -f user.conf ]` is true; assumed false; left out: . ./user.conf"), "{:?}", script.notes);
    // What cannot be read may be there.
    assert!(of("secret.conf").notes.iter().any(|note| note.contains("the file ./secret.conf is not read")));
}

#[test]
fn arguments_that_are_given_are_taken_one_by_one() {
    let given = |name: &str| ["1", "2"].iter().position(|number| *number == name).map(|at| ["a", "b"][at].to_owned());
    let script = read("V=\nwhile [ $# -gt 0 ]; do V+=$1; shift; done\nkvm -m 1 $V", "x", &given);
    assert_eq!((script.argv.join("|"), script.notes), ("kvm|-m|1|ab".into(), Vec::new()));
    assert_eq!(read("shift; kvm -m 1 $1 $2", "x", &given).argv.join("|"), "kvm|-m|1|b");
    let notes = read("[ -n \"$3\" ] && V=a\nkvm -m 1 $V", "x", &given).notes.join("");
    assert!(notes.contains("--set '3=VALUE'") && !notes.contains("takes arguments"), "{notes}");
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
    assert_eq!(unset("printf -v M %d $N\nmapfile -t X <list\nkvm -m $M \"${X[@]}\""), "N X");
}

#[test]
fn what_names_and_formats_print_is_computed() {
    assert_eq!(argv("kvm -m 1 $(basename \"$0\" .sh) $(basename /a/b.img)"), "kvm|-m|1|start|b.img");
    assert_eq!(argv("f() { local M; printf -v M '52:%02x:%02X' 10 171; kvm -m 1 $M; }\nf"), "kvm|-m|1|52:0a:AB");
    assert_eq!(argv("kvm -m 1 $(printf -- '-device %s' a)"), "kvm|-m|1|-device|a");
    let unset = |script: &str| read(script, "x", &|_| None).unset.into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!(unset("A=$(nproc --all)\nkvm -smp $((A/2)),maxcpus=$(nproc) -x $(printf %x $((RANDOM%256)))"), "$(nproc) RANDOM");
    assert_eq!(unset("kvm -m $(( $(a b) / 2 )) -smp $(($(nproc) - 2))"), "$(a b) $(nproc)");
    let four = |name: &str| (name == "nproc").then(|| "4".to_owned());
    assert_eq!(read("kvm -m 1 -smp $(($(nproc --all) - 2))", "x", &four).argv.join(" "), "kvm -m 1 -smp 2");
    let random = |name: &str| (name == "RANDOM").then(|| "300".to_owned());
    assert_eq!(read("kvm -m $(printf %02x $((RANDOM%256)))", "x", &random).argv.join(" "), "kvm -m 2c");
}

#[test]
fn an_array_that_a_loop_fills_is_its_words() {
    let script = "args=(-m 1)\nwhile read -r l; do args+=(-device \"$l\"); done <list\nargs+=(-usb)\nkvm \"${args[@]}\"";
    let asked = read(script, "x", &|_| None);
    assert_eq!(asked.filled["args"], Filled { line: 2, by: "while read -r l".into() });
    assert_eq!(asked.argv.join("|"), "kvm|-m|1|$args|-usb");
    let given = |name: &str| (name == "args").then(|| "-device 'a b'".to_owned());
    assert_eq!(read(script, "x", &given).argv.join("|"), "kvm|-m|1|-device|a b|-usb");
    let given = |name: &str| (name == "X").then(|| "-k de".to_owned());
    assert_eq!(read("kvm -m 1 \"${X[@]}\"", "x", &given).argv.join("|"), "kvm|-m|1|-k|de");
    assert_eq!(read("mapfile -t X <list\nkvm -m 1 \"${X[@]}\"", "x", &given).argv.join("|"), "kvm|-m|1|-k|de");
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
fn what_only_echoes_is_computed() {
    assert_eq!(argv("a=(x y); kvm -m $(IFS=,; echo \"${a[*]}\") $IFS"), "kvm|-m|x,y|$IFS");
    assert_eq!(
        argv("drive() { local f=$1; echo \"file=$f,id=$2\"; }; f=1; kvm -m 1 -drive $(drive /a.img d) $f"),
        "kvm|-m|1|-drive|file=/a.img,id=d|1"
    );
    assert_eq!(argv("both() { echo a; printf '%s\\n' \"$1\"; return; echo c; }; x=$(both b); kvm -m 1 $x"), "kvm|-m|1|a|b");
    assert_eq!(argv("f() { echo no >&2; }; g() { [ -n x ] && echo y; }; kvm -m 1 $(f) $(g) $(echo a | tr a b)"), "kvm|-m|1|$(f)|y|b");
    assert_eq!(argv("f() { f; }; kvm -m 1 $(f)"), "");
}

#[test]
fn parts_of_values() {
    let of = |words: &str| argv(&format!("P=0_1_2\nF=a.b.c\ndeclare -A C=([x]=1 [y]='2 3')\nC[z]=4\nL=(k l m)\nkvm -m {words}"));
    assert_eq!(of("${P#*_} ${P##*_} ${P%_*} ${P%%_*}"), "kvm|-m|1_2|2|0_1|0");
    assert_eq!(of("${P//_/:} ${P/_/} ${P/1*/x} ${F^^} ${F^} ${P//[_2]/-} ${F//./,}"), "kvm|-m|0:1:2|01_2|0_x|A.B.C|A.b.c|0-1--|a,b,c");
    assert_eq!(of("${P:0:1} ${P:2} ${P: -3:2} ${P:1:-1} x${P: -9}x ${P:$((1+1)):1} ${F:9}"), "kvm|-m|0|1_2|1_|_1_|xx|1");
    assert_eq!(of("${P/\\_/x} ${X//a/b} ${X:0:1}"), "kvm|-m|${P/\\_/x}|$X|$X");
    assert_eq!(of("${#F} ${#L[@]} ${L[1]} ${L[-1]}"), "kvm|-m|5|3|l|m");
    assert_eq!(of("${C[x]} \"${C[y]}\" ${C[z]} ${N:=7} $N"), "kvm|-m|1|2 3|4|7|7");
    assert_eq!(of("'{a,b}' {} $'a\\x41\\'' <<< \"no\""), "kvm|-m|{a,b}|{}|aA'");
    let unset = |words: &str| read(&format!("kvm -m {words}"), "x", &|_| None).unset.into_keys().next();
    assert_eq!(unset("a{b,'c d'}"), Some("a{b,c d}".into()));
    assert_eq!(of("{04..1} {c..a..2} {a,b{1,2}}x"), "kvm|-m|04|03|02|01|c|a|ax|b1x|b2x");
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
