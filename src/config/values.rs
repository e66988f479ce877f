//! The kinds of values that policies are made of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::node::{SOURCED, SOURCED_FIELDS};
use super::source::Origin;
use crate::inventory::Resource;

/// A value that knows where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub origin: Origin,
}

impl<T> std::ops::Deref for Sourced<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sourced<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for V<T> {
            type Value = Sourced<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a value with its place")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Sourced<T>, A::Error> {
                let mut part = || -> Result<u32, A::Error> {
                    map.next_entry::<String, u32>()?
                        .map(|(_, number)| number)
                        .ok_or_else(|| de::Error::custom("no place"))
                };
                let origin = Origin {
                    source: part()?,
                    start: part()?,
                    end: part()?,
                };
                let (_, value) = map
                    .next_entry::<String, T>()?
                    .ok_or_else(|| de::Error::custom("no value"))?;
                Ok(Sourced { value, origin })
            }
        }
        deserializer.deserialize_struct(SOURCED, &SOURCED_FIELDS, V(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Sourced<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

macro_rules! text_value {
    ($name:ident, $inner:ty, $expecting:literal, $parse:expr, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Result<$inner, String> = $parse;
                parse(&text).map($name).map_err(de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "description": $expecting, "pattern": $pattern})
            }
        }
    };
}

/// A length of time, written like `"15m"`, `"24h"`, `"30d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

text_value!(
    Period,
    Duration,
    "A length of time like \"15m\", \"24h\" or \"30d\".",
    |text| humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a length of time like \"15m\", \"24h\" or \"30d\"")),
    "^[0-9]"
);

/// A day, written like `"2027-03-31"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub jiff::civil::Date);

text_value!(
    Day,
    jiff::civil::Date,
    "A day like \"2027-03-31\".",
    |text| text
        .parse()
        .ok()
        .filter(|_| text.len() == 10)
        .ok_or_else(|| format!("`{text}` is not a day like \"2027-03-31\"")),
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
);

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(pub regex_lite::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

text_value!(
    Pattern,
    regex_lite::Regex,
    "A regular expression.",
    |text| regex_lite::Regex::new(text).map_err(|e| format!("not a regular expression: {e}")),
    ".*"
);

/// `N of M` data points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datapoints(pub (u32, u32));

text_value!(
    Datapoints,
    (u32, u32),
    "How many breaching points out of how many, like \"3 of 5\".",
    |text| {
        let parsed = text
            .split_once(" of ")
            .and_then(|(m, n)| Some((m.trim().parse().ok()?, n.trim().parse().ok()?)));
        match parsed {
            Some((m, n)) if 0 < m && m <= n => Ok((m, n)),
            _ => Err(format!("`{text}` is not like \"3 of 5\"")),
        }
    },
    "^[0-9]+ of [0-9]+$"
);

/// A glob (`*`, `?`, `[ab]`, `{a,b}`), as in `match`.
#[derive(Debug, Clone)]
pub struct NameGlob(pub GlobMatcher);

impl PartialEq for NameGlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

text_value!(
    NameGlob,
    GlobMatcher,
    "A name, globs allowed.",
    |text| if text.is_empty() {
        Err("an empty name matches nothing".to_owned())
    } else {
        Glob::new(text)
            .map(|g| g.compile_matcher())
            .map_err(|e| format!("not a glob: {}", e.kind()))
    },
    ".*"
);

/// A string, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for V<T> {
            type Value = OneOrMany<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let text: de::value::StrDeserializer<'_, E> =
                    de::IntoDeserializer::into_deserializer(text);
                Ok(OneOrMany(vec![T::deserialize(text)?]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = seq.next_element()? {
                    all.push(item);
                }
                if all.is_empty() {
                    return Err(de::Error::custom("an empty list matches nothing"));
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(V(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}

type Globs = OneOrMany<NameGlob>;

/// Which resources a rule is for: all keys must match, any value of a key suffices.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    #[serde(rename = "type")]
    pub kind: Option<Globs>,
    pub name: Option<Globs>,
    pub not_name: Option<Globs>,
    /// The resource has this tag with one of these values.
    #[serde(default)]
    pub tag: BTreeMap<String, Globs>,
    /// The resource does not have this tag with one of these values.
    #[serde(default)]
    pub not_tag: BTreeMap<String, Globs>,
    pub region: Option<Globs>,
    pub arn: Option<Globs>,
}

impl Globs {
    fn hit(&self, text: &str) -> bool {
        self.0.iter().any(|glob| glob.0.is_match(text))
    }
}

/// Whether a resource is meant; `Unknown` where that hangs on tags that were not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    Yes,
    No,
    Unknown,
}

impl Match {
    /// No key narrows it: it is for every resource.
    pub fn is_everything(&self) -> bool {
        let open = |globs: &Option<Globs>| {
            globs
                .as_ref()
                .is_none_or(|g| g.0.iter().any(|glob| glob.0.glob().glob() == "*"))
        };
        open(&self.kind)
            && open(&self.name)
            && open(&self.region)
            && open(&self.arn)
            && self.not_name.is_none()
            && self.tag.is_empty()
            && self.not_tag.is_empty()
    }

    pub fn resource(&self, resource: &Resource) -> Matched {
        let plain = [
            (&self.kind, resource.kind.as_str()),
            (&self.name, &resource.name),
            (&self.region, &resource.region),
            (&self.arn, &resource.arn),
        ];
        if plain
            .iter()
            .any(|(globs, text)| globs.as_ref().is_some_and(|g| !g.hit(text)))
            || self
                .not_name
                .as_ref()
                .is_some_and(|g| g.hit(&resource.name))
        {
            return Matched::No;
        }
        if self.tag.is_empty() && self.not_tag.is_empty() {
            return Matched::Yes;
        }
        let Some(tags) = resource.tags.known() else {
            return Matched::Unknown;
        };
        let has = |(key, globs): (&String, &Globs)| tags.get(key).is_some_and(|v| globs.hit(v));
        if self.tag.iter().all(has) && !self.not_tag.iter().any(has) {
            Matched::Yes
        } else {
            Matched::No
        }
    }
}
