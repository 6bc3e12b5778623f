//! What is known of a line while its words are looked at: what a number in it belongs to, and whether a secret's value
//! stands there.

/// As many digits stay in numbers with no word between them: more are one number, such as that of a card or a telephone.
pub(super) const LONGEST_RUN: usize = 8;

/// A word with one of these in it names a secret: no number on its line stays, and its value is replaced, however
/// the two are written.
const SECRETS: [&str; 8] = ["passw", "passphrase", "passcode", "pwd", "secret", "token", "psk", "credential"];
/// Words that name a secret, and are parts of others.
const SHORT_SECRETS: [&str; 3] = ["pass", "pin", "pw"];
/// What these are followed by is replaced as a whole, whatever it is.
const OWN: [&str; 12] =
    ["serial", "uuid", "partuuid", "label", "partlabel", "hostname", "workgroup", "initiator", "netbios", "key", "keyfile", "machine_id"];
/// Names of settings whose numbers vgapt reads, whatever their length.
const READ: [&str; 12] = [
    "hugepages",
    "hugepagesz",
    "default_hugepagesz",
    "nr_hugepages",
    "nr_overcommit_hugepages",
    "pagesize",
    "size",
    "memlock",
    "isolcpus",
    "nohz_full",
    "rcu_nocbs",
    "ids",
];

/// Words before the CPUs in the value of `isolcpus`.
const FLAGS: [&str; 3] = ["domain", "managed_irq", "nohz"];

/// What is known of the line so far.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Whether the word before was replaced.
    pub(super) after_unknown: bool,
    pub(super) is_comment: bool,
    /// Whether a word on this line, or the last of the one before, names a secret.
    pub(super) has_secret: bool,
    /// Whether what stands here is the value of a setting that is read; and whether that has begun.
    pub(super) is_read: bool,
    read_begun: bool,
    /// How many digits the numbers before have that belong to one with what stands here.
    pub(super) run: usize,
    /// Whether they are the version of a kernel.
    is_version: bool,
    value: Value,
}

/// Where in the value of a secret a line is: that is replaced whatever it is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// In none.
    #[default]
    None,
    /// Behind the name, and before the value. A quote that is the name's own ends with it.
    Awaited { of_name: Option<char>, next_line: bool },
    /// In quotes; whether there is anything in them.
    Quoted { by: char, begun: bool, next_line: bool },
    /// Up to a blank, a comma or a semicolon.
    Begun,
}

impl Line {
    pub(super) fn is_secret(&self) -> bool {
        self.value != Value::None
    }

    /// Looks ahead at the line that begins here.
    pub(super) fn begins(&mut self, rest: &str) {
        let text = rest.split('\n').next().unwrap_or_default();
        self.has_secret |= text.split(|c: char| !c.is_alphanumeric() && c != '_').any(names_secret);
    }

    pub(super) fn sees(&mut self, c: char, after: &str) {
        if ends_run(c) || (self.is_version && !VERSION.contains(c)) {
            self.ends_run();
        }
        if c == '\n' {
            // The value of a secret may stand on the next line.
            let value = match self.value {
                awaited @ (Value::Awaited { next_line: true, .. } | Value::Quoted { begun: false, next_line: true, .. }) => awaited,
                _ => Value::None,
            };
            *self = Self { value, has_secret: value != Value::None, ..Self::default() };
            self.begins(after);
            return;
        }
        self.is_comment |= c == '#';
        if " \t;".contains(c) && self.read_begun {
            (self.is_read, self.read_begun) = (false, false);
        }
        self.value = match self.value {
            Value::Awaited { of_name: Some(quote), next_line } if c == quote => Value::Awaited { of_name: None, next_line },
            Value::Awaited { next_line, .. } if c == '"' || c == '\'' => Value::Quoted { by: c, begun: false, next_line },
            // With nothing in them, the value may still follow.
            Value::Quoted { by, begun: false, next_line } if c == by => Value::Awaited { of_name: None, next_line },
            Value::Quoted { by, .. } if c == by => Value::None,
            Value::Begun if " \t,;".contains(c) => Value::None,
            same => same,
        };
    }

    /// What stands here belongs to no number.
    pub(super) fn ends_run(&mut self) {
        (self.run, self.is_version) = (0, false);
    }

    /// A word stands here: how many digits it has together with the numbers before and behind it, where it is one.
    pub(super) fn counts(&mut self, word: &str, rest: &str) -> usize {
        let Some(own) = digits_of(word) else {
            self.ends_run();
            return 0;
        };
        self.is_version |= self.run == 0 && begins_as_version(rest);
        let run = if self.is_version { own } else { self.run + digits_of_run(rest) };
        self.run += own;
        run
    }

    /// Anything but a separator stands here.
    pub(super) fn value_begins(&mut self) {
        match &mut self.value {
            Value::None => {}
            Value::Quoted { begun, .. } => *begun = true,
            awaited => *awaited = Value::Begun,
        }
    }

    /// A word, or a number, stands here.
    pub(super) fn knows(&mut self, word: &str, after: &str, before: &str) {
        self.value_begins();
        let is_id = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_flag = self.is_read && before.ends_with(['=', ',']) && FLAGS.contains(&word);
        if is_number(word) || (self.is_read && is_id) || is_flag {
            self.read_begun = self.is_read;
        } else if !self.is_read || !before.ends_with([',', '-', ':']) || after.starts_with('=') {
            // In a list, the name counts for all of it.
            self.is_read = READ.contains(&word);
            self.read_begun = false;
        }
        if self.is_secret() && !matches!(self.value, Value::Begun) {
            return;
        }
        let follows = after.trim_start_matches(['"', '\'', ' ', '\t']);
        let is_own =
            OWN.contains(&word.to_ascii_lowercase().as_str()) && follows.starts_with(|c: char| c == '=' || c == ':' || c.is_alphanumeric());
        let is_secret = names_secret(word);
        if is_own || is_secret {
            let quote = before.chars().next_back().filter(|c| "\"'".contains(*c) && after.starts_with(*c));
            self.value = Value::Awaited { of_name: quote, next_line: is_secret };
        }
    }
}

/// Whether a word is the name of a secret.
fn names_secret(word: &str) -> bool {
    let small = word.to_ascii_lowercase();
    SHORT_SECRETS.contains(&small.as_str()) || SECRETS.iter().any(|secret| small.contains(secret))
}

pub(super) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(super) fn is_number(word: &str) -> bool {
    let digits = word.trim_end_matches(['K', 'M', 'G', 'T', 'k', 'B', 'i']);
    word.len() - digits.len() <= 3 && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn digits(word: &str) -> usize {
    word.bytes().filter(u8::is_ascii_digit).count()
}

/// The signs between the numbers of a version.
const VERSION: &str = ".-";
/// The longest version of a kernel, in digits: `4.18.0-553.117.1`.
const LONGEST_VERSION: usize = 12;

/// Whether a sign separates numbers that have nothing to do with each other: the parts of an address, and values of
/// settings. A card's or a telephone's may have any other one between its parts.
fn ends_run(c: char) -> bool {
    matches!(c, '\n' | ':' | '=')
}

/// The digits of a number, in hexadecimal too; `None` where a word is none.
fn digits_of(word: &str) -> Option<usize> {
    let hex = word.strip_prefix("0x").filter(|hex| !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex.map(str::len).or_else(|| is_number(word).then(|| digits(word)))
}

/// How many digits the numbers have that begin here, with no word between them; enough of them to tell that it is too many.
fn digits_of_run(rest: &str) -> usize {
    let (mut count, mut rest) = (0, rest);
    while count <= LONGEST_RUN {
        let start = rest.find(|c: char| is_of_word(c) || ends_run(c)).unwrap_or(rest.len());
        let end = rest[start..].find(|c: char| !is_of_word(c)).map_or(rest.len(), |length| start + length);
        let Some(digits) = digits_of(&rest[start..end]) else { break };
        (count, rest) = (count + digits, &rest[end..]);
    }
    count
}

/// Whether the numbers that begin here are the version of a kernel, by which it is found: `5.14.0-427.13.1`.
fn begins_as_version(rest: &str) -> bool {
    let text = &rest[..rest.find(|c: char| !c.is_ascii_digit() && !VERSION.contains(c)).unwrap_or(rest.len())];
    let lengths: Vec<usize> = text.split('-').next().unwrap_or_default().split('.').map(str::len).collect();
    digits(text) <= LONGEST_VERSION && matches!(lengths[..], [1, 1..=2, 1..=3, ..])
}
