//! Samba's configuration, as far as it matters here: sections and their parameters, line by line.

/// A parameter, and its section; the section is empty before the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    pub(super) section: &'a str,
    name: String,
    pub(super) value: &'a str,
}

/// The parameters of a file, sections without any included under an empty name.
///
/// # Errors
/// What cannot be parsed, with its line number.
pub(super) fn parse(text: &str) -> Result<Vec<Parameter<'_>>, String> {
    let mut section = "";
    let mut parameters = Vec::new();
    let mut is_continued = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let is_rest = std::mem::replace(&mut is_continued, line.ends_with('\\'));
        if is_rest || line.is_empty() || line.starts_with(['#', ';']) {
            // Comments are continued by a backslash, too.
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section =
                name.strip_suffix(']').ok_or_else(|| format!("line {} begins a section without a closing bracket", number + 1))?.trim();
            parameters.push(Parameter { section, name: String::new(), value: "" });
        } else if let Some((name, value)) = line.split_once('=') {
            parameters.push(Parameter { section, name: plain(name), value: value.trim() });
        } else {
            return Err(format!("line {} is neither a section nor a parameter: {line}", number + 1));
        }
    }
    if is_continued {
        return Err("its last line ends with a backslash".to_owned());
    }
    Ok(parameters)
}

/// Samba ignores case and spaces in names.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_whitespace()).flat_map(char::to_lowercase).collect()
}

impl Parameter<'_> {
    /// Whether it is this one, by its name without spaces.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Whether it is in this section.
    pub(super) fn is_in(&self, section: &str) -> bool {
        plain(self.section) == plain(section)
    }

    /// The folder of a share.
    pub(super) fn folder(&self) -> Option<&str> {
        (self.is("path") || self.is("directory")).then(|| self.value.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_parameters() {
        let text = "# x\n[Global]\n  Server String = a = b\n ;y\n comment = one \\\n  two\n[docs]\n\tPath = /srv/docs/\n";
        let found = parse(text).unwrap();
        assert!(found.iter().any(|one| one.is_in("GLOBAL") && one.is("serverstring") && one.value == "a = b"));
        assert_eq!(found.iter().filter_map(|one| Some((one.section, one.folder()?))).collect::<Vec<_>>(), [("docs", "/srv/docs")]);
        for (odd, what) in [("[a\n", "line 1"), ("[a]\nnonsense\n", "line 2"), ("[a]\nb = c \\\n", "backslash")] {
            assert!(parse(odd).unwrap_err().contains(what), "{odd}");
        }
    }
}
