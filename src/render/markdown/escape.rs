//! Text that stays text in Markdown: no markup, no HTML, nobody mentioned.

use crate::render::text::escape;

/// Breaks a mention or an issue reference without showing. GitHub looks for them after Markdown is
/// rendered, where a backslash or an entity for `@` is gone.
const BREAK: &str = "&#8203;";

/// Text for a paragraph or a table cell.
pub(in crate::render) fn text(raw: &str) -> String {
    let raw = escape(raw);
    let mut safe = String::with_capacity(raw.len());
    let mut characters = raw.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '@' => {
                safe.push('@');
                safe.push_str(BREAK);
            }
            // What looks like an address of a page becomes a link without any markup.
            ':' if characters.clone().take(2).eq("//".chars()) => {
                safe.push(':');
                safe.push_str(BREAK);
            }
            '.' if ends_in_www(&safe) => {
                safe.push_str(BREAK);
                safe.push('.');
            }
            '#' if characters.peek().is_some_and(char::is_ascii_digit) => {
                safe.push('#');
                safe.push_str(BREAK);
            }
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '#' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Text inside an HTML element, where Markdown is not read.
pub(super) fn html(raw: &str) -> String {
    escape(raw)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', &format!("@{BREAK}"))
        .replace("://", &format!(":{BREAK}//"))
}

fn ends_in_www(text: &str) -> bool {
    let tail = text.len().checked_sub(3).and_then(|at| text.get(at..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case("www"))
}

/// A name in a typewriter face. What a pair of backticks cannot hold goes into an element.
pub(in crate::render) fn code(raw: &str) -> String {
    if raw.is_empty() {
        return "–".to_owned();
    }
    if raw.contains(['`', '|']) {
        format!("<code>{}</code>", text(raw))
    } else {
        format!("`{}`", escape(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_link() {
        assert_eq!(
            text("https://evil.example/x"),
            "https:&#8203;//evil.example/x"
        );
        assert_eq!(text("see WWW.evil.com"), "see WWW&#8203;.evil.com");
        assert_eq!(text("at 10:30. Now."), "at 10:30. Now.");
        assert_eq!(html("https://evil.example"), "https:&#8203;//evil.example");
    }
}
