//! Paths of a script.

/// `./a` and `../a` from a folder; an absolute path stays.
pub(in crate::import) fn joined(folder: &str, path: &str) -> String {
    if path.starts_with(['/', '$']) {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
