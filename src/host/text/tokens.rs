//! Edits a kernel command line token by token: other tokens keep their order, quotes and the space around them.

use std::{fmt, slice};

use crate::model::{BootPages, kernel_part, kernel_size};

/// The tokens of a command line that the kernel reads, each with the space before it, and what is at the end: space, and what is
/// for init.
struct Tokens<'a> {
    all: Vec<(&'a str, &'a str)>,
    end: &'a str,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        let mut all = Vec::new();
        let mut rest = kernel_part(text);
        let behind = rest.len();
        loop {
            let (space, from_token) = rest.split_at(space_length(rest));
            if from_token.is_empty() {
                return Self { all, end: &text[behind - space.len()..] };
            }
            let (token, after) = from_token.split_at(token_length(from_token));
            all.push((space, token));
            rest = after;
        }
    }

    fn texts(&self) -> impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator {
        self.all.iter().map(|(_, token)| *token)
    }

    /// Applies `change` to each token; with a removed token, the space before it is removed, or after it if it was the first.
    fn edit(&self, change: impl Fn(usize, &str) -> Option<String>) -> String {
        let mut text = String::new();
        let mut first_space = None;
        for (index, (space, token)) in self.all.iter().enumerate() {
            match change(index, token) {
                Some(token) => {
                    text.push_str(first_space.take().unwrap_or(space));
                    text.push_str(&token);
                }
                None if text.is_empty() => first_space = first_space.or(Some(space)),
                None => {}
            }
        }
        text + self.end
    }

    /// Replaces one token.
    fn replace(&self, at: usize, with: &str) -> String {
        self.edit(|index, token| Some(if index == at { with } else { token }.to_owned()))
    }
}

/// In a shell file, a backslash at the end of a line is space too.
fn space_length(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let trimmed = trimmed.strip_prefix('\\').filter(|after| after.starts_with(['\n', '\r'])).unwrap_or(trimmed);
        if trimmed.len() == rest.len() {
            return text.len() - rest.len();
        }
        rest = trimmed;
    }
}

/// Up to the next space outside of double quotes, as the kernel's `next_arg` reads it: a quote that is escaped in a shell
/// file is a quote for the kernel.
fn token_length(text: &str) -> usize {
    let mut is_quoted = false;
    let is_end = |&(at, c): &(usize, char)| {
        is_quoted ^= c == '"';
        (c.is_ascii_whitespace() && !is_quoted) || (c == '\\' && text[at + 1..].starts_with(['\n', '\r']))
    };
    text.char_indices().find(is_end).map_or(text.len(), |(at, _)| at)
}

/// A token's name as it is spelt, and its value, without quotes around the token or the value, as `next_arg` reads them.
fn parse(token: &str) -> (&str, Option<&str>) {
    let token = unquoted(token);
    token.split_once('=').map_or((token, None), |(name, value)| (name, Some(unquoted(value))))
}

/// Quotes that hold spaces together stay.
fn unquoted(text: &str) -> &str {
    let inside = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.filter(|inside| !inside.contains(|c: char| c == '"' || c.is_ascii_whitespace())).unwrap_or(text)
}

/// Whether a token sets the parameter of this name; to the kernel `-` and `_` are the same.
fn is_named(token: &str, name: &str) -> bool {
    parse(token).0.replace('-', "_") == name.replace('-', "_")
}

/// The items of a token's value, which are separated by commas.
fn items(token: &str) -> impl Iterator<Item = &str> {
    parse(token).1.into_iter().flat_map(|value| value.split(','))
}

/// One requested change of a kernel command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) enum ParameterChange {
    /// This token; one of the same name with the value `off` is replaced by it.
    Set(String),
    /// This token, and no other value of its name.
    Only(String),
    /// These items in the value of this name.
    Include(String, Vec<String>),
    /// This item of the value of this name is removed.
    Without(String, String),
    /// This many huge pages of this size: two tokens that belong together.
    Hugepages(&'static str, BootPages),
}

impl fmt::Display for ParameterChange {
    /// As on the command line; what is removed with a leading `-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(token) | Self::Only(token) => f.write_str(token),
            Self::Include(name, items) => write!(f, "{name}={}", items.join(",")),
            Self::Without(name, item) => write!(f, "-{name}={item}"),
            Self::Hugepages(size, count) => f.write_str(&pages(size, count).join(" ")),
        }
    }
}

/// Whether a command line already has all of these changes.
pub(in crate::host) fn has_all(text: &str, wants: &[ParameterChange]) -> bool {
    wants.iter().all(|want| apply(text, want, true) == text)
}

/// The command line with all of these changes.
pub(in crate::host) fn with(text: &str, wants: &[ParameterChange]) -> String {
    wants.iter().fold(text.to_owned(), |text, want| apply(&text, want, true))
}

/// The command line without contradicting tokens; nothing is added.
pub(in crate::host) fn without_opposites(text: &str, wants: &[ParameterChange]) -> String {
    wants.iter().fold(text.to_owned(), |text, want| apply(&text, want, false))
}

/// The command line with these changes undone.
pub(in crate::host) fn without(text: &str, wants: &[ParameterChange]) -> String {
    wants.iter().fold(text.to_owned(), |text, want| match want {
        ParameterChange::Set(token) | ParameterChange::Only(token) => without_tokens(&text, slice::from_ref(token)),
        ParameterChange::Hugepages(size, count) => without_hugepages(&text, size, count),
        ParameterChange::Include(name, items) => items.iter().fold(text, |text, item| without_item(&text, name, item)),
        ParameterChange::Without(..) => text,
    })
}

fn without_tokens(text: &str, tokens: &[String]) -> String {
    Tokens::of(text).edit(|_, other| (!tokens.iter().any(|token| token == other)).then(|| other.to_owned()))
}

fn apply(text: &str, want: &ParameterChange, add: bool) -> String {
    match want {
        ParameterChange::Set(token) => set(text, token, add),
        ParameterChange::Only(token) => only(text, token, add),
        ParameterChange::Without(name, item) => without_item(text, name, item),
        ParameterChange::Include(name, items) if add => include(text, name, items),
        ParameterChange::Hugepages(size, count) if add => hugepages(text, size, count),
        ParameterChange::Include(..) | ParameterChange::Hugepages(..) => text.to_owned(),
    }
}

/// Removes `off`, and puts the requested token in the first such place; other values of the name stay.
fn set(text: &str, token: &str, add: bool) -> String {
    let (name, value) = parse(token);
    let tokens = Tokens::of(text);
    let says = |other: &str| is_named(other, name) && (parse(other).1 == value || items(other).any(|item| Some(item) == value));
    let is_off = |other: &str| value != Some("off") && is_named(other, name) && items(other).any(|item| item == "off");
    let missing = add && !tokens.texts().any(says);
    let first_off = tokens.texts().position(is_off);
    let edited = tokens.edit(|index, other| match () {
        () if !is_off(other) => Some(other.to_owned()),
        () if missing && Some(index) == first_off => Some(token.to_owned()),
        () => None,
    });
    if missing && first_off.is_none() { append(&edited, token) } else { edited }
}

/// The first token of this name becomes the requested one, and the others are removed.
fn only(text: &str, token: &str, add: bool) -> String {
    let name = parse(token).0;
    let tokens = Tokens::of(text);
    let kept =
        tokens.texts().position(|other| other == token).or_else(|| tokens.texts().position(|other| is_named(other, name)).filter(|_| add));
    let edited = tokens.edit(|index, other| match () {
        () if !is_named(other, name) => Some(other.to_owned()),
        () if Some(index) == kept => Some(token.to_owned()),
        () => None,
    });
    if add && kept.is_none() { append(&edited, token) } else { edited }
}

fn include(text: &str, name: &str, wanted: &[String]) -> String {
    let tokens = Tokens::of(text);
    let Some(last) = tokens.texts().rposition(|token| is_named(token, name)) else {
        return append(text, &format!("{name}={}", wanted.join(",")));
    };
    let token = tokens.all[last].1;
    let known: Vec<&str> = items(token).filter(|item| !item.is_empty()).collect();
    let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|item| !known.contains(item)).collect();
    if missing.is_empty() {
        return text.to_owned();
    }
    tokens.replace(last, &format!("{}={}", parse(token).0, [known, missing].concat().join(",")))
}

fn without_item(text: &str, name: &str, item: &str) -> String {
    Tokens::of(text).edit(|_, token| {
        if !is_named(token, name) || !items(token).any(|known| known == item) {
            return Some(token.to_owned());
        }
        let kept: Vec<&str> = items(token).filter(|known| *known != item).collect();
        (!kept.is_empty()).then(|| format!("{}={}", parse(token).0, kept.join(",")))
    })
}

fn pages(size: &str, count: &BootPages) -> [String; 2] {
    [format!("hugepagesz={size}"), format!("hugepages={count}")]
}

/// The place of the `hugepages=` that counts for this size, and what it says.
fn hugepages_there(tokens: &Tokens<'_>, size: &str) -> Option<(usize, Option<BootPages>)> {
    let parameters: Vec<(&str, Option<&str>)> = tokens.texts().map(parse).collect();
    let at = BootPages::place(&parameters, kernel_size(size)?)?;
    Some((at, parameters[at].1.and_then(|value| value.parse().ok())))
}

fn hugepages(text: &str, size: &str, count: &BootPages) -> String {
    let tokens = Tokens::of(text);
    let [of_size, number] = pages(size, count);
    match hugepages_there(&tokens, size) {
        Some((_, Some(there))) if is_enough(&there, count) => text.to_owned(),
        Some((at, there)) => tokens.replace(at, &there.map_or(number, |there| format!("hugepages={}", raised(&there, count)))),
        None => match tokens.texts().rposition(|token| token == of_size) {
            Some(at) => tokens.replace(at, &format!("{of_size} {number}")),
            None => append(text, &format!("{of_size} {number}")),
        },
    }
}

/// Whether what is there stays: the same, or enough of it on the nodes that somebody chose.
pub(in crate::host) fn is_enough(there: &BootPages, wanted: &BootPages) -> bool {
    let on = |node| there.of_nodes().find(|(known, _)| *known == node).map_or(0, |(_, number)| number);
    match (there, wanted) {
        (BootPages::Split(there), BootPages::Split(wanted)) => there == wanted,
        (BootPages::Split(_), BootPages::ByNode(_)) => false,
        (BootPages::ByNode(_), BootPages::Split(wanted)) => there.total() >= *wanted,
        (BootPages::ByNode(_), BootPages::ByNode(wanted)) => wanted.iter().all(|(node, number)| on(*node) >= *number),
    }
}

/// What is wanted, with what somebody else has on nodes of their choice.
fn raised(there: &BootPages, wanted: &BootPages) -> BootPages {
    let (BootPages::ByNode(there), BootPages::ByNode(wanted)) = (there, wanted) else { return wanted.clone() };
    let mut nodes = there.clone();
    for (node, number) in wanted {
        let known = nodes.entry(*node).or_default();
        *known = (*known).max(*number);
    }
    BootPages::ByNode(nodes)
}

fn without_hugepages(text: &str, size: &str, count: &BootPages) -> String {
    let tokens = Tokens::of(text);
    let Some((at, _)) = hugepages_there(&tokens, size).filter(|(_, there)| there.as_ref() == Some(count)) else { return text.to_owned() };
    let of_size = &pages(size, count)[0];
    let is_ours = |index: usize, token: &str| index == at || (index + 1 == at && token == of_size);
    tokens.edit(|index, token| (!is_ours(index, token)).then(|| token.to_owned()))
}

fn append(text: &str, token: &str) -> String {
    // A backslash at the end of a line is space too.
    let end = Tokens::of(text).end;
    let before = &text[..text.len() - end.len()];
    let separator = if before.is_empty() { "" } else { " " };
    let behind = if end.starts_with("--") { " " } else { "" };
    format!("{before}{separator}{token}{behind}{end}")
}

#[cfg(test)]
mod tests {
    use linux_kernel_cmdline::utf8::{Cmdline, ParameterKey};
    use proptest::prelude::*;

    use super::*;

    fn on() -> Vec<ParameterChange> {
        vec![ParameterChange::Without("iommu".into(), "off".into()), ParameterChange::Set("intel_iommu=on".into())]
    }

    #[test]
    fn only_what_is_needed_changes() {
        for (before, after) in [
            ("", "intel_iommu=on"),
            ("quiet splash", "quiet splash intel_iommu=on"),
            ("quiet  splash ", "quiet  splash intel_iommu=on "),
            ("quiet intel_iommu=off splash", "quiet intel_iommu=on splash"),
            ("intel_iommu=on,sm_on quiet", "intel_iommu=on,sm_on quiet"),
            ("intel_iommu=on intel_iommu=off", "intel_iommu=on"),
            ("iommu=off quiet", "quiet intel_iommu=on"),
            ("a iommu=pt,off b", "a iommu=pt b intel_iommu=on"),
            ("dyndbg=\"file x +p\" quiet", "dyndbg=\"file x +p\" quiet intel_iommu=on"),
            ("dyndbg=\\\"intel_iommu=off x\\\" quiet", "dyndbg=\\\"intel_iommu=off x\\\" quiet intel_iommu=on"),
            ("a\\ intel_iommu=off", "a\\ intel_iommu=on"),
            ("\"iommu=off\" intel_iommu=\"off\"", "intel_iommu=on"),
            ("a \\\n  b", "a \\\n  b intel_iommu=on"),
            ("a \\\n ", "a intel_iommu=on \\\n "),
            ("quiet -- single intel_iommu=on", "quiet intel_iommu=on -- single intel_iommu=on"),
            ("-- iommu=off", "intel_iommu=on -- iommu=off"),
            ("quiet dyndbg=\"a -- b\"", "quiet dyndbg=\"a -- b\" intel_iommu=on"),
            ("xintel_iommu=off intel_iommux=off", "xintel_iommu=off intel_iommux=off intel_iommu=on"),
        ] {
            assert_eq!(with(before, &on()), after, "{before:?}");
            assert!(has_all(after, &on()));
            assert_eq!(with(after, &on()), after);
        }
    }

    #[test]
    fn one_value_of_a_name_is_left() {
        let only = [ParameterChange::Only("isolcpus=domain,2-3".into())];
        for (before, after, without_others) in [
            ("quiet", "quiet isolcpus=domain,2-3", "quiet"),
            ("isolcpus=1 quiet isolcpus=5", "isolcpus=domain,2-3 quiet", "quiet"),
            ("isolcpus=1 isolcpus=domain,2-3 x", "isolcpus=domain,2-3 x", "isolcpus=domain,2-3 x"),
            ("isolcpus=domain,2-3 isolcpus=domain,2-3", "isolcpus=domain,2-3", "isolcpus=domain,2-3"),
            ("isolcpusx=1", "isolcpusx=1 isolcpus=domain,2-3", "isolcpusx=1"),
        ] {
            assert_eq!(with(before, &only), after, "{before:?}");
            assert!(has_all(after, &only));
            assert_eq!(without_opposites(before, &only), without_others, "{before:?}");
        }
        assert_eq!(without("quiet isolcpus=domain,2-3", &only), "quiet");
    }

    #[test]
    fn contradictions_are_removed_and_nothing_is_added() {
        assert_eq!(without_opposites("quiet intel_iommu=off iommu=off x", &on()), "quiet x");
        assert_eq!(without_opposites("quiet", &on()), "quiet");
    }

    #[test]
    fn lists_and_pairs() {
        let ids = [ParameterChange::Include("vfio-pci.ids".into(), vec!["10de:1401".into(), "10de:0fba".into()])];
        assert_eq!(with("a vfio_pci.ids=1002:aaf0 b", &ids), "a vfio_pci.ids=1002:aaf0,10de:1401,10de:0fba b");
        assert_eq!(with("a", &ids), "a vfio-pci.ids=10de:1401,10de:0fba");
        let pages = [ParameterChange::Hugepages("1G", BootPages::Split(8))];
        assert_eq!(with("a", &pages), "a hugepagesz=1G hugepages=8");
        assert_eq!(with("hugepagesz=1G hugepages=4 b", &pages), "hugepagesz=1G hugepages=8 b");
        assert_eq!(with("hugepagesz=1G b", &pages), "hugepagesz=1G hugepages=8 b");
        assert_eq!(with("hugepagesz=2M hugepages=8", &pages), "hugepagesz=2M hugepages=8 hugepagesz=1G hugepages=8");
    }

    #[test]
    fn huge_pages_by_node() {
        let change = |value: &str| [ParameterChange::Hugepages("1G", value.parse().unwrap())];
        for (before, wanted, after) in [
            ("a", "1:40", "a hugepagesz=1G hugepages=1:40"),
            // What somebody chose stays where it is enough: on these nodes, or where the node is unknown, on all.
            ("hugepagesz=1G hugepages=0:8,1:40 b", "1:40", "hugepagesz=1G hugepages=0:8,1:40 b"),
            ("hugepagesz=1G hugepages=0:8,1:40 b", "48", "hugepagesz=1G hugepages=0:8,1:40 b"),
            ("default_hugepagesz=1G hugepages=0:8,1:40", "1:40", "default_hugepagesz=1G hugepages=0:8,1:40"),
            ("hugepagesz=1024M hugepages=1:41", "1:40", "hugepagesz=1024M hugepages=1:41"),
            // Else only what is lacking is added.
            ("hugepagesz=1G hugepages=0:8,1:40 b", "1:96", "hugepagesz=1G hugepages=0:8,1:96 b"),
            ("hugepagesz=1G hugepages=0:8", "0:4,1:40", "hugepagesz=1G hugepages=0:8,1:40"),
            ("hugepagesz=1G hugepages=0:8,1:40", "49", "hugepagesz=1G hugepages=49"),
            ("hugepagesz=1G hugepages=96", "1:96", "hugepagesz=1G hugepages=1:96"),
            ("hugepagesz=1G hugepages=many", "1:96", "hugepagesz=1G hugepages=1:96"),
            ("default_hugepagesz=1G hugepages=4", "8", "default_hugepagesz=1G hugepages=8"),
            // The first counts for the kernel.
            ("hugepagesz=1G hugepages=4 hugepagesz=1G hugepages=8", "8", "hugepagesz=1G hugepages=8 hugepagesz=1G hugepages=8"),
        ] {
            assert_eq!(with(before, &change(wanted)), after, "{before:?}, {wanted}");
            assert!(has_all(after, &change(wanted)), "{after:?}, {wanted}");
        }
        for (before, ours, after) in [
            ("a hugepagesz=1G hugepages=1:40 b", "1:40", "a b"),
            ("a hugepagesz=1G hugepages=8", "8", "a"),
            ("hugepagesz=1G hugepages=0:8,1:40", "1:40", "hugepagesz=1G hugepages=0:8,1:40"),
            ("default_hugepagesz=1G hugepages=8", "8", "default_hugepagesz=1G"),
            ("hugepagesz=2M hugepages=8 hugepagesz=1G hugepages=4", "8", "hugepagesz=2M hugepages=8 hugepagesz=1G hugepages=4"),
        ] {
            assert_eq!(without(before, &change(ours)), after, "{before:?}, {ours}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The same tokens as the crate of the bootc project finds, and the same names and values.
        #[test]
        fn another_parser_reads_the_same(line in "[ab=,._\"\n -]{0,40}") {
            let known = Cmdline::from(&line);
            let tokens = Tokens::of(&line);
            let known_to_kernel = known.iter_str().take_while(|token| *token != "--").collect::<Vec<_>>();
            prop_assert_eq!(tokens.texts().collect::<Vec<_>>(), known_to_kernel);
            for (token, parameter) in tokens.texts().zip(known.iter()) {
                let (name, value) = parse(token);
                // It strips quotes that the kernel keeps; see below.
                if !name.contains('"') && !value.is_some_and(|value| value.contains('"')) {
                    prop_assert_eq!((ParameterKey::from(name), value), (parameter.key(), parameter.value()), "{}", token);
                }
            }
        }
    }

    /// Where the crate differs from `next_arg` (lib/cmdline.c of Linux), which drops a quote at the end only if there is
    /// one at the beginning; and where it differs from `parse_args` (kernel/params.c), which takes each token in turn, so
    /// that for most parameters the last one counts.
    #[test]
    fn where_another_parser_is_wrong() {
        let line = "a=b\"c d\" e=1 e=2";
        let known = Cmdline::from(line);
        assert_eq!((known.value_of("a"), parse("a=b\"c d\"")), (Some("b\"c d"), ("a", Some("b\"c d\""))));
        assert_eq!(known.value_of("e"), Some("1"));
        assert_eq!(crate::model::Cmdline(line.to_owned()).get("e"), Some("2"));
    }
}
