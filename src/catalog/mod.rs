//! Every kind of finding: what it means, why it matters, how to fix it.
//!
//! One file per control, one [`Entry`] per id, sorted by id. The ids are stable: baselines and the
//! histories of code scanning hang on them.

mod alarms;
mod backups;
mod budgets;
mod cost;
mod lifecycle;
mod readiness;
mod tags;

use crate::config::source::suggest;
use crate::model::Control;

/// One kind of finding. All texts are plain sentences without markup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// `control.kebab-case`.
    pub id: &'static str,
    /// One line, without a full stop.
    pub title: &'static str,
    /// What is the case when it is reported.
    pub means: &'static str,
    /// What happens if it stays so.
    pub matters: &'static str,
    pub fix: &'static str,
}

/// The controls with what each reports, in the order in which they are listed.
pub const ALL: [(Control, &[Entry]); 7] = [
    (Control::Tags, tags::FINDINGS),
    (Control::Budgets, budgets::FINDINGS),
    (Control::Lifecycle, lifecycle::FINDINGS),
    (Control::Alarms, alarms::FINDINGS),
    (Control::Backups, backups::FINDINGS),
    (Control::Cost, cost::FINDINGS),
    (Control::Readiness, readiness::FINDINGS),
];

/// All entries, by control.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    ALL.iter().flat_map(|(_, entries)| entries.iter())
}

/// The entry of an id.
pub fn find(id: &str) -> Option<&'static Entry> {
    entries().find(|e| e.id == id)
}

/// The id that was probably meant: a similar one, or the only one that ends like that.
pub fn nearest(id: &str) -> Option<&'static str> {
    let tail = |e: &&Entry| e.id.split_once('.').is_some_and(|(_, t)| t == id);
    let mut same = entries().filter(tail);
    match (same.next(), same.next()) {
        (Some(only), None) => Some(only.id),
        _ => suggest(id, entries().map(|e| e.id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_complete_sorted_and_in_the_right_file() {
        for (control, entries) in ALL {
            for pair in entries.windows(2) {
                assert!(
                    pair[0].id < pair[1].id,
                    "{} before {}",
                    pair[1].id,
                    pair[0].id
                );
            }
            for entry in entries {
                let (head, tail) = entry.id.split_once('.').unwrap();
                assert_eq!(head, control.as_str(), "{}", entry.id);
                assert!(
                    tail.chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                    "{}",
                    entry.id
                );
                assert!(
                    !entry.title.ends_with('.') && entry.title.len() < 80,
                    "{}",
                    entry.id
                );
                for text in [entry.means, entry.matters, entry.fix] {
                    assert!(
                        text.ends_with('.') && text.len() > 30,
                        "{}: {text}",
                        entry.id
                    );
                    assert!(
                        !text.contains("  ") && !text.contains('\n'),
                        "{}: {text}",
                        entry.id
                    );
                }
            }
        }
    }

    #[test]
    fn a_misspelled_id_is_recognised() {
        assert_eq!(nearest("tags.mising"), Some("tags.missing"));
        assert_eq!(
            nearest("forecast-over-budget"),
            Some("cost.forecast-over-budget")
        );
        assert_eq!(nearest("x"), None);
    }
}
