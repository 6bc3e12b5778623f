//! Resolving symbolic links inside a tree, without leaving it.

/// How many links the kernel follows before it returns `ELOOP`.
const MOST_LINKS: usize = 40;
/// The maximum length of a path or a link's target (`PATH_MAX`), including its terminator.
pub(super) const LONGEST: usize = 4096;

/// The real path of `path`; `link_at` returns the target of a link at a path without links.
/// `None` if there is a loop of links, or a path is too long for the kernel.
pub(super) fn resolve(path: &str, follow_last: bool, mut link_at: impl FnMut(&str) -> Option<String>) -> Option<String> {
    if path.len() >= LONGEST {
        return None;
    }
    let mut place: Vec<String> = Vec::new();
    let mut ahead: Vec<String> = components(path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        match name.as_str() {
            "." => continue,
            ".." => {
                place.pop();
                continue;
            }
            _ => place.push(name),
        }
        if ahead.is_empty() && !follow_last {
            break;
        }
        let Some(target) = link_at(&joined(&place)) else { continue };
        links += 1;
        if links > MOST_LINKS || target.len() >= LONGEST {
            return None;
        }
        if target.starts_with('/') {
            place.clear();
        } else {
            place.pop();
        }
        ahead.extend(components(&target));
    }
    Some(joined(&place))
}

/// The last component of a link's target.
pub(super) fn last_component(target: &str) -> Option<String> {
    target.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The components of a path, the first one last.
fn components(path: &str) -> Vec<String> {
    path.split('/').filter(|name| !name.is_empty()).rev().map(str::to_owned).collect()
}

fn joined(place: &[String]) -> String {
    format!("/{}", place.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(path: &str) -> Option<String> {
        let target = match path {
            "/bus/0" => "../devices/a",
            "/abs" => "/devices/a",
            "/out" => "../../../../etc",
            "/loop" => "loop",
            _ => return None,
        };
        Some(target.to_owned())
    }

    #[test]
    fn follows_links_and_stays_inside() {
        assert_eq!(resolve("/bus/0/class", true, tree).unwrap(), "/devices/a/class");
        assert_eq!(resolve("/abs/../b", true, tree).unwrap(), "/devices/b");
        assert_eq!(resolve("/out/passwd", true, tree).unwrap(), "/etc/passwd");
        assert_eq!(resolve("/bus/0", false, tree).unwrap(), "/bus/0");
        assert_eq!(resolve("/loop/x", true, tree), None);
        let long = "a/".repeat(100_000);
        assert_eq!(resolve("/x", true, |place| (place == "/x").then(|| long.clone())), None);
        assert_eq!(resolve(&long, true, tree), None);
    }
}
