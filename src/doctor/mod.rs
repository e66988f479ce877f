//! What has to be in order before anything else can be: judged from what was asked, without asking.
//!
//! Every answer is one of three: it is in order, it is not, or it could not be told. The last is never
//! counted as the first.

pub mod account;
pub mod command;
pub mod permissions;
pub mod services;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cloud::ApiUse;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Problem,
    /// It could not be told.
    Unknown,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Problem => "problem",
            State::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Empty: not of one environment.
    pub environment: String,
    /// `credentials`, `account-guard`, `permissions-plan`, …
    pub check: String,
    pub state: State,
    /// What was seen.
    pub found: String,
    /// Why it matters.
    pub why: String,
    /// What to do, in words; empty where it is in order.
    pub fix: String,
    /// The commands that do it, in their order, ready to be pasted into a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

impl Check {
    pub fn ok(environment: &str, check: &str, found: impl Into<String>, why: &str) -> Check {
        Check {
            environment: environment.to_owned(),
            check: check.to_owned(),
            state: State::Ok,
            found: found.into(),
            why: why.to_owned(),
            fix: String::new(),
            commands: Vec::new(),
        }
    }

    /// The same, with the commands that fix it.
    pub fn run(self, commands: impl IntoIterator<Item = Option<String>>) -> Check {
        Check {
            commands: commands.into_iter().flatten().collect(),
            ..self
        }
    }

    /// The same, not in order.
    pub fn problem(self, found: impl Into<String>, fix: impl Into<String>) -> Check {
        Check {
            state: State::Problem,
            found: found.into(),
            fix: fix.into(),
            ..self
        }
    }

    /// The same, and it could not be told.
    pub fn unknown(self, found: impl Into<String>, fix: impl Into<String>) -> Check {
        Check {
            state: State::Unknown,
            found: found.into(),
            fix: fix.into(),
            ..self
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorSummary {
    pub ok: u64,
    pub problem: u64,
    pub unknown: u64,
}

/// Where it was looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    pub environment: String,
    pub account: String,
    pub region: String,
    pub stage: String,
}

/// All that was looked at, with what was left out on purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub format_version: String,
    /// `doctor`
    pub kind: String,
    pub opsctl_version: String,
    /// RFC 3339, UTC.
    pub generated_at: String,
    pub scope: Vec<Place>,
    pub unobserved: Vec<crate::inventory::Gap>,
    pub api: ApiUse,
    pub summary: DoctorSummary,
    pub checks: Vec<Check>,
    /// What costs money to ask, or does not exist here.
    pub not_asked: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

impl Report {
    pub fn count(checks: &[Check]) -> DoctorSummary {
        let count = |state| checks.iter().filter(|c| c.state == state).count() as u64;
        DoctorSummary {
            ok: count(State::Ok),
            problem: count(State::Problem),
            unknown: count(State::Unknown),
        }
    }
}

/// Whether a call was refused for lack of a permission, by the codes that services use for that.
pub fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "AuthorizationError"
            | "AuthorizationErrorException"
            | "UnauthorizedOperation"
            | "UnauthorizedException"
            | "NotAuthorized"
            | "NotAuthorizedException"
            | "Http403"
    )
}
