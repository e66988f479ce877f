//! `policies/backups.toml`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::config::policy::OwnedElsewhere;
use crate::config::source::Diagnostic;
use crate::config::values::{Match, Period, Sourced};
use crate::config::workspace::is_region;
use crate::drill::expect::Expect;
use crate::drill::source::Stop;
use crate::drill::spec::{SourceId, TableCheck};
use crate::drill::way::leads_to_the_copy;
use crate::model::Amount;

/// `[backups]`
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Days that RDS and Aurora keep automated backups, 0 to 35; one that is longer already stays.
    pub retention_days: Option<Sourced<u32>>,
    /// Of RDS instances and clusters: switched on where it is off; never switched off.
    pub deletion_protection: Option<Sourced<bool>>,
    /// Of RDS instances and clusters: switched on where it is off; never switched off.
    pub copy_tags_to_snapshot: Option<Sourced<bool>>,
    /// Of DynamoDB tables: switched on where it is off; never switched off.
    pub point_in_time_recovery: Option<Sourced<bool>>,
    /// Buckets that are versioned; if left out, those named `*backup*`, `*-dump` or `*-dumps`.
    pub versioned_buckets: Option<Sourced<Match>>,
    /// The automated backups of RDS instances are replicated to this region.
    pub copy_to_region: Option<Sourced<String>>,
    /// The key in that region for copies of encrypted instances, an ARN or `alias/…`;
    /// `alias/aws/rds` if left out.
    pub copy_kms_key: Option<Sourced<String>>,
    /// A database whose newest recovery point is older is a finding.
    pub snapshot_max_age: Option<Sourced<Period>>,
    /// A source with no passed drill this recent is a finding.
    pub drill_every: Option<Sourced<Period>>,
    /// Whether the databases of the environment hold production data; if left out, its name tells.
    pub production: Option<bool>,
    #[serde(default)]
    pub owned_elsewhere: OwnedElsewhere,
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
    /// DB parameter group of the copy; the source's if left out.
    pub parameter_group: Option<String>,
    /// Aurora: DB cluster parameter group; the source's if left out.
    pub cluster_parameter_group: Option<String>,
    /// The source's if left out.
    pub option_group: Option<String>,
    /// DynamoDB: with the secondary indexes of the source; without if left out, which is cheaper and
    /// faster, and tells less about the time that a real recovery takes.
    #[serde(default)]
    pub indexes: bool,
    /// A PostgreSQL to restore dumps into, instead of a scratch one.
    pub scratch: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    pub database: Option<String>,
    /// The master user if left out, whose password is set to a random one on the copy.
    pub user: Option<String>,
    /// Environment variable with the user's own password; no password is set on the copy then.
    pub password_env: Option<String>,
    /// PEM file with the certificate authorities that the server's certificate has to come from,
    /// such as the bundle of RDS; without it TLS is used where the server has it, and any
    /// certificate is taken.
    pub ca_file: Option<String>,
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
    /// For the whole drill but its cleanup; "3h" if left out.
    pub timeout: Option<Period>,
    /// For the statement of one check; "60s" if left out.
    pub check_timeout: Option<Period>,
    /// A drill that is estimated to cost more does not begin; 5 if left out.
    pub cost_usd: Option<Amount>,
}

/// Of a database `sql` and `expect`; of a DynamoDB table one of `items_within`, `sample`, `newest`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub sql: Option<String>,
    pub expect: Option<Sourced<String>>,
    /// DynamoDB: every item of the copy is read and counted; the number is that of the source within
    /// this share, such as `"1%"`. DynamoDB's own number of the source is up to six hours old.
    pub items_within: Option<Sourced<String>>,
    /// DynamoDB: so many keys are read from the source and looked up in the copy, 1 to 1000.
    pub sample: Option<u32>,
    /// With `sample`: the share that may be missing, such as `"2%"`; none if left out.
    pub missing_within: Option<Sourced<String>>,
    /// DynamoDB: the newest value of a time in the copy.
    pub newest: Option<Newest>,
}

/// A time that items carry.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// A number of seconds, milliseconds or microseconds since 1970, or text like
    /// `2026-11-22T08:00:00Z` or `2026-11-22`.
    pub attribute: String,
    /// At the time of the check.
    pub max_age: Period,
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
        if let Some(region) = &self.copy_to_region
            && !is_region(region)
        {
            out.push(Diagnostic::error(
                region.origin,
                format!("`{}` is not a region like eu-central-1", region.value),
            ));
        }
        if let Some(key) = &self.copy_kms_key
            && !(key.starts_with("arn:") || key.starts_with("alias/"))
        {
            out.push(
                Diagnostic::error(key.origin, format!("`{}` is not a key", key.value))
                    .with_help("the ARN of a key in the region of the copies, or alias/NAME"),
            );
        }
        for (name, period) in [
            ("snapshot_max_age", &self.snapshot_max_age),
            ("drill_every", &self.drill_every),
        ] {
            if let Some(period) = period
                && period.0.is_zero()
            {
                let message = format!("`{name}` is longer than no time at all");
                out.push(Diagnostic::error(period.origin, message));
            }
        }
        for (name, drill) in &self.drill {
            out.extend(drill.check(name));
        }
        out
    }
}

impl Drill {
    fn check(&self, name: &str) -> Vec<Diagnostic> {
        let mut out = Vec::new();
        let origin = self.source.origin;
        let wrong =
            |message: String| Diagnostic::error(origin, format!("drill `{name}`: {message}"));
        let id = SourceId::parse(&self.source);
        if let Err(e) = &id {
            out.push(
                wrong(e.clone())
                    .with_help("rds:NAME, aurora:NAME, dynamodb:NAME or s3-dump:BUCKET/PREFIX"),
            );
        }
        let file_safe = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 60 || !name.chars().all(file_safe) {
            out.push(wrong(
                "a name has letters, digits, - and _, at most 60".to_owned(),
            ));
        }
        if let Some(limits) = &self.limits {
            // What `statement_timeout` of PostgreSQL takes; 0 would be no limit at all.
            let millis = limits.check_timeout.as_ref().map(|t| t.0.as_millis());
            if millis.is_some_and(|m| !(1..=2_147_483_647).contains(&m)) {
                out.push(wrong(
                    "limits.check_timeout is between 1 ms and 24 days".to_owned(),
                ));
            }
            // A run without any time fails, and that would be a false word about the backup.
            let short = std::time::Duration::from_secs(1);
            if limits.timeout.as_ref().is_some_and(|t| t.0 < short) {
                out.push(wrong("limits.timeout is at least one second".to_owned()));
            }
            if limits
                .cost_usd
                .as_ref()
                .is_some_and(|c| c.0.is_sign_negative())
            {
                out.push(wrong("limits.cost_usd is not negative".to_owned()));
            }
        }
        let sql = !matches!(id, Ok(SourceId::DynamoDb(_)));
        if let Some(connect) = &self.connect {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let variable = connect.password_env.as_deref().unwrap_or("A");
            if variable.is_empty() || !variable.chars().all(plain) {
                out.push(wrong(
                    "connect.password_env is the name of an environment variable, not a password"
                        .to_owned(),
                ));
            }
            if let Err(Stop::CouldNotRun(why, _)) = leads_to_the_copy(&connect.via) {
                out.push(wrong(why));
            }
        }
        out.extend(self.unused(&id).map(|what| {
            Diagnostic::warning(
                origin,
                format!("drill `{name}`: {what} means nothing for this source"),
            )
        }));
        if let Some(scratch) = self.restore.as_ref().and_then(|r| r.scratch.as_ref())
            && !["postgres://", "postgresql://"]
                .iter()
                .any(|scheme| scratch.starts_with(scheme))
        {
            out.push(wrong(
                "`scratch` is the URL of a PostgreSQL server: \"postgres://user@host/database\""
                    .to_owned(),
            ));
        }
        for check in &self.check {
            if let Err(e) = check.fits(sql) {
                out.push(wrong(e));
                continue;
            }
            if !sql {
                continue;
            }
            match &check.expect {
                Some(expect) => {
                    if let Err(e) = Expect::parse(expect) {
                        let text = format!("drill `{name}`: {e}");
                        out.push(Diagnostic::error(expect.origin, text).with_help(
                            "begin with a comparison: \"> 0\", \"= 42\", \"<= 24\", \"!= 'failed'\", \"between 1 and 5\"",
                        ));
                    }
                }
                None => out.push(wrong("a check without `expect` proves nothing".to_owned())),
            }
            if check.sql.as_ref().is_none_or(|text| text.trim().is_empty()) {
                out.push(wrong("a check needs `sql`".to_owned()));
            }
        }
        out
    }
}

impl Drill {
    /// A setting that the source has no use for: somebody may count on it.
    fn unused(&self, id: &Result<SourceId, String>) -> Option<String> {
        let restore = self.restore.as_ref();
        let of_databases = restore.and_then(|r| {
            [
                ("instance_class", r.instance_class.is_some()),
                ("subnet_group", r.subnet_group.is_some()),
                ("parameter_group", r.parameter_group.is_some()),
            ]
            .iter()
            .find(|(_, given)| *given)
            .map(|(key, _)| format!("restore.{key}"))
        });
        let scratch = restore
            .and_then(|r| r.scratch.as_ref())
            .map(|_| "restore.scratch".to_owned());
        match id {
            Ok(SourceId::Dump { .. }) => of_databases,
            Ok(SourceId::DynamoDb(_)) => of_databases
                .or(scratch)
                .or_else(|| self.connect.as_ref().map(|_| "connect".to_owned())),
            Ok(_) => scratch,
            Err(_) => None,
        }
    }
}

impl Check {
    /// Whether its keys are those of a database or of a table.
    fn fits(&self, sql: bool) -> Result<(), String> {
        let of_tables = [
            ("items_within", self.items_within.is_some()),
            ("sample", self.sample.is_some()),
            ("newest", self.newest.is_some()),
        ];
        let given: Vec<&str> = of_tables
            .iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| *name)
            .collect();
        if sql {
            let more = self.missing_within.as_ref().map(|_| "missing_within");
            return match given.first().copied().or(more) {
                Some(name) => Err(format!(
                    "`{name}` is for DynamoDB tables; this one takes `sql`"
                )),
                None => Ok(()),
            };
        }
        if self.sql.is_some() || self.expect.is_some() {
            return Err(
                "a table has no SQL: a check has `items_within`, `sample` or `newest`".to_owned(),
            );
        }
        match given[..] {
            [_] => {}
            [] => {
                return Err(
                    "a check of a table has one of `items_within`, `sample` and `newest`"
                        .to_owned(),
                );
            }
            _ => {
                return Err(format!(
                    "a check has one of these, and this one has {}: write two checks",
                    given.join(" and ")
                ));
            }
        }
        TableCheck::of(self).map(drop)
    }
}
