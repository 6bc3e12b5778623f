//! The files in `templates/profiles`, and the templates: complete, valid libvirt domains.

use std::sync::LazyLock;

use serde::Deserialize;

/// The profiles by name, sorted; `build.rs` lists them.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/profiles.rs"));

/// The files in `templates` by name, sorted; `build.rs` lists them.
const TEMPLATES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The template with this name; empty if there is none.
pub fn template(name: &str) -> &'static str {
    TEMPLATES.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text)
}

/// The properties of a domain for a guest system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Profile {
    /// The systems that it is for, in words.
    what: String,
    /// Its other names, in lower case and without blanks, dashes and underscores. A `*` at the end is any version.
    aliases: Vec<String>,
    /// Another profile that provides the values missing here.
    like: Option<String>,
    /// The template that a new domain is made from.
    template: Option<String>,
    /// Its id in libosinfo's database, which virt-manager uses.
    osinfo: Option<String>,
    /// The Hyper-V enlightenments.
    enlightenments: Option<Vec<String>>,
    /// Whether its setup requires Secure Boot.
    secure_boot: Option<bool>,
    /// Whether it has a TPM 2.0.
    tpm: Option<bool>,
}

static PROFILES: LazyLock<Vec<(&str, Profile)>> = LazyLock::new(|| {
    // A test checks that every file can be parsed; one that cannot would be ignored.
    let read = |(name, text): &(&'static str, &str)| Some((*name, toml::from_str::<Profile>(text).ok()?));
    let own: Vec<(&str, Profile)> = FILES.iter().filter_map(read).collect();
    own.iter().map(|(name, profile)| (*name, completed(profile, &own))).collect()
});

/// A profile, completed with the values of the profile in `like`.
fn completed(profile: &Profile, all: &[(&str, Profile)]) -> Profile {
    let other = profile.like.as_deref().and_then(|like| all.iter().find(|(name, _)| *name == like));
    let Some((_, other)) = other else { return profile.clone() };
    let own = profile.clone();
    Profile {
        what: own.what,
        aliases: own.aliases,
        like: own.like,
        template: own.template.or_else(|| other.template.clone()),
        osinfo: own.osinfo.or_else(|| other.osinfo.clone()),
        enlightenments: own.enlightenments.or_else(|| other.enlightenments.clone()),
        secure_boot: own.secure_boot.or(other.secure_boot),
        tpm: own.tpm.or(other.tpm),
    }
}

impl Profile {
    /// The names of all profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FILES.iter().map(|(name, _)| *name)
    }

    /// All profiles with their names.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static Self)> {
        PROFILES.iter().map(|(name, profile)| (*name, profile))
    }

    /// The profile with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|(known, _)| *known == name).map(|(_, profile)| profile)
    }

    /// The name of the profile that people call this: `Windows 11`, `ubuntu24.04`.
    pub fn name_of(called: &str) -> Option<&'static str> {
        let simple: String = called.to_lowercase().chars().filter(|letter| !" -_".contains(*letter)).collect();
        let is_version = |rest: &str| rest.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
        let is_meant = |alias: &String| match alias.strip_suffix('*') {
            Some(system) => simple.strip_prefix(system).is_some_and(is_version),
            None => *alias == simple,
        };
        let is_one = |(name, profile): &&(&str, Profile)| *name == simple || profile.aliases.iter().any(is_meant);
        PROFILES.iter().find(is_one).map(|(name, _)| *name)
    }

    /// The systems that it is for, in words.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The name of its template.
    pub fn template(&self) -> &str {
        self.template.as_deref().unwrap_or_default()
    }

    /// Its id in libosinfo's database.
    pub fn osinfo(&self) -> Option<&str> {
        self.osinfo.as_deref()
    }

    /// The Hyper-V enlightenments that the domain should have.
    pub fn enlightenments(&self) -> &[String] {
        self.enlightenments.as_deref().unwrap_or_default()
    }

    /// Whether its setup requires UEFI with Secure Boot.
    pub fn secure_boot(&self) -> bool {
        self.secure_boot.unwrap_or_default()
    }

    /// Whether it has a TPM 2.0.
    pub fn tpm(&self) -> bool {
        self.tpm.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_can_be_read() {
        for (name, text) in FILES {
            let read: Result<Profile, _> = toml::from_str(text);
            assert!(read.is_ok(), "{name}: {read:?}");
            let profile = Profile::named(name).unwrap();
            assert!(!crate::domain::template(profile.template()).is_empty(), "{name}: no template");
            assert!(profile.like.as_deref().is_none_or(|like| Profile::named(like).is_some_and(|other| other.like.is_none())), "{name}");
        }
        let aliases: Vec<&String> = PROFILES.iter().flat_map(|(_, profile)| &profile.aliases).collect();
        assert!(aliases.iter().all(|alias| alias.chars().all(|letter| !letter.is_uppercase() && !" -_".contains(letter))), "{aliases:?}");
        assert_eq!(aliases.len(), aliases.iter().collect::<std::collections::BTreeSet<_>>().len(), "an alias stands twice");
        assert!(PROFILES.iter().all(|(name, profile)| !profile.what.is_empty() && Profile::name_of(name) == Some(name)));
        let eleven = Profile::named("win11").unwrap();
        assert!(eleven.tpm() && eleven.secure_boot() && eleven.enlightenments().len() > 10);
    }
}
