//! `cgroup_device_acl` of libvirt's qemu.conf: the device nodes that QEMU may open. The text is read as libvirt reads it
//! (`virConfParse` of src/util/virconf.c), and only the list is changed.

use std::ops::Range;

const NAME: &str = "cgroup_device_acl";
/// The default where qemu.conf does not show its own: that of libvirt 12.8, with `/dev/kvm`, which older ones have.
const DEFAULT: [&str; 8] =
    ["/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/ptmx", "/dev/kvm", "/dev/userfaultfd"];

/// The list of a file: where its brackets are, and its nodes with theirs.
#[derive(Debug, PartialEq, Eq)]
struct List {
    open: usize,
    nodes: Vec<(String, Range<usize>)>,
}

/// Whether QEMU may open a node; `false` also where the file leaves the list to libvirt's default.
///
/// # Errors
/// What is not understood, with its line.
pub fn allows_device(text: &str, node: &str) -> Result<bool, String> {
    Ok(list(text)?.is_some_and(|list| list.nodes.iter().any(|(known, _)| known == node)))
}

/// The file with this node in its list, and everything else as it is.
///
/// # Errors
/// What is not understood, with its line: libvirt would not read such a file either.
pub fn with_device(text: &str, node: &str) -> Result<String, String> {
    let (at, inserted) = match list(text)? {
        Some(list) if list.nodes.iter().any(|(known, _)| known == node) => return Ok(text.to_owned()),
        Some(List { open, nodes }) => match nodes.last() {
            Some((_, last)) => (last.end, format!(", \"{node}\"")),
            None => (open + 1, format!("\"{node}\"")),
        },
        None => {
            let (at, nodes) = default_list(text);
            let nodes: Vec<String> = nodes.iter().map(String::as_str).chain([node]).map(|node| format!("    \"{node}\"")).collect();
            let before = if text[..at].is_empty() || text[..at].ends_with('\n') { "" } else { "\n" };
            (at, format!("{before}{NAME} = [\n{}\n]\n", nodes.join(",\n")))
        }
    };
    Ok(format!("{}{inserted}{}", &text[..at], &text[at..]))
}

/// Where the list is added and what libvirt's own has: after the example in the file, else at its end.
fn default_list(text: &str) -> (usize, Vec<String>) {
    let known = || (text.len(), DEFAULT.map(str::to_owned).to_vec());
    let Some(begin) = text.match_indices(&format!("#{NAME} = [")).map(|(at, _)| at).find(|at| *at == 0 || text[..*at].ends_with('\n'))
    else {
        return known();
    };
    let mut end = begin;
    let mut example = String::new();
    for line in text[begin..].split_inclusive('\n') {
        let Some(plain) = line.strip_prefix('#') else { return known() };
        end += line.len();
        example.push_str(plain);
        if plain.trim_end() == "]" {
            break;
        }
    }
    match list(&example) {
        Ok(Some(list)) => (end, list.nodes.into_iter().map(|(node, _)| node).collect()),
        _ => known(),
    }
}

/// The list of a file; libvirt uses the first of several entries of one name.
fn list(text: &str) -> Result<Option<List>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut found = None;
    while reader.skip_empty() {
        let (name, value) = reader.entry().map_err(|what| {
            let line = text[..reader.at.min(text.len())].matches('\n').count() + 1;
            format!("line {line}: {what}")
        })?;
        if name == NAME && found.is_none() {
            found = Some(value.ok_or_else(|| format!("{NAME} is not a list of texts"))?);
        }
    }
    Ok(found)
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        self.at += self.rest().find(|letter| !is_skipped(letter)).unwrap_or(self.rest().len());
    }

    fn blanks(&mut self) {
        self.skip(|letter| matches!(letter, ' ' | '\t'));
    }

    fn lines(&mut self) {
        self.skip(|letter| matches!(letter, ' ' | '\t' | '\n' | '\r'));
    }

    /// Past empty lines and comments; whether an entry follows.
    fn skip_empty(&mut self) -> bool {
        loop {
            self.lines();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.skip(|letter| letter != '\n');
        }
    }

    /// A name and its value, if that is a list of texts.
    fn entry(&mut self) -> Result<(String, Option<List>), String> {
        let from = self.at;
        self.skip(|letter| letter.is_ascii_alphanumeric() || "_.-:".contains(letter));
        let name = self.text[from..self.at].to_owned();
        if !name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            return Err("a name is expected".to_owned());
        }
        self.blanks();
        if !self.rest().starts_with('=') {
            return Err(format!("= is expected after {name}"));
        }
        self.at += 1;
        self.blanks();
        let value = if self.rest().starts_with('[') { self.list()? } else { self.plain().map(|_| None)? };
        self.blanks();
        if self.rest().starts_with('#') {
            self.skip(|letter| letter != '\n');
        }
        if !self.rest().is_empty() && !self.rest().starts_with(['\n', '\r']) {
            return Err(format!("the end of the line is expected after the value of {name}"));
        }
        Ok((name, value))
    }

    /// A list; `None` for one with something else than texts.
    fn list(&mut self) -> Result<Option<List>, String> {
        let mut list = List { open: self.at, nodes: Vec::new() };
        let mut are_texts = true;
        self.at += 1;
        loop {
            self.lines();
            if self.rest().starts_with(']') {
                self.at += 1;
                return Ok(are_texts.then_some(list));
            }
            let from = self.at;
            match self.plain()? {
                Some(text) => list.nodes.push((text, from..self.at)),
                None => are_texts = false,
            }
            self.lines();
            if self.rest().starts_with(',') {
                self.at += 1;
            } else if !self.rest().starts_with(']') {
                return Err("a list is not closed with ]".to_owned());
            }
        }
    }

    /// A text in quotes, which has no escapes, or `None` for a number.
    fn plain(&mut self) -> Result<Option<String>, String> {
        let quote = ["\"\"\"", "\"", "'"].into_iter().find(|quote| self.rest().starts_with(quote));
        let Some(quote) = quote else {
            let from = self.at;
            self.skip(|letter| letter.is_ascii_digit() || letter == '-');
            return if self.at > from { Ok(None) } else { Err("a value is expected".to_owned()) };
        };
        let from = self.at + quote.len();
        let length = self.text[from..].find(quote).ok_or("a text is not closed")?;
        let text = self.text[from..from + length].to_owned();
        // Only a text in three quotes may have several lines.
        if quote.len() == 1 && text.contains('\n') {
            return Err("a text is not closed".to_owned());
        }
        self.at = from + length + quote.len();
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "/dev/kvmfr0";

    #[test]
    fn a_list_gets_one_more_node_and_keeps_every_byte() {
        let before = "user = \"root\" # x\ncgroup_device_acl = [\n  '/dev/null',\t\"/dev/zero\" , \n]   # mine\nmax_core = 5\n";
        let after = with_device(before, NODE).unwrap();
        assert_eq!(after, before.replace("\"/dev/zero\"", "\"/dev/zero\", \"/dev/kvmfr0\""));
        assert_eq!(with_device(&after, NODE).unwrap(), after);
        assert_eq!((allows_device(before, NODE), allows_device(&after, NODE)), (Ok(false), Ok(true)));
        assert_eq!(with_device("cgroup_device_acl = []", NODE).unwrap(), "cgroup_device_acl = [\"/dev/kvmfr0\"]");
        // libvirt uses the first of several.
        let two = "cgroup_device_acl = [ \"/dev/a\" ]\ncgroup_device_acl = [ \"/dev/kvmfr0\" ]\n";
        assert_eq!(allows_device(two, NODE), Ok(false));
        assert!(with_device(two, NODE).unwrap().starts_with("cgroup_device_acl = [ \"/dev/a\", \"/dev/kvmfr0\" ]\n"));
    }

    #[test]
    fn the_default_of_the_file_is_taken_over() {
        let text = "# why\n#cgroup_device_acl = [\n#    \"/dev/null\", \"/dev/own\"\n#]\n#\nuser = \"x\"\n";
        let after = with_device(text, NODE).unwrap();
        let list = "cgroup_device_acl = [\n    \"/dev/null\",\n    \"/dev/own\",\n    \"/dev/kvmfr0\"\n]\n";
        assert_eq!(after, text.replace("#]\n", &format!("#]\n{list}")));
        let without = with_device("user = 'x'", NODE).unwrap();
        assert!(
            without.starts_with("user = 'x'\ncgroup_device_acl = [\n    \"/dev/null\",\n") && without.ends_with("\"/dev/kvmfr0\"\n]\n")
        );
        // An example that is cut off is none.
        assert!(with_device("#cgroup_device_acl = [\n#  \"/dev/null\",\nuser = 'x'\n", NODE).unwrap().contains("/dev/urandom"));
    }

    #[test]
    fn hostile_texts() {
        for odd in [
            "cgroup_device_acl = [ \"/dev/null\"",
            "cgroup_device_acl = [ \"/dev/null\" \"/dev/zero\" ]",
            "cgroup_device_acl = [ # comment\n \"/dev/null\" ]",
            "cgroup_device_acl = \"/dev/null\"",
            "cgroup_device_acl = [ 5 ]",
            "cgroup_device_acl = ",
            "cgroup_device_acl [",
            "= 5",
            "x = \"open\n\"",
            "x = 5 y = 6",
            "\u{feff}x = 5",
            "[global]",
        ] {
            assert!(with_device(odd, NODE).is_err(), "{odd:?}");
        }
        // What only looks like the list.
        for text in ["x = \"\"\"\ncgroup_device_acl = [ \"/dev/kvmfr0\" ]\n\"\"\"\n", "# cgroup_device_acl = [ \"/dev/kvmfr0\" ]\n", ""] {
            assert_eq!(allows_device(text, NODE), Ok(false), "{text:?}");
        }
    }
}
