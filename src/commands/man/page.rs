//! A manual page, from the command line's definition. `clap_mangen` writes the sections that it has.

use anyhow::{Context as _, Result};
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::reference;
use crate::commands::exit_code::{self, MEANINGS};
use crate::commands::help::groups::GROUPS;

/// What precedes the examples in a command's help.
const EXAMPLES: &str = "Examples:\n";

/// The page's name: `vgapt-disk-create`.
pub(super) fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a command; `root` is vgapt.
pub(super) fn page(command: &Command, root: &Command) -> Result<String> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    // The help leaves options and paragraphs out that a page has, and the other way round.
    let mut shown = command.clone().override_usage(usage).mut_args(in_full);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    if let Some(rest) = long.strip_prefix(&about).filter(|rest| rest.starts_with("\n\n")) {
        shown = shown.long_about(rest.trim_start().to_owned());
    }
    let man = Man::new(shown);
    let mut text = Vec::new();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    commands(command, root).to_writer(&mut text)?;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    text.extend(below_one_heading(command, &String::from_utf8(options)?).bytes());
    let own = std::iter::successors(Some(title(command)), |name| name.rsplit_once('-').map(|(above, _)| above));
    let name = own.filter(|name| *name != root.get_name()).last().map_or("", |name| name.trim_start_matches("vgapt-"));
    let status = MEANINGS.map(|(outcome, meaning)| (exit_code::of(outcome).to_string(), meaning.to_owned())).to_vec();
    list("EXIT STATUS", &status).to_writer(&mut text)?;
    list("ENVIRONMENT", &reference::environment(name)).to_writer(&mut text)?;
    list("FILES", &reference::files(name)).to_writer(&mut text)?;
    examples(command).to_writer(&mut text)?;
    see_also(command, root, name).to_writer(&mut text)?;
    // Each part begins with the same definitions.
    let text = String::from_utf8(text)?;
    let (definitions, _) = text.split_once(".SH").context("a page has sections")?;
    // Without a date, so that one source always makes the same page.
    let head = format!(".TH {} 1 \"\" \"vgapt {}\" \"vgapt Manual\"", title(command), root.get_version().unwrap_or_default());
    let body = text.lines().filter(|line| !definitions.lines().any(|own| own == *line));
    let lines: Vec<&str> = definitions.lines().chain([head.as_str()]).chain(body).map(str::trim_end).collect();
    Ok(lines.join("\n") + "\n")
}

/// An option whose other names stand in its text, where `clap_mangen` does not write them.
fn in_full(argument: Arg) -> Arg {
    let argument = argument.hide_short_help(false);
    let Some(names) = argument.get_visible_aliases() else { return argument };
    let text = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| format!("--{name}")).collect();
    if names.is_empty() {
        return argument;
    }
    argument.long_help(format!("{text} [alias: {}]", names.join(", ")))
}

/// The headings of options as parts of one section, in their own letters.
fn below_one_heading(command: &Command, options: &str) -> String {
    let headings: Vec<&str> = command.get_arguments().filter_map(Arg::get_help_heading).collect();
    let line = |line: &str| {
        let section = line.strip_prefix(".SH ").map(|name| name.trim_matches('"'));
        let heading = section.and_then(|name| headings.iter().find(|heading| heading.to_uppercase() == name));
        heading.map_or_else(|| line.to_owned(), |heading| format!(".SS \"{heading}\"")) + "\n"
    };
    let text: String = options.replace("\n.br\n\n.br\n", "\n.sp\n").lines().map(line).collect();
    if text.contains(".SH OPTIONS\n") { text } else { format!(".SH OPTIONS\n{text}") }
}

/// The subcommands: vgapt's own in their groups.
fn commands(command: &Command, root: &Command) -> Roff {
    let mut roff = Roff::new();
    let entry = |roff: &mut Roff, one: &Command| {
        roff.control("TP", []);
        roff.text(reference_to(title(one)));
        roff.text([roman(one.get_about().map(ToString::to_string).unwrap_or_default())]);
    };
    let shown = || command.get_subcommands().filter(|one| !one.is_hide_set());
    if shown().next().is_none() {
        return roff;
    }
    roff.control("SH", ["COMMANDS"]);
    if title(command) != title(root) {
        shown().for_each(|one| entry(&mut roff, one));
        return roff;
    }
    for (heading, names) in GROUPS {
        roff.control("SS", [heading]);
        names.iter().filter_map(|name| command.find_subcommand(name)).for_each(|one| entry(&mut roff, one));
    }
    roff
}

/// A section of names and what they mean; nothing where there are none.
fn list(heading: &str, entries: &[(String, String)]) -> Roff {
    let mut roff = Roff::new();
    if !entries.is_empty() {
        roff.control("SH", [heading]);
    }
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(name.clone())]);
        roff.text([roman(meaning.clone())]);
    }
    roff
}

fn examples(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some((_, examples)) = help.split_once(EXAMPLES) {
        roff.control("SH", ["EXAMPLES"]);
        roff.control("EX", []);
        for line in examples.lines() {
            roff.text([roman(line)]);
        }
        roff.control("EE", []);
    }
    roff
}

/// The commands of the same group, and the programs of others.
fn see_also(command: &Command, root: &Command, name: &str) -> Roff {
    let own = title(command);
    let pages = |of: &Command| of.get_subcommands().filter(|one| !one.is_hide_set()).map(|one| title(one).to_owned()).collect::<Vec<_>>();
    let group = GROUPS.iter().find(|(_, names)| names.contains(&name));
    let siblings =
        group.into_iter().flat_map(|(_, names)| names.iter()).filter(|name| **name != "help").map(|name| format!("vgapt-{name}"));
    let mut near = match (own == title(root), own.strip_prefix("vgapt-") == Some(name)) {
        (true, _) => pages(root),
        (_, true) => [pages(command), siblings.collect()].concat(),
        _ => root.find_subcommand(name).map(|above| [vec![title(above).to_owned()], pages(above)].concat()).unwrap_or_default(),
    };
    near.retain(|page| page != own);
    if own != title(root) {
        near.insert(0, title(root).to_owned());
    }
    near.extend(reference::others(name).iter().map(|page| (*page).to_owned()));
    let mut line: Vec<Inline> = Vec::new();
    for page in &near {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend(reference_to(page));
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text(line);
    roff
}

/// `virsh(1)`
fn reference_to(page: &str) -> [Inline; 2] {
    [bold(page.to_owned()), roman("(1)")]
}
