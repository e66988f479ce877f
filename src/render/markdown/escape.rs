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
