//! Edits a kernel command line token by token: other tokens keep their order, quotes and the space around them.

/// The tokens of a command line, each with the space before it.
struct Tokens<'a>(Vec<(&'a str, &'a str)>, &'a str);

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = text;
        loop {
            let start = space_length(rest);
            let (space, from_token) = rest.split_at(start);
            if from_token.is_empty() {
                return Self(tokens, space);
            }
            let length = token_length(from_token);
            tokens.push((space, &from_token[..length]));
            rest = &from_token[length..];
        }
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

/// Up to the next space outside of double quotes, as the kernel's `next_arg` reads it.
fn token_length(text: &str) -> usize {
    let mut quoted = false;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if matches!(characters.peek(), Some((_, '\n' | '\r'))) => return at,
            '\\' => {
                // An escaped quote in a shell file is a quote for the kernel.
                if let Some((_, '"')) = characters.peek() {
                    quoted = !quoted;
                }
                characters.next();
            }
            c if c.is_ascii_whitespace() && !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

/// A token's name with `-` replaced by `_`, and its value.
fn split(token: &str) -> (String, Option<&str>) {
    let (name, value) = token.split_once('=').map_or((token, None), |(name, value)| (name, Some(value)));
    (name.replace('-', "_"), value)
}

/// One requested change of a kernel command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) enum ParameterChange {
    /// This token; one of the same name with the value `off` is replaced by it.
    Set(String),
    /// These parts in the comma-separated value of this name.
    Include(String, Vec<String>),
    /// This part of the comma-separated value of this name is removed.
    Without(String, String),
    /// This many huge pages of this size: two tokens that belong together.
    Hugepages(&'static str, u64),
}

/// Whether a command line already has all of these changes.
pub(in crate::host) fn says(text: &str, wants: &[ParameterChange]) -> bool {
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
    wants.iter().fold(text.to_owned(), |text, want| {
        let tokens = Tokens::of(&text);
        match want {
            ParameterChange::Set(token) => edit(&tokens, |_, other| (other != token).then(|| other.to_owned())),
            ParameterChange::Include(name, parts) => parts.iter().fold(text.clone(), |text, part| without_part(&text, name, part)),
            ParameterChange::Without(..) => text.clone(),
            ParameterChange::Hugepages(size, count) => {
                let pair = [format!("hugepagesz={size}"), format!("hugepages={count}")];
                edit(&tokens, |_, other| (!pair.iter().any(|token| token == other)).then(|| other.to_owned()))
            }
        }
    })
}

fn apply(text: &str, want: &ParameterChange, add: bool) -> String {
    match want {
        ParameterChange::Set(token) => set(text, token, add),
        ParameterChange::Include(name, parts) => include(text, name, parts, add),
        ParameterChange::Without(name, part) => without_part(text, name, part),
        ParameterChange::Hugepages(size, count) => hugepages(text, size, *count, add),
    }
}

/// Removes `off`, and puts the requested token in the first such place; other values of the name stay.
fn set(text: &str, token: &str, add: bool) -> String {
    let (name, value) = split(token);
    let tokens = Tokens::of(text);
    let says = |other: &str, wanted: Option<&str>| {
        let (known, value) = split(other);
        known == name && (value == wanted || value.unwrap_or_default().split(',').any(|part| Some(part) == wanted))
    };
    let is_off = |other: &str| value != Some("off") && says(other, Some("off"));
    let there = tokens.0.iter().any(|(_, other)| says(other, value));
    let first_off = tokens.0.iter().position(|(_, other)| is_off(other));
    let edited = edit(&tokens, |index, other| match () {
        () if !is_off(other) => Some(other.to_owned()),
        () if add && !there && Some(index) == first_off => Some(token.to_owned()),
        () => None,
    });
    if add && !there && first_off.is_none() { append(&edited, &[token.to_owned()]) } else { edited }
}

fn include(text: &str, name: &str, parts: &[String], add: bool) -> String {
    let tokens = Tokens::of(text);
    let plain = name.replace('-', "_");
    let Some(last) = tokens.0.iter().rposition(|(_, token)| split(token).0 == plain) else {
        return if add { append(text, &[format!("{name}={}", parts.join(","))]) } else { text.to_owned() };
    };
    if !add {
        return text.to_owned();
    }
    let known: Vec<&str> = split(tokens.0[last].1).1.unwrap_or_default().split(',').filter(|part| !part.is_empty()).collect();
    let missing: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !known.contains(part)).collect();
    if missing.is_empty() {
        return text.to_owned();
    }
    let whole = [known, missing].concat().join(",");
    let spelt = tokens.0[last].1.split('=').next().unwrap_or(name).to_owned();
    edit(&tokens, |index, token| Some(if index == last { format!("{spelt}={whole}") } else { token.to_owned() }))
}

fn without_part(text: &str, name: &str, part: &str) -> String {
    let tokens = Tokens::of(text);
    let name = name.replace('-', "_");
    let wrong = |token: &str| split(token).0 == name && split(token).1.is_some_and(|value| value.split(',').any(|known| known == part));
    if !tokens.0.iter().any(|(_, token)| wrong(token)) {
        return text.to_owned();
    }
    edit(&tokens, |_, token| {
        if !wrong(token) {
            return Some(token.to_owned());
        }
        let (spelt, value) = token.split_once('=')?;
        let kept: Vec<&str> = value.split(',').filter(|known| *known != part).collect();
        (!kept.is_empty()).then(|| format!("{spelt}={}", kept.join(",")))
    })
}

/// `hugepages=` applies to the `hugepagesz=` before it (kernel-parameters, hugetlbpage.rst).
fn hugepages(text: &str, size: &str, count: u64, add: bool) -> String {
    if !add {
        return text.to_owned();
    }
    let tokens = Tokens::of(text);
    let wanted = format!("hugepages={count}");
    let Some(at) = tokens.0.iter().rposition(|(_, token)| *token == format!("hugepagesz={size}")) else {
        return append(text, &[format!("hugepagesz={size}"), wanted]);
    };
    match tokens.0.get(at + 1) {
        Some((_, next)) if *next == wanted => text.to_owned(),
        Some((_, next)) if split(next).0 == "hugepages" => {
            edit(&tokens, |index, token| Some(if index == at + 1 { wanted.clone() } else { token.to_owned() }))
        }
        _ => edit(&tokens, |index, token| Some(if index == at { format!("{token} {wanted}") } else { token.to_owned() })),
    }
}

/// Applies `change` to each token; with a removed token, the space before it is removed, or after it if it was the first.
fn edit(tokens: &Tokens, change: impl Fn(usize, &str) -> Option<String>) -> String {
    let mut text = String::new();
    let mut first_space = None;
    for (index, (space, token)) in tokens.0.iter().enumerate() {
        match change(index, token) {
            Some(token) => {
                text.push_str(first_space.take().unwrap_or(space));
                text.push_str(&token);
            }
            None if text.is_empty() => first_space = first_space.or(Some(space)),
            None => {}
        }
    }
    text + tokens.1
}

fn append(text: &str, tokens: &[String]) -> String {
    // A backslash at the end of a line is space too.
    let space = Tokens::of(text).1;
    let before = &text[..text.len() - space.len()];
    let separator = if before.is_empty() { "" } else { " " };
    format!("{before}{separator}{}{space}", tokens.join(" "))
}

#[cfg(test)]
mod tests {
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
            ("a \\\n  b", "a \\\n  b intel_iommu=on"),
            ("a \\\n ", "a intel_iommu=on \\\n "),
            ("xintel_iommu=off intel_iommux=off", "xintel_iommu=off intel_iommux=off intel_iommu=on"),
        ] {
            assert_eq!(with(before, &on()), after, "{before:?}");
            assert!(says(after, &on()));
            assert_eq!(with(after, &on()), after);
        }
    }

    #[test]
    fn opposites_go_and_nothing_comes() {
        assert_eq!(without_opposites("quiet intel_iommu=off iommu=off x", &on()), "quiet x");
        assert_eq!(without_opposites("quiet", &on()), "quiet");
    }

    #[test]
    fn lists_and_pairs() {
        let ids = [ParameterChange::Include("vfio-pci.ids".into(), vec!["10de:1401".into(), "10de:0fba".into()])];
        assert_eq!(with("a vfio_pci.ids=1002:aaf0 b", &ids), "a vfio_pci.ids=1002:aaf0,10de:1401,10de:0fba b");
        assert_eq!(with("a", &ids), "a vfio-pci.ids=10de:1401,10de:0fba");
        let pages = [ParameterChange::Hugepages("1G", 8)];
        assert_eq!(with("a", &pages), "a hugepagesz=1G hugepages=8");
        assert_eq!(with("hugepagesz=1G hugepages=4 b", &pages), "hugepagesz=1G hugepages=8 b");
        assert_eq!(with("hugepagesz=1G b", &pages), "hugepagesz=1G hugepages=8 b");
        assert_eq!(with("hugepagesz=2M hugepages=8", &pages), "hugepagesz=2M hugepages=8 hugepagesz=1G hugepages=8");
    }
}
