//! The subcommands in groups, in the order of need. clap can list them only in one list.

use clap::Command;

/// The groups of subcommands, and their headings.
pub(crate) const GROUPS: [(&str, &[&str]); 5] = [
    ("From the bare host to the guest", &["setup", "list", "check", "prepare", "define", "start"]),
    ("Domains", &["status", "measure", "why", "stop", "attach", "detach", "show", "explain", "undefine"]),
    ("Host and disks", &["undo", "reset", "disk", "topology", "capture"]),
    ("From and to other programs", &["import", "export"]),
    ("vgapt itself", &["completions", "man", "help"]),
];

/// The command, whose help lists its subcommands in groups.
pub(super) fn grouped(mut command: Command) -> Command {
    command.build();
    let lists: Vec<String> = GROUPS.iter().map(|(heading, names)| list(&command, heading, names)).collect();
    let template = format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}\n\n{{all-args}}{{after-help}}", lists.join("\n\n"));
    // Without a subcommand that is shown, clap would write a usage without one.
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    command.mut_subcommands(|subcommand| subcommand.hide(true)).override_usage(usage).help_template(template)
}

/// One group, as clap lists subcommands.
fn list(command: &Command, heading: &'static str, names: &[&'static str]) -> String {
    let mut group = Command::default().disable_help_flag(true).disable_help_subcommand(true).help_template("{all-args}");
    group = group.styles(command.get_styles().clone()).subcommand_help_heading(heading);
    for (order, name) in names.iter().enumerate() {
        let about = command.find_subcommand(name).and_then(Command::get_about).cloned().unwrap_or_default();
        group = group.subcommand(Command::default().name(*name).display_order(order).about(about));
    }
    group.render_help().ansi().to_string().trim_end().to_owned()
}
