//! Reads typed values from a [`Node`], keeping the place of every mistake.

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{Entry, Node, Value};
use crate::config::source::{Origin, suggest};

/// A serde error with the place where it arose.
#[derive(Debug)]
pub struct NodeError {
    pub message: String,
    pub origin: Option<Origin>,
    pub help: Option<String>,
}

impl std::fmt::Display for NodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NodeError {}

impl de::Error for NodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        NodeError {
            message: message.to_string(),
            origin: None,
            help: None,
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        NodeError {
            message: format!("unknown key `{field}`"),
            origin: None,
            help: Some(suggestion(field, expected)),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        NodeError {
            message: format!("unknown value `{variant}`"),
            origin: None,
            help: Some(suggestion(variant, expected)),
        }
    }
}

fn suggestion(written: &str, expected: &'static [&'static str]) -> String {
    match suggest(written, expected.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if expected.is_empty() => "nothing may stand here".to_owned(),
        None => format!("one of: {}", expected.join(", ")),
    }
}

impl NodeError {
    fn at(mut self, origin: Origin) -> Self {
        self.origin.get_or_insert(origin);
        self
    }
}

/// The struct name by which [`crate::config::values::Sourced`] asks for the origin of its value.
pub(in crate::config) const SOURCED: &str = "$opsctl::Sourced";
pub(in crate::config) const SOURCED_FIELDS: [&str; 4] = ["source", "start", "end", "value"];

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = NodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        let result = match &self.value {
            Value::String(s) | Value::Datetime(s) => visitor.visit_str(s),
            Value::Integer(i) => visitor.visit_i64(*i),
            Value::Float(f) => visitor.visit_f64(*f),
            Value::Boolean(b) => visitor.visit_bool(*b),
            Value::Array(items) => visitor.visit_seq(Seq(items.iter())),
            Value::Table(table) => visitor.visit_map(Map {
                entries: table.iter(),
                next: None,
            }),
        };
        result.map_err(|e| e.at(self.origin))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        match &self.value {
            Value::String(s) => visitor
                .visit_enum(s.as_str().into_deserializer())
                .map_err(|e: NodeError| e.at(self.origin)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NodeError> {
        if name == SOURCED {
            visitor.visit_map(SourcedMap { node: self, at: 0 })
        } else {
            self.deserialize_any(visitor)
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Seq<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Seq<'de> {
    type Error = NodeError;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, NodeError> {
        self.0
            .next()
            .map(|node| seed.deserialize(node).map_err(|e| e.at(node.origin)))
            .transpose()
    }
}

struct Map<'de> {
    entries: std::collections::btree_map::Iter<'de, String, Entry>,
    next: Option<&'de Entry>,
}

impl<'de> de::MapAccess<'de> for Map<'de> {
    type Error = NodeError;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, NodeError> {
        let Some((key, entry)) = self.entries.next() else {
            return Ok(None);
        };
        self.next = Some(entry);
        let key: de::value::StrDeserializer<'de, NodeError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|e| e.at(entry.key))
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NodeError> {
        let entry = self
            .next
            .take()
            .ok_or_else(|| de::Error::custom("value asked before key"))?;
        seed.deserialize(&entry.node)
            .map_err(|e| e.at(entry.node.origin))
    }
}

struct SourcedMap<'de> {
    node: &'de Node,
    at: usize,
}

impl<'de> de::MapAccess<'de> for SourcedMap<'de> {
    type Error = NodeError;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, NodeError> {
        let Some(name) = SOURCED_FIELDS.get(self.at) else {
            return Ok(None);
        };
        self.at += 1;
        let key: de::value::StrDeserializer<'de, NodeError> = (*name).into_deserializer();
        seed.deserialize(key).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NodeError> {
        let origin = self.node.origin;
        let number = match self.at {
            1 => origin.source,
            2 => origin.start,
            3 => origin.end,
            _ => return seed.deserialize(self.node).map_err(|e| e.at(origin)),
        };
        let number: de::value::U32Deserializer<NodeError> = number.into_deserializer();
        seed.deserialize(number)
    }
}
