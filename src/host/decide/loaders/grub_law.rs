//! The law of editing /etc/default/grub: a shell reads from the edited file what it read before, plus vgapt's parameters.

use proptest::prelude::*;

use super::grub::tests::edit_text;
use crate::run;

const ALL: &str = "GRUB_CMDLINE_LINUX";
const NORMAL: &str = "GRUB_CMDLINE_LINUX_DEFAULT";
const OURS: &str = "intel_iommu=on";

/// The final value of a variable in a shell, as tokens.
fn read(text: &str, name: &str) -> Vec<String> {
    let place = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(place.path(), text).unwrap();
    let script = format!(". {}; printf %s \"${name}\"", place.path().display());
    let ran = run::output(&["sh".to_owned(), "-c".to_owned(), script]).unwrap();
    assert!(ran.success() && ran.stderr.is_empty(), "{}\n{text}", ran.stderr);
    ran.stdout.split_whitespace().map(str::to_owned).collect()
}

fn is_about_it(token: &str) -> bool {
    token.starts_with("intel_iommu=") || token == "iommu=off"
}

fn others(tokens: &[String]) -> Vec<&String> {
    tokens.iter().filter(|token| !is_about_it(token)).collect()
}

fn tokens() -> impl Strategy<Value = String> + Clone {
    let token = prop_oneof![
        4 => prop::sample::select(vec!["quiet", "splash", "root=UUID=1", "iommu=pt", "x.y=a,b", "resume=/dev/sda1"]),
        1 => prop::sample::select(vec!["intel_iommu=off", "iommu=off", "intel_iommu=on"]),
    ];
    (proptest::collection::vec(token, 0..4), prop::sample::select(vec![" ", "  ", " \t"])).prop_map(|(all, space)| all.join(space))
}

fn value() -> impl Strategy<Value = String> + Clone {
    (tokens(), tokens(), 0..9_u8).prop_map(|(one, two, kind)| match kind {
        0 | 1 => format!("\"{one}\""),
        2 => format!("'{one}'"),
        3 => one.split_whitespace().next().unwrap_or_default().to_owned(),
        4 => format!("\"{one} \\\n  {two}\""),
        5 => format!("\"{one} \"'{two}'"),
        6 => format!("\"${ALL} {one}\""),
        7 => format!("\"${{{ALL}}} {one}\""),
        _ => format!("\"{one} dyndbg=\\\"file_x_+p\\\"\""),
    })
}

fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![ALL, ALL, NORMAL, "GRUB_TIMEOUT"]);
    let assignment = (name, value()).prop_map(|(name, value)| format!("{name}={value}")).boxed();
    prop_oneof![
        6 => assignment.clone(),
        1 => assignment.clone().prop_map(|text| format!("export {text}")),
        1 => assignment.clone().prop_map(|text| format!("  {text} # was {ALL}=\"intel_iommu=on\"; don't")),
        1 => assignment.clone().prop_map(|text| format!("if true; then\n  {text}\nfi")),
        1 => assignment.clone().prop_map(|text| format!("true && {text}")),
        1 => (assignment.clone(), assignment).prop_map(|(one, two)| format!("{one}; {two}")),
        1 => Just(format!("# {ALL}=\"intel_iommu=on\" isn't \\")),
        1 => Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_shell_reads_what_was_there_and_ours(lines in proptest::collection::vec(line(), 0..6), ends in any::<bool>()) {
        let before = lines.join("\n") + if ends { "\n" } else { "" };
        // A contradiction that only a shell can read is refused, and nothing is changed.
        let Ok(after) = edit_text(&before) else { return Ok(()) };
        let (old, new) = (read(&before, ALL), read(&after, ALL));
        prop_assert_eq!(others(&old), others(&new), "{}\n----\n{}", before, after);
        let (old_normal, new_normal) = (read(&before, NORMAL), read(&after, NORMAL));
        prop_assert_eq!(others(&old_normal), others(&new_normal));
        let about: Vec<&String> = new.iter().chain(&new_normal).filter(|token| is_about_it(token)).collect();
        prop_assert!(!about.is_empty() && about.iter().all(|token| *token == OURS), "{:?}\n{}\n----\n{}", about, before, after);
        prop_assert_eq!(edit_text(&after).unwrap(), after, "a second time");
    }
}
