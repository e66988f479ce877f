//! Words, widths and numbers: what every output for people needs.

use rust_decimal::Decimal;
use tabled::grid::util::string::get_char_width;

use crate::model::usd;

/// Whether a character would be invisible, move the cursor or reorder the text around it.
///
/// Tag values may hold any of them; a value that displays as something else than it is would get a
/// change approved that nobody has seen.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with every control, invisible and direction-changing character as `\u{..}`.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// A value in quotes, escaped; with `…` behind them when it takes more than `max` columns.
pub fn quote(text: &str, max: usize) -> String {
    let mut shown = String::from("\"");
    let mut used = 0;
    let mut end = "\"";
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let piece = match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if is_deceptive(c) => c.escape_unicode().to_string(),
            c => c.to_string(),
        };
        // A combining mark has no width of its own, but a hundred of them are no value to show.
        let piece_width = width(&piece).max(1);
        let room = max.saturating_sub(usize::from(characters.peek().is_some()));
        if used + piece_width > room {
            end = "\"…";
            break;
        }
        used += piece_width;
        shown.push_str(&piece);
    }
    shown + end
}

/// Columns that the text takes on a terminal: character by character, as terminals count.
pub fn width(text: &str) -> usize {
    text.chars().map(get_char_width).sum()
}

/// The beginning of the text, with `…` when it takes more than `max` columns.
pub fn cut(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut kept = take(text.chars(), max.saturating_sub(1));
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    kept
}

/// The end of the text, with a leading `…` when it takes more than `max` columns.
pub fn cut_left(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let tail = take(text.chars().rev(), max.saturating_sub(1));
    let tail: String = tail.chars().rev().collect();
    format!("…{}", tail.trim_start())
}

fn take(characters: impl Iterator<Item = char>, max: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|c| {
            used += get_char_width(*c);
            used <= max
        })
        .collect()
}

/// Fills the text up to `max` columns with spaces.
pub fn pad(text: &str, max: usize) -> String {
    format!("{text}{}", " ".repeat(max.saturating_sub(width(text))))
}

/// Joins words that [`wrap`] must not part. [`escape`] leaves no such space in foreign text.
const SOLID: char = '\u{a0}';

/// The text as one word for [`wrap`].
pub fn solid(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// The text with ordinary spaces again, where it is not wrapped.
pub fn loose(text: &str) -> String {
    text.replace(SOLID, " ")
}

/// A number keeps its unit: the space in `12.6 %` and `40.00 USD` does not break.
fn keep_units(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ') {
        let unit = word.starts_with('%') || word.starts_with("USD");
        let number = out.ends_with(|c: char| c.is_ascii_digit());
        if !out.is_empty() {
            out.push(if unit && number { SOLID } else { ' ' });
        }
        out.push_str(word);
    }
    out
}

/// Breaks the text at spaces into lines of at most `max` columns; a longer word is broken after
/// punctuation or before a capital, else where it has to be.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let kept = keep_units(text);
    for word in kept.split(' ').filter(|w| !w.is_empty()) {
        let mut word = word;
        let joined = width(&line) + usize::from(!line.is_empty()) + width(word);
        if joined > max && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > max {
            let head = take(word.chars(), max);
            let at = joint(word, head.len());
            let (first, rest) = word.split_at(at.max(1));
            lines.push(first.to_owned());
            word = rest;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    for line in &mut lines {
        *line = loose(line);
    }
    lines
}

/// Where a word that is too long is best broken, if that is in its second half.
fn joint(word: &str, longest: usize) -> usize {
    word.chars()
        .zip(word.char_indices().skip(1))
        .take_while(|(_, (i, _))| *i <= longest)
        .filter(|(before, (_, after))| {
            "/:-_.,\u{a0}".contains(*before) || before.is_lowercase() && after.is_uppercase()
        })
        .map(|(_, (i, _))| i)
        .last()
        .filter(|i| *i > longest / 2)
        .unwrap_or(longest)
}

/// `1234567` as `1,234,567`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 rule`, `2 rules`.
pub fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// `table, json and markdown`.
pub fn one_of<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// The first `max` items, and how many there are beyond them.
pub fn list<S: AsRef<str>>(items: &[S], max: usize) -> String {
    let shown: Vec<&str> = items.iter().take(max).map(AsRef::as_ref).collect();
    let text = shown.join(", ");
    match items.len() - shown.len() {
        0 => text,
        more => format!("{text} … and {} more", number(more as u64)),
    }
}

/// The amount of a decimal string, if it is one.
pub fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text.trim()).ok()
}

/// `+12.40` or `-12.40`; `None` where nothing is left after rounding to cents.
pub fn signed_usd(amount: Decimal) -> Option<String> {
    let cents = amount.round_dp(2);
    if cents.is_zero() {
        None
    } else if cents.is_sign_negative() {
        Some(usd(cents))
    } else {
        Some(format!("+{}", usd(cents)))
    }
}

/// `0.8 s`, `12 s`, `3 min 05 s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..60_000 => format!("{} s", ms / 1000),
        _ => format!("{} min {:02} s", ms / 60_000, ms / 1000 % 60),
    }
}
