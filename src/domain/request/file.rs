//! A request as a TOML file; its keys are the names of the options.

use clap::{Args as _, Command};
use strsim::levenshtein;

use super::Request;
use super::without::Without;
use crate::domain::profile::file::Profile;

/// The largest edit distance at which a known key is suggested for a misspelt one.
const NEAR: usize = 3;

impl Request {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is not valid TOML, a key is unknown (the most similar key is suggested) or a value is invalid; with the line number.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| said(text, &error))?;
        let known = keys();
        if let Some(key) = table.keys().find(|key| !known.contains(key)) {
            let line = text.lines().position(|line| line.trim_start().trim_start_matches(['"', '\'']).starts_with(key.as_str()));
            let at = line.map(|line| format!("line {}: ", line + 1)).unwrap_or_default();
            if let Some(positive) = key.strip_prefix("no-").filter(|positive| known.iter().any(|known| known == positive)) {
                return Err(format!("{at}'{key}' is not allowed here: leave '{positive}' out of the file instead"));
            }
            let nearest = known.iter().min_by_key(|known| (levenshtein(key, known), *known));
            let hint = match nearest.filter(|nearest| levenshtein(key, nearest) <= NEAR.min(key.len() / 2)) {
                Some(nearest) => format!("; did you mean '{nearest}'?"),
                None => format!("; known keys are {}", known.join(", ")),
            };
            return Err(format!("{at}unknown key '{key}'{hint}"));
        }
        let request: Self = toml::from_str(text).map_err(|error| said(text, &error))?;
        if let Some(os) = request.os.as_ref().filter(|os| os.profile().is_none()) {
            let known: Vec<&str> = Profile::names().collect();
            return Err(format!("os: '{os}' is not a known guest system; known are {}", known.join(", ")));
        }
        if request.tuning.pin && request.tuning.no_pin {
            return Err("pin and no-pin cannot both be set".to_owned());
        }
        Ok(request)
    }

    /// The first of these keys that this program does not know.
    pub(crate) fn unknown_key<'k>(said: impl IntoIterator<Item = &'k String>) -> Option<&'k str> {
        let known = keys();
        said.into_iter().find(|key| !known.contains(key)).map(String::as_str)
    }

    /// Writes a file that [`Self::from_toml`] reads as the same request.
    pub fn to_toml(&self) -> String {
        // Serialising plain data with string keys cannot fail.
        toml::to_string(self).unwrap_or_default()
    }
}

/// The names of the options, without those that only remove something.
fn keys() -> Vec<String> {
    let names =
        |command: Command| -> Vec<String> { command.get_arguments().filter_map(|option| option.get_long().map(str::to_owned)).collect() };
    let taking_out = names(Without::augment_args(Command::default()));
    let mut keys = names(Request::augment_args(Command::default()));
    keys.retain(|key| !taking_out.contains(key));
    keys
}

fn said(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    let key = line.and_then(|line| text.lines().nth(line - 1)?.split_once('=')).map(|(key, _)| key.trim());
    // The message for invalid TOML says itself what is wrong.
    let key = key.filter(|key| keys().iter().any(|known| known == key)).map(|key| format!("{key}: ")).unwrap_or_default();
    format!("{at}{key}{}", error.message().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::cpus::Cpus;

    #[test]
    fn a_file_says_what_the_options_say() {
        let text = "# a comment\ngpu = \"01:00.0\"\nmemory = \"16G\"\ncpus = \"auto\"\ndisk = [\"/a\", \"/b\"]\nhugepages = true\ncore-kind = \"any\"\nos = \"win11\"\n";
        let request = Request::from_toml(text).unwrap();
        assert_eq!((request.memory, request.cpus, request.disk.len()), ("16G".parse().ok(), Some(Cpus::Auto), 2));
        assert_eq!(Request::from_toml(&request.to_toml()).unwrap(), request);
        assert_eq!(Request::from_toml("memory = 8192\ncpus = 6").unwrap().memory, "8G".parse().ok());
        assert_eq!(Request::from_toml("autostart = false").unwrap().autostart, Some(false));
    }

    /// A record with an unknown key is refused, so every key that is written must be known.
    #[test]
    fn every_key_that_is_written_is_known() {
        let text = "gpu = \"01:00.0\"\ngpu-audio = \"01:00.1\"\nhandover = true\npci = \"03:00.0\"\nusb = \"1:2\"\nkeyboard = \"1:2\"\n\
            mouse = \"1:2\"\nmemory = \"8G\"\ncpus = 4\npin = true\ncore-kind = \"any\"\nhide-kvm = false\nmove-interrupts = false\nguest-numa = false\nio-threads = 2\nhugepage-size = \"1G\"\nhugepages = true\n\
            disk = \"/a\"\ncdrom = \"/a\"\nvirtio-iso = \"/a\"\nloader = \"/a\"\nnvram-template = \"/a\"\nemulator = \"/a\"\n\
            os = \"win11\"\ntitle = \"a\"\ndescription = \"a\"\nautostart = true\nrom = \"/a\"\nmdev = \"a\"\nevdev = \"/a\"\nevdev-toggle = \"alt-alt\"\n\
            looking-glass = \"1920x1080\"\ndisplay = \"spice\"\niommufd = \"auto\"\nnetwork = \"user\"\nshare = \"/a\"\nshare-smb = \"/a\"\nsound = \"pipewire\"\ndisk-cache = \"none\"\ndisk-discard = \"ignore\"\n\
            detect-zeroes = true\nnetwork-queues = 2\n";
        let request = Request::from_toml(text).unwrap();
        let written = serde_json::to_value(&request).unwrap();
        let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), text.lines().count(), "{keys:?}");
        assert_eq!(Request::unknown_key(keys.iter().copied()), None);
        assert_eq!(Request::unknown_key([&"no-gpu".to_owned()]), Some("no-gpu"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text| Request::from_toml(text).unwrap_err();
        assert_eq!(wrong("# x\n\nmemroy = \"8G\""), "line 3: unknown key 'memroy'; did you mean 'memory'?");
        assert!(wrong("xyzzyxyzzy = 1").contains("known keys are os, memory"), "{}", wrong("xyzzyxyzzy = 1"));
        assert!(wrong("cpus = 4\nmemory = \"lots\"").starts_with("line 2: "), "{}", wrong("cpus = 4\nmemory = \"lots\""));
        assert!(wrong("no-disk = true").contains("not allowed here") && wrong("= 1").starts_with("line 1: "));
        assert!(wrong("cpus = 0").contains("not a valid number of vCPUs"), "{}", wrong("cpus = 0"));
    }
}
