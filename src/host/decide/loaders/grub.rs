//! GRUB 2: `/etc/default/grub`, from which grub-mkconfig generates `grub.cfg`; on Fedora and similar
//! distributions also entries of the Boot Loader Specification.

use std::collections::BTreeSet;
use std::slice;

use super::bls::{self, ENTRIES};
use super::cmdline;
use super::grub_cfg;
use super::loader::{Entry, Loader};
use crate::host::plan::{Command, Edits, text_of};
use crate::host::text::shell::{self, Assignment, Quotes};
use crate::host::text::tokens::{self, ParameterChange};
use crate::model::{BootLoader, Finding, Host, Setup};

pub(super) static GRUB: Loader = Loader { kind: BootLoader::Grub, name: "GRUB", configured, edit, next, made_from, images, fallback };

pub(super) const DEFAULTS: &str = "/etc/default/grub";
/// Debian's grub-mkconfig reads these after it, in order of their names.
pub(super) const MORE_DEFAULTS: &str = "/etc/default/grub.d";
pub(super) const ALL_ENTRIES: &str = "GRUB_CMDLINE_LINUX";
pub(super) const NORMAL_ENTRIES: &str = "GRUB_CMDLINE_LINUX_DEFAULT";
const WHY: &str = "kernel parameters for every entry that GRUB offers";

/// How many possible values of one variable are considered at most.
const MOST_POSSIBLE: usize = 64;

fn configured(setup: &Setup) -> bool {
    setup.files.exists(DEFAULTS) || is_generated(setup)
}

/// Whether there is a generated configuration.
pub(super) fn is_generated(setup: &Setup) -> bool {
    !grub_cfg::there(setup).is_empty()
}

fn edit(host: &Host, setup: &Setup, wants: &[ParameterChange]) -> Result<Edits, Finding> {
    let mut edits = Edits::default();
    let changed = defaults(host, setup, wants, &mut edits)?;
    if reads_entries(setup) {
        // New kernels get their parameters from /etc/default/grub or /etc/kernel/cmdline, the installed ones have entries.
        bls::edit_entries(host, setup, ENTRIES, wants, &mut edits)?;
        bls::edit_new_kernels(host, setup, ENTRIES, wants, &mut edits)?;
        grub_cfg::edit_kernelopts(setup, wants, &mut edits)?;
    } else if changed || may_lack(host, setup, wants) {
        edits.commands.push(regenerate(setup, grub_cfg::read_one(setup)?));
    }
    Ok(edits)
}

/// Whether the generated configuration lacks what /etc/default/grub has: also where it has no entries that are understood, while
/// this boot lacks it.
fn may_lack(host: &Host, setup: &Setup, wants: &[ParameterChange]) -> bool {
    let entries = next(setup);
    let is_known = grub_cfg::read_ones(setup).into_iter().any(|path| setup.files.text(path).is_some());
    let lacks_now = || host.platform.cmdline.as_ref().is_some_and(|line| !tokens::has_all(&line.0, wants));
    entries.iter().any(|entry| entry.lacks(wants)) || (entries.is_empty() && is_known && lacks_now())
}

pub(super) fn reads_entries(setup: &Setup) -> bool {
    let enabled = setup.files.text_lossy(DEFAULTS).is_some_and(|text| {
        shell::assignments(text, "GRUB_ENABLE_BLSCFG").last().is_some_and(|last| text[last.inside.clone()].eq_ignore_ascii_case("true"))
    });
    let read = grub_cfg::read_ones(setup);
    let called = read.iter().filter_map(|path| setup.files.text(path)).any(|text| text.lines().any(|line| line.trim() == "blscfg"));
    (enabled || called) && setup.files.below(ENTRIES, ".conf").next().is_some()
}

/// Changes the defaults; returns whether something changed.
fn defaults(host: &Host, setup: &Setup, wants: &[ParameterChange], edits: &mut Edits) -> Result<bool, Finding> {
    let first = setup.files.0.get_key_value(DEFAULTS).map(|(path, file)| (path.as_str(), file));
    let distribution = &host.platform.distribution;
    let reads_more = distribution.id.is_none() || distribution.is_like(&["debian", "ubuntu"]);
    let more = setup.files.below(MORE_DEFAULTS, ".cfg").filter(|_| reads_more);
    let mut texts: Vec<(&str, String)> = Vec::new();
    for (path, file) in first.into_iter().chain(more) {
        texts.push((path, text_of(path, file)?.to_owned()));
    }
    if texts.is_empty() {
        return Err(Finding::error(
            "boot-loader",
            format!("{DEFAULTS} does not exist, so there is no configuration of grub-mkconfig to change"),
            format!("reinstall the distribution's GRUB package, which contains {DEFAULTS}, or set the parameters by hand"),
        ));
    }
    for (path, text) in &mut texts {
        *text = without_opposites(path, text, wants)?;
    }
    let missing = missing(&texts, wants);
    if !missing.is_empty() {
        add(&mut texts, &missing);
    }
    let before = edits.writes.len();
    for (path, text) in texts {
        edits.change(setup, path, WHY, |_| text)?;
    }
    Ok(edits.writes.len() > before)
}

/// What the next boot's command line lacks, whichever conditional assignments a shell executes. What the user has written for
/// the normal entries is there: only entries for recovery go without it.
fn missing(texts: &[(&str, String)], wants: &[ParameterChange]) -> Vec<ParameterChange> {
    let possible = |name| possible(texts, name);
    let Some((of_all, of_normal)) = possible(ALL_ENTRIES).zip(possible(NORMAL_ENTRIES)) else { return wants.to_vec() };
    // grub-mkconfig writes them in this order.
    let lines = of_all.iter().flat_map(|first| of_normal.iter().map(move |then| format!("{first} {then}")));
    let lines: BTreeSet<String> = lines.take(MOST_POSSIBLE + 1).collect();
    if lines.len() > MOST_POSSIBLE {
        return wants.to_vec();
    }
    wants.iter().filter(|want| !lines.iter().all(|line| tokens::has_all(line, slice::from_ref(want)))).cloned().collect()
}

/// The values that a variable may have in the end; none where they are too many.
fn possible(texts: &[(&str, String)], name: &str) -> Option<BTreeSet<String>> {
    let mut possible = BTreeSet::from([String::new()]);
    for (_, text) in texts {
        for assignment in shell::assignments(text, name) {
            let inside = &text[assignment.inside.clone()];
            let is_behind = inside.trim_end().ends_with(&format!("${name}"));
            let then = possible.iter().map(|value| match assignment.adds {
                true if is_behind => format!("{inside} {value}"),
                true => format!("{value} {inside}"),
                false => inside.to_owned(),
            });
            let then: BTreeSet<String> = then.collect();
            possible = if assignment.certain { then } else { &possible | &then };
            if possible.len() > MOST_POSSIBLE {
                return None;
            }
        }
    }
    Some(possible)
}

/// Adds them to the last assignment; if only a shell can evaluate that one, in a new line after it.
fn add(texts: &mut [(&str, String)], wants: &[ParameterChange]) {
    let last = texts.iter().rposition(|(_, text)| !shell::assignments(text, ALL_ENTRIES).is_empty());
    let text = &mut texts[last.unwrap_or(0)].1;
    let assignments = shell::assignments(text, ALL_ENTRIES);
    // What follows `--` is for init, whichever assignment has it.
    let is_behind = |last: &Assignment| {
        let (is_plain, is_whole) = (last.certain && last.quotes != Quotes::Mixed, !last.adds);
        !(is_plain && is_whole) && assignments.iter().any(|one| cmdline::is_for_init(&text[one.inside.clone()]))
    };
    *text = match assignments.last() {
        Some(last) if is_behind(last) => shell::with_line(text, &format!("{ALL_ENTRIES}=\"{} ${ALL_ENTRIES}\"", tokens::with("", wants))),
        Some(assignment) if assignment.certain && assignment.quotes != Quotes::Mixed => {
            shell::replace(text, assignment, &tokens::with(&text[assignment.inside.clone()], wants))
        }
        Some(_) => shell::with_line(text, &format!("{ALL_ENTRIES}=\"${ALL_ENTRIES} {}\"", tokens::with("", wants))),
        None => shell::with_line(text, &format!("{ALL_ENTRIES}=\"{}\"", tokens::with("", wants))),
    };
}

fn without_opposites(path: &str, text: &str, wants: &[ParameterChange]) -> Result<String, Finding> {
    let mut text = text.to_owned();
    for name in [ALL_ENTRIES, NORMAL_ENTRIES] {
        for index in 0..shell::assignments(&text, name).len() {
            let assignment: Assignment = shell::assignments(&text, name).swap_remove(index);
            let inside = &text[assignment.inside.clone()];
            let mixed = assignment.quotes == Quotes::Mixed;
            let read = if mixed { inside.replace(['"', '\'', '\\'], "") } else { inside.to_owned() };
            let changed = tokens::without_opposites(&read, wants);
            if changed == read {
                continue;
            }
            if mixed {
                return Err(Finding::error(
                    "opposite",
                    format!("{path} sets {name} to {inside}, which contradicts what is needed, in a form that only a shell can read"),
                    format!("change that line of {path} by hand"),
                ));
            }
            // If this is the variable for it, the needed token replaces the contradicting one.
            let kept = if name == ALL_ENTRIES && assignment.certain { tokens::with(inside, wants) } else { changed };
            text = shell::replace(&text, &assignment, &kept);
        }
    }
    Ok(text)
}

fn regenerate(setup: &Setup, target: &str) -> Command {
    const DEBIAN: &str = grub_cfg::CONFIGURATIONS[1];
    let why = "GRUB reads its generated configuration";
    let neither = !setup.has("grub-mkconfig") && !setup.has("grub2-mkconfig");
    let command = if target == DEBIAN && (setup.has("update-grub") || neither) {
        Command::of(&["update-grub"], why)
    } else {
        let program = if setup.has("grub2-mkconfig") || (neither && target != DEBIAN) { "grub2-mkconfig" } else { "grub-mkconfig" };
        Command::of(&[program, "-o", target], why)
    };
    command.making([target])
}

fn fallback(host: &Host, setup: &Setup, wants: &[ParameterChange], off: Option<&str>) -> Option<(String, String)> {
    if reads_entries(setup) { bls::fallback(host, setup, ENTRIES, wants, off) } else { grub_cfg::fallback(setup, wants, off) }
}

fn made_from(setup: &Setup) -> Vec<&'static str> {
    let generates = ["update-grub", "grub-mkconfig", "grub2-mkconfig"].into_iter().any(|program| setup.has(program));
    let generated = generates && !reads_entries(setup) && setup.files.exists(DEFAULTS);
    generated.then_some(DEFAULTS).into_iter().collect()
}

fn images(setup: &Setup) -> Vec<String> {
    if reads_entries(setup) {
        return bls::images(setup, ENTRIES);
    }
    let texts = grub_cfg::read_ones(setup).into_iter().filter_map(|path| setup.files.text(path));
    texts.flat_map(grub_cfg::images).collect()
}

fn next(setup: &Setup) -> Vec<Entry> {
    let mut entries: Vec<Entry> = grub_cfg::read_ones(setup)
        .into_iter()
        .filter_map(|path| Some(grub_cfg::entries(path, setup.files.text(path)?)))
        .flatten()
        .collect();
    if reads_entries(setup) {
        let variables = grub_cfg::kernelopts(setup);
        entries.extend(bls::entries(setup, ENTRIES).into_iter().map(|mut entry| {
            entry.cmdline = entry.cmdline.replace("$kernelopts", &variables);
            entry
        }));
    }
    entries
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file of defaults with `intel_iommu=on` added; an error if only a shell could do that.
    pub(in crate::host::decide::loaders) fn edit_text(text: &str) -> Result<String, Finding> {
        let wants = [ParameterChange::Without("iommu".into(), "off".into()), ParameterChange::Set("intel_iommu=on".into())];
        let mut texts = vec![(DEFAULTS, without_opposites(DEFAULTS, text, &wants)?)];
        let missing = missing(&texts, &wants);
        if !missing.is_empty() {
            add(&mut texts, &missing);
        }
        Ok(texts.remove(0).1)
    }

    fn edited(text: &str) -> String {
        edit_text(text).unwrap()
    }

    #[test]
    fn every_way_in_which_people_write_it() {
        for (before, after) in [
            ("GRUB_CMDLINE_LINUX=\"\"\n", "GRUB_CMDLINE_LINUX=\"intel_iommu=on\"\n"),
            ("GRUB_CMDLINE_LINUX=''\n", "GRUB_CMDLINE_LINUX='intel_iommu=on'\n"),
            ("GRUB_CMDLINE_LINUX=\n", "GRUB_CMDLINE_LINUX=\"intel_iommu=on\"\n"),
            ("GRUB_CMDLINE_LINUX=quiet\n", "GRUB_CMDLINE_LINUX=\"quiet intel_iommu=on\"\n"),
            ("GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"intel_iommu=on\"\n"),
            (
                "GRUB_CMDLINE_LINUX_DEFAULT='quiet intel_iommu=off'\nGRUB_CMDLINE_LINUX=\"a\"\n",
                "GRUB_CMDLINE_LINUX_DEFAULT='quiet'\nGRUB_CMDLINE_LINUX=\"a intel_iommu=on\"\n",
            ),
            ("GRUB_CMDLINE_LINUX=\"a iommu=off b\"\n", "GRUB_CMDLINE_LINUX=\"a b intel_iommu=on\"\n"),
            ("GRUB_CMDLINE_LINUX=\"a intel_iommu=off b\"\n", "GRUB_CMDLINE_LINUX=\"a intel_iommu=on b\"\n"),
            ("GRUB_CMDLINE_LINUX=\"a \\\n  b\"\n", "GRUB_CMDLINE_LINUX=\"a \\\n  b intel_iommu=on\"\n"),
            ("GRUB_CMDLINE_LINUX=\"a\"\nGRUB_CMDLINE_LINUX=\"b\"\n", "GRUB_CMDLINE_LINUX=\"a\"\nGRUB_CMDLINE_LINUX=\"b intel_iommu=on\"\n"),
            (
                "GRUB_CMDLINE_LINUX=\"intel_iommu=on\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX b\"\n",
                "GRUB_CMDLINE_LINUX=\"intel_iommu=on\"\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX b\"\n",
            ),
            (
                "if x; then\nGRUB_CMDLINE_LINUX=\"a\"\nfi\n",
                "if x; then\nGRUB_CMDLINE_LINUX=\"a\"\nfi\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX intel_iommu=on\"\n",
            ),
            ("GRUB_CMDLINE_LINUX=\"a\"'b'\n", "GRUB_CMDLINE_LINUX=\"a\"'b'\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX intel_iommu=on\"\n"),
            ("GRUB_CMDLINE_LINUX=\"a -- b\"\n", "GRUB_CMDLINE_LINUX=\"a intel_iommu=on -- b\"\n"),
            (
                "if x; then\nGRUB_CMDLINE_LINUX=\"a -- b\"\nfi\n",
                "if x; then\nGRUB_CMDLINE_LINUX=\"a -- b\"\nfi\nGRUB_CMDLINE_LINUX=\"intel_iommu=on $GRUB_CMDLINE_LINUX\"\n",
            ),
            // What stands for the normal entries stays there.
            (
                "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"\nGRUB_CMDLINE_LINUX=\"\"\n",
                "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet intel_iommu=on\"\nGRUB_CMDLINE_LINUX=\"\"\n",
            ),
            (
                "if x; then\nGRUB_CMDLINE_LINUX_DEFAULT=intel_iommu=on\nfi\nGRUB_CMDLINE_LINUX=\"\"\n",
                "if x; then\nGRUB_CMDLINE_LINUX_DEFAULT=intel_iommu=on\nfi\nGRUB_CMDLINE_LINUX=\"intel_iommu=on\"\n",
            ),
            (
                "GRUB_CMDLINE_LINUX_DEFAULT=intel_iommu=on\nGRUB_CMDLINE_LINUX=\"a -- b\"\n",
                "GRUB_CMDLINE_LINUX_DEFAULT=intel_iommu=on\nGRUB_CMDLINE_LINUX=\"a intel_iommu=on -- b\"\n",
            ),
            ("#GRUB_CMDLINE_LINUX=\"x\"\n", "#GRUB_CMDLINE_LINUX=\"x\"\nGRUB_CMDLINE_LINUX=\"intel_iommu=on\"\n"),
        ] {
            assert_eq!(edited(before), after, "{before}");
            assert_eq!(edited(after), after, "a second time");
        }
    }
}
