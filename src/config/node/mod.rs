//! A TOML value in which every key and value knows its file and span, which can be laid over
//! another, and from which serde reads typed policies without losing the places.

mod reading;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de;
use toml::de::{DeTable, DeValue};

pub(super) use self::reading::{SOURCED, SOURCED_FIELDS};
use crate::config::source::{Diagnostic, Origin};

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub origin: Origin,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// A date or time, as written.
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

pub type Table = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: Origin,
    pub node: Node,
}

fn origin(source: u32, span: Range<usize>) -> Origin {
    Origin {
        source,
        start: span.start as u32,
        end: span.end as u32,
    }
}

/// Parses a file; all its syntax errors at once.
pub fn parse(source: u32, text: &str) -> Result<Node, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .take(20)
            .map(|e| {
                let span = e.span().unwrap_or(0..0);
                let mut d = Diagnostic::error(origin(source, span), e.message().trim());
                if e.message().contains("recurs") {
                    d.message = "nested too deeply: 80 levels are the most".to_owned();
                }
                d
            })
            .collect());
    }
    let span = table.span();
    Ok(Node {
        origin: origin(source, span),
        value: Value::Table(convert_table(source, table.into_inner())),
    })
}

fn convert_table(source: u32, table: DeTable<'_>) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let entry = Entry {
                key: origin(source, key.span()),
                node: convert(source, value),
            };
            (key.into_inner().into_owned(), entry)
        })
        .collect()
}

fn convert(source: u32, value: toml::Spanned<DeValue<'_>>) -> Node {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::String(s) => Value::String(s.into_owned()),
        DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
            Ok(i) => Value::Integer(i),
            // Larger than 64 bits: as text, no typed field accepts it, and the message shows it.
            Err(_) => Value::Datetime(i.to_string()),
        },
        DeValue::Float(f) => f
            .as_str()
            .parse()
            .map_or_else(|_| Value::Datetime(f.to_string()), Value::Float),
        DeValue::Boolean(b) => Value::Boolean(b),
        DeValue::Datetime(d) => Value::Datetime(d.to_string()),
        DeValue::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| convert(source, item))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(source, table)),
    };
    Node {
        origin: origin(source, span),
        value,
    }
}

impl Node {
    pub fn empty_table(origin: Origin) -> Node {
        Node {
            origin,
            value: Value::Table(Table::new()),
        }
    }

    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Lays `over` on top: tables key by key, all else replaced whole.
    pub fn overlay(&mut self, over: Node) {
        match (&mut self.value, over.value) {
            (Value::Table(base), Value::Table(layer)) => {
                for (key, entry) in layer {
                    match base.get_mut(&key) {
                        Some(existing) => existing.node.overlay(entry.node),
                        None => {
                            base.insert(key, entry);
                        }
                    }
                }
            }
            (_, value) => {
                self.value = value;
                self.origin = over.origin;
            }
        }
    }

    /// All values that are not tables, with their dotted paths.
    pub fn leaves(&self) -> Vec<(String, &Node)> {
        fn walk<'a>(path: &str, node: &'a Node, out: &mut Vec<(String, &'a Node)>) {
            match &node.value {
                Value::Table(table) if !table.is_empty() => {
                    for (key, entry) in table {
                        let key = if key
                            .chars()
                            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
                            && !key.is_empty()
                        {
                            key.clone()
                        } else {
                            format!("{key:?}")
                        };
                        let path = if path.is_empty() {
                            key
                        } else {
                            format!("{path}.{key}")
                        };
                        walk(&path, &entry.node, out);
                    }
                }
                _ => out.push((path.to_owned(), node)),
            }
        }
        let mut out = Vec::new();
        walk("", self, &mut out);
        out
    }

    /// The value as TOML writes it, on one line.
    pub fn to_toml(&self) -> String {
        match &self.value {
            Value::String(s) => toml::Value::String(s.clone()).to_string(),
            Value::Integer(i) => i.to_string(),
            Value::Float(f) => f.to_string(),
            Value::Boolean(b) => b.to_string(),
            Value::Datetime(d) => d.clone(),
            Value::Array(items) => format!(
                "[{}]",
                items
                    .iter()
                    .map(Node::to_toml)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Value::Table(table) if table.is_empty() => "{}".to_owned(),
            Value::Table(table) => format!(
                "{{ {} }}",
                table
                    .iter()
                    .map(|(k, e)| format!("{k} = {}", e.node.to_toml()))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    /// Applies `f` to every string value in the tree.
    pub fn map_strings(&mut self, f: &mut impl FnMut(&str, Origin) -> Option<String>) {
        match &mut self.value {
            Value::String(text) => {
                if let Some(new) = f(text, self.origin) {
                    *text = new;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|n| n.map_strings(f)),
            Value::Table(table) => table.values_mut().for_each(|e| e.node.map_strings(f)),
            _ => {}
        }
    }

    /// Removes the entry whose key or value stands at `place`.
    fn remove_at(&mut self, place: Origin) -> bool {
        match &mut self.value {
            Value::Table(table) => {
                let hit = table
                    .iter()
                    .find(|(_, e)| e.key == place || e.node.origin == place)
                    .map(|(k, _)| k.clone());
                match hit {
                    Some(key) => table.remove(&key).is_some(),
                    None => table.values_mut().any(|e| e.node.remove_at(place)),
                }
            }
            Value::Array(items) => match items.iter().position(|n| n.origin == place) {
                Some(at) => {
                    items.remove(at);
                    true
                }
                None => items.iter_mut().any(|n| n.remove_at(place)),
            },
            _ => false,
        }
    }

    /// Reads a typed value.
    ///
    /// # Errors
    /// Every mistake that can be told apart, not only the first: after one is noted it is taken
    /// out and the rest is read again.
    pub fn read<T: de::DeserializeOwned>(&self) -> Result<T, Vec<Diagnostic>> {
        let mut errors: Vec<Diagnostic> = Vec::new();
        let mut node = self.clone();
        loop {
            match T::deserialize(&node) {
                Ok(value) if errors.is_empty() => return Ok(value),
                Ok(_) => return Err(errors),
                Err(e) => {
                    let place = e.origin.unwrap_or(self.origin);
                    // What is missing only because it was taken out above is no news.
                    if errors.is_empty() || !e.message.starts_with("missing field") {
                        let mut d = Diagnostic::error(place, e.message);
                        d.help = e.help;
                        errors.push(d);
                    }
                    if errors.len() >= 20 || !node.remove_at(place) {
                        return Err(errors);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::Sourced;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: Sourced<String>,
        #[serde(default)]
        keep: Option<i64>,
    }

    #[test]
    fn values_keep_their_places_through_layers() {
        let mut base = parse(0, "name = \"a\"\nkeep = 1\n").unwrap();
        base.overlay(parse(1, "\n\nname = \"b\"\n").unwrap());
        let sample: Sample = base.read().unwrap();
        assert_eq!(sample.name.value, "b");
        assert_eq!(
            (sample.name.origin.source, sample.name.origin.start),
            (1, 9)
        );
        assert_eq!(sample.keep, Some(1));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let node = parse(0, "name = 5\nkepe = 1\n").unwrap();
        let errors = node.read::<Sample>().unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        let unknown = errors.iter().find(|e| e.message.contains("kepe")).unwrap();
        assert_eq!(unknown.help.as_deref(), Some("did you mean `keep`?"));
        assert_eq!(unknown.origin.unwrap().start, 9);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let errors = parse(0, &text).unwrap_err();
        assert!(
            errors[0].message.contains("nested too deeply"),
            "{errors:?}"
        );
    }
}
