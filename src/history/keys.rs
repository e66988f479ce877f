//! Which findings were there, remembered in few bytes: six of a digest for each, and no more than
//! [`MOST`] of them. Of more, those with the smallest digests are kept, which is a fair sample: for
//! any digest up to the largest kept one it is known whether it was there, for others it is not.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Digests of one line.
pub const MOST: usize = 4_000;

const BYTES: usize = 6;

/// The digest of a finding. Two of 100,000 findings have the same one in about one account of 56,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; BYTES]);

impl Key {
    pub fn of(parts: &[&str]) -> Key {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let mut key = [0; BYTES];
        key.copy_from_slice(&hash.finalize()[..BYTES]);
        Key(key)
    }
}

/// Digests with the day on which each was first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// By day (`2026-11-22`): the digests in order, in base64.
    days: BTreeMap<String, String>,
    /// The largest digest of which anything is known, in hexadecimal; absent: of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to: Option<String>,
}

/// What is remembered of one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory<'a> {
    /// Since this day.
    Seen(&'a str),
    NotSeen,
    /// There were too many findings to remember this one.
    Unknown,
}

impl Keys {
    pub fn new<'a>(seen: impl IntoIterator<Item = (Key, &'a str)>, most: usize) -> Keys {
        let mut all: BTreeMap<Key, &str> = BTreeMap::new();
        for (key, day) in seen {
            let first = all.entry(key).or_insert(day);
            *first = (*first).min(day);
        }
        let up_to = (all.len() > most)
            .then(|| all.keys().nth(most.saturating_sub(1)).copied())
            .flatten();
        let mut days: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (key, day) in all.into_iter().take(most) {
            days.entry(day.to_owned()).or_default().extend(key.0);
        }
        Keys {
            days: days
                .into_iter()
                .map(|(day, bytes)| (day, STANDARD.encode(bytes)))
                .collect(),
            up_to: up_to.map(|key| hex::encode(key.0)),
        }
    }

    /// Ready to be asked. What is not as it was written is not remembered.
    pub fn open(&self) -> Opened<'_> {
        let mut seen = BTreeMap::new();
        for (day, text) in &self.days {
            let bytes = STANDARD.decode(text).unwrap_or_default();
            for chunk in bytes.chunks_exact(BYTES) {
                let mut key = [0; BYTES];
                key.copy_from_slice(chunk);
                seen.insert(Key(key), day.as_str());
            }
        }
        let up_to = self.up_to.as_ref().map(|text| {
            let mut key = [0; BYTES];
            // A bound that cannot be read bounds everything.
            let _ = hex::decode_to_slice(text, &mut key);
            Key(key)
        });
        Opened { seen, up_to }
    }

    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.up_to.is_none()
    }
}

/// [`Keys`] that can be looked up.
#[derive(Debug, Default)]
pub struct Opened<'a> {
    seen: BTreeMap<Key, &'a str>,
    up_to: Option<Key>,
}

impl<'a> Opened<'a> {
    pub fn recall(&self, key: Key) -> Memory<'a> {
        match self.seen.get(&key) {
            Some(day) => Memory::Seen(day),
            None if self.up_to.is_some_and(|last| key > last) => Memory::Unknown,
            None => Memory::NotSeen,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Key, &'a str)> {
        self.seen.iter().map(|(key, day)| (*key, *day))
    }

    /// Only a part is remembered.
    pub fn is_sample(&self) -> bool {
        self.up_to.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::of(&["tags.missing", &format!("prod/x/{n}")])
    }

    #[test]
    fn what_was_seen_is_recalled_with_its_day() {
        let keys = Keys::new(
            [
                (key(1), "2026-11-01"),
                (key(2), "2026-11-08"),
                (key(1), "2026-11-09"),
            ],
            10,
        );
        let text = serde_json::to_string(&keys).unwrap();
        let back: Keys = serde_json::from_str(&text).unwrap();
        let opened = back.open();
        assert_eq!(opened.recall(key(1)), Memory::Seen("2026-11-01"));
        assert_eq!(opened.recall(key(2)), Memory::Seen("2026-11-08"));
        assert_eq!(opened.recall(key(3)), Memory::NotSeen);
        assert!(!opened.is_sample());
    }

    #[test]
    fn of_too_many_a_sample_is_kept_and_the_rest_is_unknown() {
        let keys = Keys::new((0..1000).map(|n| (key(n), "2026-11-01")), 100);
        assert!(serde_json::to_string(&keys).unwrap().len() < 900);
        let opened = keys.open();
        let count = |wanted: fn(&Memory) -> bool, range: std::ops::Range<u32>| {
            range.filter(|n| wanted(&opened.recall(key(*n)))).count()
        };
        assert_eq!(count(|m| matches!(m, Memory::Seen(_)), 0..1000), 100);
        // Nothing that was there is ever taken for new.
        assert_eq!(count(|m| *m == Memory::NotSeen, 0..1000), 0);
        // About a tenth of what is new can be told.
        let new = count(|m| *m == Memory::NotSeen, 1000..2000);
        assert!((60..140).contains(&new), "{new}");
        assert!(opened.is_sample());
    }

    #[test]
    fn what_was_tampered_with_is_not_remembered() {
        let keys: Keys =
            serde_json::from_str(r#"{"days": {"2026-11-01": "%%%"}, "up_to": "zz"}"#).unwrap();
        assert_eq!(keys.open().recall(key(1)), Memory::Unknown);
    }
}
