//! The state of a line during redaction: which setting a number belongs to, and whether the position is in the value of
//! a secret.

/// The most digits that are left unredacted in consecutive numbers without a word between them: more may be one number, such
/// as that of a credit card or a telephone.
pub(super) const LONGEST_RUN: usize = 8;

/// A word that contains one of these names a secret: its value and all numbers on its line are replaced.
const SECRETS: [&str; 8] = ["passw", "passphrase", "passcode", "pwd", "secret", "token", "psk", "credential"];
/// Words that name a secret only as a whole word, because they are parts of other words.
const SHORT_SECRETS: [&str; 3] = ["pass", "pin", "pw"];
/// Settings whose value is always replaced completely.
const OWN: [&str; 12] =
    ["serial", "uuid", "partuuid", "label", "partlabel", "hostname", "workgroup", "initiator", "netbios", "key", "keyfile", "machine_id"];
/// Settings whose numbers vgapt reads; they stay, even if they are long.
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

/// The flags that may precede the CPU list in the value of `isolcpus`.
const FLAGS: [&str; 3] = ["domain", "managed_irq", "nohz"];

/// The state of the line so far.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Whether the previous word was replaced.
    pub(super) after_unknown: bool,
    pub(super) is_comment: bool,
    /// Whether a word on this line, or the last word of the previous line, names a secret.
    pub(super) has_secret: bool,
    /// Whether the position is in the value of a setting that is read; and whether the value has started.
    pub(super) is_read: bool,
    read_begun: bool,
    /// The number of digits so far in the run of numbers that the position belongs to.
    pub(super) run: usize,
    /// Whether this run is a kernel version.
    is_version: bool,
    value: Value,
}

/// The position within the value of a secret, which is always replaced.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Value {
    #[default]
    None,
    /// After the name and before the value. `of_name` is a quote around the name, which still has to be closed.
    Awaited { of_name: Option<char>, next_line: bool },
    /// In quotes; `begun` says whether they contain anything.
    Quoted { by: char, begun: bool, next_line: bool },
    /// In a value that ends at a blank, a comma or a semicolon.
    Begun,
}

impl Line {
    pub(super) fn is_secret(&self) -> bool {
        self.value != Value::None
    }

    /// Looks ahead at the line that starts here.
    pub(super) fn begins(&mut self, rest: &str) {
        let text = rest.split('\n').next().unwrap_or_default();
        self.has_secret |= text.split(|c: char| !c.is_alphanumeric() && c != '_').any(names_secret);
    }

    pub(super) fn sees(&mut self, c: char, after: &str) {
        if ends_run(c) || (self.is_version && !VERSION.contains(c)) {
            self.ends_run();
        }
        if c == '\n' {
            // The value of a secret may be on the next line.
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
            // The quotes were empty: the value may still follow.
            Value::Quoted { by, begun: false, next_line } if c == by => Value::Awaited { of_name: None, next_line },
            Value::Quoted { by, .. } if c == by => Value::None,
            Value::Begun if " \t,;".contains(c) => Value::None,
            same => same,
        };
    }

    pub(super) fn ends_run(&mut self) {
        (self.run, self.is_version) = (0, false);
    }

    /// The number of digits of the word here together with the numbers before and after it; 0 if it is not a number.
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

    /// To be called for anything but a separator.
    pub(super) fn value_begins(&mut self) {
        match &mut self.value {
            Value::None => {}
            Value::Quoted { begun, .. } => *begun = true,
            awaited => *awaited = Value::Begun,
        }
    }

    /// To be called for each word or number.
    pub(super) fn knows(&mut self, word: &str, after: &str, before: &str) {
        self.value_begins();
        let is_id = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_flag = self.is_read && before.ends_with(['=', ',']) && FLAGS.contains(&word);
        if is_number(word) || (self.is_read && is_id) || is_flag {
            self.read_begun = self.is_read;
        } else if !self.is_read || !before.ends_with([',', '-', ':']) || after.starts_with('=') {
            // In a list, the setting applies to all values.
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

/// The separators in a version.
const VERSION: &str = ".-";
/// The number of digits of the longest kernel version: `4.18.0-553.117.1`.
const LONGEST_VERSION: usize = 12;

/// Whether a character separates unrelated numbers, such as the parts of an address or the values of settings. Any other
/// character may also occur inside the number of a credit card or a telephone.
fn ends_run(c: char) -> bool {
    matches!(c, '\n' | ':' | '=')
}

/// The number of digits of a decimal or hexadecimal number; `None` if a word is not a number.
fn digits_of(word: &str) -> Option<usize> {
    let hex = word.strip_prefix("0x").filter(|hex| !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex.map(str::len).or_else(|| is_number(word).then(|| digits(word)))
}

/// The number of digits of the consecutive numbers that begin here; counting stops above [`LONGEST_RUN`].
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

/// Whether the numbers that begin here are a kernel version: `5.14.0-427.13.1`. It is needed to find the kernel's files.
fn begins_as_version(rest: &str) -> bool {
    let text = &rest[..rest.find(|c: char| !c.is_ascii_digit() && !VERSION.contains(c)).unwrap_or(rest.len())];
    let lengths: Vec<usize> = text.split('-').next().unwrap_or_default().split('.').map(str::len).collect();
    digits(text) <= LONGEST_VERSION && matches!(lengths[..], [1, 1..=2, 1..=3, ..])
}
