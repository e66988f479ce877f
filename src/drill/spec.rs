//! One drill as the policy describes it, with the defaults filled in.

use std::time::Duration;

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use super::expect::Expect;
use crate::cloud::Target;
use crate::config::Resolved;
use crate::config::later::{Connect, DrillMethod, Restore};

/// Ends a drill that nobody limited.
pub const TIMEOUT: Duration = Duration::from_secs(3 * 3600);
/// Ends the statement of a check that nobody limited.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(60);
/// USD that a drill may cost where nobody said otherwise.
pub const COST_USD: i64 = 5;

/// What is restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceId {
    Rds(String),
    Aurora(String),
    DynamoDb(String),
    Dump { bucket: String, prefix: String },
}

impl SourceId {
    /// # Errors
    /// The text is not a source.
    pub fn parse(text: &str) -> Result<SourceId, String> {
        let refuse = || format!("`{text}` is not a source");
        let (kind, rest) = text.split_once(':').ok_or_else(refuse)?;
        if rest.is_empty() {
            return Err(refuse());
        }
        Ok(match kind {
            "rds" | "aurora" | "dynamodb" if rest.starts_with("arn:") => {
                return Err(format!(
                    "`{text}`: a source is named by its name, not by its ARN"
                ));
            }
            "rds" => SourceId::Rds(rest.to_owned()),
            "aurora" => SourceId::Aurora(rest.to_owned()),
            "dynamodb" => SourceId::DynamoDb(rest.to_owned()),
            "s3-dump" if rest.starts_with("s3://") => {
                return Err(format!("`{text}`: leave out the `s3://`"));
            }
            "s3-dump" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(refuse());
                }
                SourceId::Dump {
                    bucket: bucket.to_owned(),
                    prefix: prefix.to_owned(),
                }
            }
            _ => return Err(refuse()),
        })
    }
}

/// One check: a query with one value, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub sql: String,
    /// As it was written.
    pub expect: String,
    pub expectation: Expect,
}

/// One check of a DynamoDB table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableCheck {
    /// The number of items, within so many percent of the source's.
    Items { within: Decimal },
    /// Keys of the source that the copy has to have, but for so many percent.
    Sample { keys: u32, missing: Decimal },
    /// The newest time in an attribute.
    Newest {
        attribute: String,
        max_age: Duration,
    },
}

/// `"1%"`, `"0.5%"`: 0 to 100.
fn percent(text: &str) -> Result<Decimal, String> {
    text.trim()
        .strip_suffix('%')
        .and_then(|number| number.trim_end().parse::<Decimal>().ok())
        .filter(|n| *n >= Decimal::ZERO && *n <= Decimal::from(100))
        .ok_or_else(|| format!("`{text}` is not a share like \"1%\" or \"0.5%\""))
}

/// Most keys of a sample.
pub const MOST_KEYS: u32 = 1000;

impl TableCheck {
    /// # Errors
    /// A share or a number that is none.
    pub fn of(check: &crate::config::later::Check) -> Result<TableCheck, String> {
        if let Some(within) = &check.items_within {
            return Ok(TableCheck::Items {
                within: percent(within).map_err(|e| format!("items_within: {e}"))?,
            });
        }
        if let Some(newest) = &check.newest {
            if newest.attribute.is_empty() {
                return Err("newest: the attribute has no name".to_owned());
            }
            return Ok(TableCheck::Newest {
                attribute: newest.attribute.clone(),
                max_age: newest.max_age.0,
            });
        }
        let keys = check.sample.unwrap_or_default();
        if keys == 0 || keys > MOST_KEYS {
            return Err(format!("sample: {keys} is not in 1 to {MOST_KEYS}"));
        }
        let missing = check
            .missing_within
            .as_ref()
            .map(|m| percent(m))
            .transpose();
        Ok(TableCheck::Sample {
            keys,
            missing: missing
                .map_err(|e| format!("missing_within: {e}"))?
                .unwrap_or_default(),
        })
    }
}

/// One drill of one environment.
#[derive(Debug, Clone)]
pub struct Spec {
    pub name: String,
    pub project: String,
    pub target: Target,
    pub id: SourceId,
    /// As it was written: `s3-dump:bucket/prefix`.
    pub source: String,
    pub method: DrillMethod,
    pub rto: Option<Duration>,
    pub rpo: Option<Duration>,
    pub restore: Restore,
    pub connect: Option<Connect>,
    /// For everything but the cleanup.
    pub timeout: Duration,
    pub check_timeout: Duration,
    pub cost_usd: Decimal,
    /// `drill_every`: how long a passed drill counts.
    pub every: Option<Duration>,
    pub checks: Vec<Check>,
    /// Of a table, instead of `checks`.
    pub table_checks: Vec<TableCheck>,
    /// Where it was written, and the SHA-256 of that file.
    pub policy_file: String,
    pub policy_line: u32,
    pub policy_sha256: String,
}

impl Spec {
    pub fn database(&self) -> &str {
        let given = self.connect.as_ref().and_then(|c| c.database.as_deref());
        given.unwrap_or("drill")
    }

    pub fn user(&self) -> &str {
        let given = self.connect.as_ref().and_then(|c| c.user.as_deref());
        given.unwrap_or("postgres")
    }

    /// A drill `orders` of account 123456789012, without checks.
    #[cfg(test)]
    pub fn sample(source: &str) -> Spec {
        Spec {
            name: "orders".to_owned(),
            project: "shop".to_owned(),
            target: Target {
                environment: "prod".to_owned(),
                account: "123456789012".to_owned(),
                regions: vec!["eu-west-1".to_owned()],
                profile: None,
                role_arn: None,
                external_id: None,
            },
            id: SourceId::parse(source).unwrap(),
            source: source.to_owned(),
            method: DrillMethod::default(),
            rto: None,
            rpo: None,
            restore: Restore::default(),
            connect: None,
            timeout: TIMEOUT,
            check_timeout: CHECK_TIMEOUT,
            cost_usd: Decimal::from(COST_USD),
            every: None,
            checks: Vec::new(),
            table_checks: Vec::new(),
            policy_file: "policies/backups.toml".to_owned(),
            policy_line: 1,
            policy_sha256: "00".to_owned(),
        }
    }

    /// The drills of one environment, in the order of their names.
    ///
    /// # Errors
    /// Those that validation would have found.
    pub fn all(target: &Target, resolved: &Resolved) -> Result<Vec<Spec>, String> {
        let Some(backups) = &resolved.policies.backups else {
            return Ok(Vec::new());
        };
        let mut out = Vec::new();
        for (name, drill) in &backups.drill {
            let origin = drill.source.origin;
            let file = resolved.sources.get(origin.source);
            let at = |e: String| format!("{}: drill `{name}`: {e}", resolved.sources.place(origin));
            let id = SourceId::parse(&drill.source).map_err(at)?;
            let is_table = matches!(id, SourceId::DynamoDb(_));
            let table_checks = match is_table {
                true => drill.check.iter().map(TableCheck::of).collect(),
                false => Ok(Vec::new()),
            };
            let mut checks = Vec::new();
            for check in drill.check.iter().filter(|_| !is_table) {
                let (Some(sql), Some(expect)) = (&check.sql, &check.expect) else {
                    return Err(at("a check needs `sql` and `expect`".to_owned()));
                };
                checks.push(Check {
                    sql: sql.clone(),
                    expect: expect.value.clone(),
                    expectation: Expect::parse(expect).map_err(at)?,
                });
            }
            let limits = drill.limits.as_ref();
            let objective = drill.objective.as_ref();
            out.push(Spec {
                name: name.clone(),
                project: resolved.project.clone(),
                target: target.clone(),
                id,
                source: drill.source.value.clone(),
                method: drill.method,
                rto: objective.and_then(|o| o.rto).map(|p| p.0),
                rpo: objective.and_then(|o| o.rpo).map(|p| p.0),
                restore: drill.restore.clone().unwrap_or_default(),
                connect: drill.connect.clone(),
                timeout: limits.and_then(|l| l.timeout).map_or(TIMEOUT, |p| p.0),
                check_timeout: limits
                    .and_then(|l| l.check_timeout)
                    .map_or(CHECK_TIMEOUT, |p| p.0),
                cost_usd: limits
                    .and_then(|l| l.cost_usd.as_ref())
                    .map_or_else(|| Decimal::from(COST_USD), |a| a.0),
                every: backups.drill_every.as_ref().map(|p| p.value.0),
                checks,
                table_checks: table_checks.map_err(at)?,
                policy_file: file.name.clone(),
                policy_line: resolved.sources.line(origin),
                policy_sha256: hex::encode(Sha256::digest(file.text.as_bytes())),
            });
        }
        Ok(out)
    }
}
