//! vgapt's own commands within texts, with the caller's global options: a command that is printed works as it is printed.

use crate::commands::help::groups::GROUPS;
use crate::failure::Named;
use crate::model::{Finding, Next};
use crate::output::Failure;
use crate::passthrough::Assessment;
use crate::readiness::Check;

/// A text that names commands of vgapt, each with the options of `program` (`vgapt -c URI`) behind its first word.
pub(in crate::commands) fn commands(text: &str, program: &str) -> String {
    const OWN: &str = "vgapt ";
    let mut repeated = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(OWN) {
        repeated.push_str(before);
        let is_word = !before.ends_with(|last: char| last.is_alphanumeric() || "-_/.".contains(last));
        repeated.push_str(if is_word && starts_with_subcommand(behind) { program } else { OWN.trim_end() });
        repeated.push(' ');
        rest = behind;
    }
    repeated + rest
}

fn starts_with_subcommand(text: &str) -> bool {
    let word = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"-_/".contains(letter)).next().unwrap_or_default();
    GROUPS.iter().any(|(_, names)| names.contains(&word))
}

/// What names commands in its remedies.
pub(in crate::commands) trait NamesCommands: Sized {
    /// The same with the options of `program`.
    #[must_use]
    fn by(self, program: &str) -> Self;
}

impl NamesCommands for Finding {
    fn by(self, program: &str) -> Self {
        Self { remedy: commands(&self.remedy, program), ..self }
    }
}

impl NamesCommands for Next {
    fn by(self, program: &str) -> Self {
        let [command, remedy] = [self.command, self.remedy].map(|text| text.map(|text| commands(&text, program)));
        Self { reason: commands(&self.reason, program), command, remedy }
    }
}

impl NamesCommands for Failure {
    fn by(self, program: &str) -> Self {
        Self { remedy: self.remedy.map(|remedy| commands(&remedy, program)), ..self }
    }
}

impl NamesCommands for Named {
    fn by(self, program: &str) -> Self {
        let command = self.command.map(|command| commands(&command, program));
        Self { remedy: commands(&self.remedy, program), command, ..self }
    }
}

impl NamesCommands for Check {
    fn by(mut self, program: &str) -> Self {
        self.command = self.command.map(|command| commands(&command, program));
        self.remedy = commands(&self.remedy, program);
        self
    }
}

impl NamesCommands for Assessment {
    fn by(self, program: &str) -> Self {
        let remedy = self.remedy.map(|remedy| commands(&remedy, program));
        Self { remedy, next: self.next.map(|next| next.by(program)), warnings: self.warnings.by(program), ..self }
    }
}

impl NamesCommands for String {
    fn by(self, program: &str) -> Self {
        commands(&self, program)
    }
}

impl<T: NamesCommands> NamesCommands for Vec<T> {
    fn by(self, program: &str) -> Self {
        self.into_iter().map(|one| one.by(program)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands() {
        let by = |text: &str| commands(text, "vgapt --root /mnt");
        for (text, repeated) in [
            ("vgapt check", "vgapt --root /mnt check"),
            ("see `vgapt check`, or (vgapt disk create x 1G)", "see `vgapt --root /mnt check`, or (vgapt --root /mnt disk create x 1G)"),
            ("run vgapt on the host itself", "run vgapt on the host itself"),
            ("vgapt start-up, vgapt list/x, /etc/vgapt undo", "vgapt start-up, vgapt list/x, /etc/vgapt undo"),
        ] {
            assert_eq!(by(text), repeated);
            assert_eq!(by(repeated), repeated, "once");
        }
        assert_eq!(commands("vgapt undo", "vgapt"), "vgapt undo");
    }
}
