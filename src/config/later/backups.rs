//! `policies/backups.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::config::source::Diagnostic;
use crate::config::values::{Period, Sourced};
use crate::model::Amount;

/// `[backups]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// 0 to 35.
    pub retention_days: Option<Sourced<u32>>,
    pub deletion_protection: Option<bool>,
    pub copy_tags_to_snapshot: Option<bool>,
    pub point_in_time_recovery: Option<bool>,
    pub copy_to_region: Option<String>,
    pub snapshot_max_age: Option<Period>,
    /// A source with no passed drill this recent is a finding.
    pub drill_every: Option<Period>,
    #[serde(default)]
    pub drill: BTreeMap<String, Drill>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// `rds:`, `aurora:` or `dynamodb:` and a name, or `s3-dump:bucket/prefix`.
    pub source: Sourced<String>,
    #[serde(default)]
    pub method: DrillMethod,
    pub objective: Option<Objective>,
    pub restore: Option<Restore>,
    pub connect: Option<Connect>,
    pub limits: Option<Limits>,
    #[serde(default)]
    pub check: Vec<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrillMethod {
    #[default]
    Snapshot,
    PointInTime,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    pub rto: Option<Period>,
    pub rpo: Option<Period>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    pub instance_class: Option<String>,
    pub subnet_group: Option<String>,
    #[serde(default)]
    pub security_groups: Vec<String>,
    pub parameter_group: Option<String>,
    /// A PostgreSQL to restore dumps into, instead of a scratch one.
    pub scratch: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    pub database: Option<String>,
    pub user: Option<String>,
    #[serde(default)]
    pub via: Via,
}

/// How the restored copy is reached: `"direct"`, `"host:port"`, or `{ command = "…" }`.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Via {
    #[default]
    Direct,
    Address(String),
    Command(String),
}

impl<'de> Deserialize<'de> for Via {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> de::Visitor<'de> for V {
            type Value = Via;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("\"direct\", \"host:port\" or { command = \"…\" }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Via, E> {
                match text {
                    "direct" => Ok(Via::Direct),
                    _ if text.rsplit_once(':').is_some_and(|(host, port)| {
                        !host.is_empty() && port.parse::<u16>().is_ok()
                    }) =>
                    {
                        Ok(Via::Address(text.to_owned()))
                    }
                    _ => Err(E::custom(format!(
                        "`{text}` is neither \"direct\" nor \"host:port\""
                    ))),
                }
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Via, A::Error> {
                let mut command = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "command" {
                        return Err(de::Error::unknown_field(&key, &["command"]));
                    }
                    command = Some(map.next_value()?);
                }
                command
                    .map(Via::Command)
                    .ok_or_else(|| de::Error::missing_field("command"))
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl JsonSchema for Via {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Via".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "\"direct\", \"host:port\", or a command that opens a tunnel.",
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"command": {"type": "string"}},
                 "required": ["command"], "additionalProperties": false}
            ]
        })
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub timeout: Option<Period>,
    pub cost_usd: Option<Amount>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub sql: Option<String>,
    pub expect: Option<Sourced<String>>,
}

impl Backups {
    pub fn check(&self) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        if let Some(days) = &self.retention_days
            && days.value > 35
        {
            out.push(Diagnostic::error(
                days.origin,
                "RDS keeps automated backups for 0 to 35 days",
            ));
        }
        for (name, drill) in &self.drill {
            let kinds = ["rds:", "aurora:", "dynamodb:", "s3-dump:"];
            if !kinds.iter().any(|k| {
                drill
                    .source
                    .strip_prefix(k)
                    .is_some_and(|rest| !rest.is_empty())
            }) {
                out.push(
                    Diagnostic::error(
                        drill.source.origin,
                        format!("drill `{name}`: `{}` is not a source", drill.source.value),
                    )
                    .with_help("rds:NAME, aurora:NAME, dynamodb:NAME or s3-dump:BUCKET/PREFIX"),
                );
            }
            for check in &drill.check {
                if let Some(expect) = &check.expect
                    && !["<", ">", "=", "!"]
                        .iter()
                        .any(|op| expect.trim_start().starts_with(op))
                {
                    out.push(
                        Diagnostic::error(
                            expect.origin,
                            format!("drill `{name}`: `{}` is not an expectation", expect.value),
                        )
                        .with_help(
                            "begin with a comparison: \"> 0\", \"= 42\", \"<= 24\", \"!= 0\"",
                        ),
                    );
                }
            }
        }
        out
    }
}
