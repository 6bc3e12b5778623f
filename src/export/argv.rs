//! libvirt's command line, made easy to compare.

/// One option with its value a line; what is set for QEMU's environment is left out.
pub fn one_a_line(native: &str) -> String {
    let lines = native.lines().map(|line| line.trim().trim_end_matches('\\').trim_end());
    let is_setting =
        |line: &str| line.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
    lines.filter(|line| !line.is_empty() && !is_setting(line)).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn options() {
        let native = "LC_ALL=C \\\nPATH=/bin \\\n/usr/bin/qemu-system-x86_64 \\\n-name guest=a,b=c \\\n-S \\\n-m size=1\n";
        assert_eq!(super::one_a_line(native), "/usr/bin/qemu-system-x86_64\n-name guest=a,b=c\n-S\n-m size=1\n");
    }
}
