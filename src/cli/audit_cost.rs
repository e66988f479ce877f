//! `opsctl audit cost`: asks, or reads an export, and audits.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::session::Session;
use super::{Failure, Global};
use crate::cloud::Target;
use crate::config::Resolved;
use crate::cost::CostEntry;
use crate::inventory::Gap;
use crate::plan::Finding;

#[derive(Debug, Args)]
pub struct CostArgs {
    /// Cost: say what would be asked and what it costs, and ask nothing
    #[arg(long)]
    pub explain: bool,
    /// Cost: answers up to this age are taken from the cache
    #[arg(long, value_name = "DURATION", default_value = "8h", value_parser = humantime::parse_duration)]
    pub max_age: Duration,
    /// Cost: read a FOCUS or CUR 2.0 export (file, folder or s3://bucket/prefix) instead of asking
    #[arg(long, value_name = "EXPORT")]
    pub from: Option<PathBuf>,
}

/// What the cost audit adds to an audit.
#[derive(Debug, Default)]
pub struct CostAudit {
    pub findings: Vec<Finding>,
    pub entries: Vec<CostEntry>,
    pub gaps: Vec<Gap>,
    pub notes: Vec<String>,
}

/// Audits the costs of the environments.
pub async fn collect(
    _global: &Global,
    _session: &Session,
    _environments: &[(Target, Resolved)],
    _args: &CostArgs,
) -> Result<CostAudit, Failure> {
    Ok(CostAudit::default())
}
