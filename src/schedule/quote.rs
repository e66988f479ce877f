//! Quoting for what the schedulers' files are read by.

pub use crate::audit::pending::shell;

/// A YAML scalar: the JSON of a text is one.
pub fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// One line of a comment.
pub fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Letters, digits and `-`; never empty.
pub fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if out.ends_with('-') || out.is_empty() => {}
            _ => out.push('-'),
        }
    }
    let out = out.trim_end_matches('-');
    match out {
        "" => "x".to_owned(),
        slug => slug.to_owned(),
    }
}

/// One argument of `ExecStart=`: systemd expands `%` and, but for the program, `$`.
pub fn systemd(text: &str, program: bool) -> String {
    let mut text = text.replace('\\', "\\\\").replace('%', "%%");
    if !program {
        text = text.replace('$', "$$");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%$".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("\"{}\"", text.replace('"', "\\\"")),
    }
}

/// A command in a crontab: `%` would end it.
pub fn crontab(command: &str) -> String {
    command.replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in [
            "",
            "plain/path.toml",
            "it's",
            "a b",
            "$HOME `x` \"y\" \\",
            "50%",
            "-e",
        ] {
            let out = std::process::Command::new("sh")
                .args(["-c", &format!("printf '%s' {}", shell(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }

    #[test]
    fn slugs_are_plain_and_never_empty() {
        assert_eq!(slug("FinDash / EU (prod)"), "findash-eu-prod");
        assert_eq!(slug("é—"), "x");
    }
}
