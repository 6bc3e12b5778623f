//! libvirt's XML as it prints it: one element a line, always alike.

/// What is written of one domain and not of the other, line by line; vgapt's own record left out.
pub(crate) fn changes(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let only_in = |one: &str, other: &str| {
        let mut rest: Vec<String> = lines(one);
        for line in lines(other) {
            if let Some(at) = rest.iter().position(|known| *known == line) {
                rest.remove(at);
            }
        }
        rest
    };
    (only_in(before, after), only_in(after, before))
}

fn lines(xml: &str) -> Vec<String> {
    xml.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("<vgapt:domain")).map(str::to_owned).collect()
}

/// The elements of this name, whole, each on one line.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let flat = flat(xml);
    let (open, close) = (format!("<{name} "), format!("</{name}>"));
    flat.match_indices(&open).filter_map(|(from, _)| Some(flat[from..from + flat[from..].find(&close)? + close.len()].to_owned())).collect()
}

/// All of it but the elements of this name, which have others in them.
pub(crate) fn without(xml: &str, name: &str) -> String {
    let mut xml = xml.to_owned();
    let close = format!("</{name}>");
    let find = |xml: &str, open: String| {
        let from = xml.find(&open)?;
        Some(from..from + xml[from..].find(&close)? + close.len())
    };
    while let Some(element) = [' ', '>'].into_iter().find_map(|next| find(&xml, format!("<{name}{next}"))) {
        xml.replace_range(element, "");
    }
    xml
}

/// All of it on one line, without the space between elements.
pub(crate) fn flat(xml: &str) -> String {
    xml.lines().map(str::trim).collect()
}
