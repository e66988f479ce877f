//! Long output on a terminal, a screen at a time, the way git shows its logs.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

/// The program that the user wants, if any: `OPSCTL_PAGER`, else `PAGER`, else `less`; an empty
/// one or `cat` is none. With its arguments, which are split at spaces, as no shell is asked.
fn program(env: impl Fn(&str) -> Option<String>) -> Option<Vec<String>> {
    let wanted = env("OPSCTL_PAGER")
        .or_else(|| env("PAGER"))
        .unwrap_or_else(|| "less".to_owned());
    let words: Vec<String> = wanted.split_whitespace().map(str::to_owned).collect();
    match words.first().map(String::as_str) {
        None | Some("cat") => None,
        Some(_) => Some(words),
    }
}

/// Whether a text needs a pager on a screen of so many rows; the prompt takes one of them.
fn is_long(text: &str, rows: u16) -> bool {
    text.lines().count() >= usize::from(rows)
}

/// Shows a text in the pager. `false`: it fits the screen, none is wanted, or none could be
/// started; then nothing was written.
pub fn show(text: &str) -> bool {
    let Some((_, rows)) = terminal_size::terminal_size_of(std::io::stdout()) else {
        return false;
    };
    if !is_long(text, rows.0) {
        return false;
    }
    let Some(words) = program(|name| std::env::var(name).ok()) else {
        return false;
    };
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::piped());
    // Colours shown as such, the screen left as it was: what git sets where the user has not.
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", "FRX");
    }
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    if let Some(mut input) = child.stdin.take()
        && let Err(e) = input.write_all(text.as_bytes())
        // The reader has seen enough.
        && e.kind() != ErrorKind::BrokenPipe
    {
        tracing::warn!("{}: {e}", words[0]);
    }
    // Its own exit code says nothing about ours.
    let _ = child.wait();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Option<Vec<String>> {
        program(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn the_more_particular_wish_wins() {
        assert_eq!(with(&[]), Some(vec!["less".to_owned()]));
        assert_eq!(with(&[("PAGER", "more")]), Some(vec!["more".to_owned()]));
        let both = [("PAGER", "more"), ("OPSCTL_PAGER", "most -w")];
        assert_eq!(with(&both), Some(vec!["most".to_owned(), "-w".to_owned()]));
        assert_eq!(with(&[("PAGER", "more"), ("OPSCTL_PAGER", "")]), None);
        assert_eq!(with(&[("PAGER", "cat")]), None);
    }

    #[test]
    fn what_fits_with_the_prompt_is_not_paged() {
        assert!(!is_long("a\nb\n", 3));
        assert!(is_long("a\nb\nc\n", 3));
    }
}
