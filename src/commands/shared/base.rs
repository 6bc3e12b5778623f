//! What a definition starts from: the domain as it is, or a template.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::context::Context;
use super::existing::Existing;
use super::request_file::working_directory;
use super::user_file;
use crate::domain::{self, Base, NewDomain, Origin, Os, Profile, Request};
use crate::problem::Problem;
use crate::xml::Document;

/// Where a definition starts.
pub(in crate::commands) enum Start<'a> {
    /// This domain is changed.
    Domain(&'a Existing),
    /// A new one is made, from the user's file or from vgapt's template; the UUID of a domain that it replaces is kept.
    Template { file: Option<&'a Path>, uuid: Option<String> },
}

/// The base of the domain with this name.
pub(in crate::commands) fn of(context: &Context, name: &str, start: Start, given: &Request) -> Result<Base> {
    let variables = domain::from_environment().map_err(|what| Problem::usage(what, "correct the variable, or unset it"))?;
    let variables = variables.with_absolute_paths(&working_directory()?.to_string_lossy());
    let (domain, new) = match start {
        Start::Domain(existing) => (existing.document.clone(), None),
        Start::Template { file, uuid } => {
            // The user's template has a profile only if a guest system is named.
            let os = given.os.clone().or(file.is_none().then(Os::default));
            let profile = os.as_ref().and_then(Os::profile);
            (template(file, profile)?, Some(NewDomain { uuid, profile }))
        }
    };
    Ok(Base::define(Origin { domain, name, uri: context.uri().as_str(), new }, given, &variables))
}

fn template(file: Option<&Path>, profile: Option<&Profile>) -> Result<Document> {
    let Some(file) = file else {
        let name = profile.map(Profile::template).unwrap_or_default();
        return Document::parse(domain::template(name))
            .map_err(|what| anyhow::anyhow!("vgapt's built-in template cannot be parsed: {what}"));
    };
    let shown = file.display();
    let text = user_file::read(file).with_context(|| format!("cannot read the template {shown}"))?;
    let domain = Document::parse(&text).map_err(|what| {
        Problem::new(format!("{shown}: {what}"), "a template is a complete libvirt domain; virt-xml-validate checks one")
    })?;
    if domain.root().name() != "domain" {
        return Err(Problem::new(
            format!("{shown} holds a <{}>, not a <domain>", domain.root().name()),
            "a template is a complete libvirt domain, as `virsh dumpxml` prints one",
        )
        .into());
    }
    Ok(domain)
}
