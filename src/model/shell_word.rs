//! Quoting for commands that users paste into a shell.

/// A name or path, quoted as one shell word if necessary.
pub fn shell_word(name: &str) -> String {
    let is_plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.+:@%/".contains(letter));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word() {
        for (name, word) in [("win10", "win10"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(shell_word(name), word);
        }
    }
}
