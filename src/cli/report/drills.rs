use std::path::PathBuf;

use clap::Args;
use futures::stream::{self, StreamExt};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::json;

use crate::cli::drill::evidence;
use crate::cli::session::{Session, aws, project_dir, state_dir};
use crate::cli::{Failure, Format, Global, Outcome, exit, json_head};
use crate::cloud::Target;
use crate::config::{Loaded, Resolved};
use crate::drill::chain::{Bucket, Chain, Verified};
use crate::drill::record::Record;
use crate::drill::review::{Wanted, review};
use crate::drill::spec::Spec;
use crate::plan::file::write_atomically;
use crate::render;
use crate::render::drills::{DrillPage, DrillsReport};

/// Drills with a sheet of their own in a report over a period.
const MOST_SHEETS: usize = 50;

/// Restore drills: the year, and a sheet for each drill that an auditor can file
///
/// Reads the records on this machine and in the evidence bucket, and verifies their chains.
/// Rehearsals in a sandbox do not count; --sandbox reports on them alone.
#[derive(Debug, Args)]
pub struct DrillsArgs {
    /// Only these runs, each on a sheet: ids, or the beginnings of some
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// The period begins here [default: a year ago]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub since: Option<Date>,
    /// The period ends with this day [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub until: Option<Date>,
    /// Only what is on this machine
    #[arg(long)]
    pub local: bool,
    /// Write the report and one file for each of its drills there: --format html or markdown
    #[arg(long, value_name = "DIR", conflicts_with = "runs")]
    pub out_dir: Option<PathBuf>,
    /// Do not exit with 3 when records are missing, changed or could not be read
    #[arg(long)]
    pub allow_incomplete: bool,
}

/// The records, with where each of them lies.
pub(super) struct Read {
    pub records: Vec<Record>,
    chains: Vec<Verified>,
    unread: Vec<String>,
    rehearsals: u64,
    /// Seals and the places where a record of that seal lies.
    places: Vec<(String, String)>,
    /// Seals and the chains that hold them.
    held: Vec<(String, String)>,
}

pub async fn run(global: &Global, args: &DrillsArgs) -> Outcome {
    let now = Timestamp::now();
    let (from, to) = period(args, now)?;
    if args.out_dir.is_some() && !matches!(global.format, Format::Html | Format::Markdown) {
        return Err(
            Failure::new("--out-dir writes pages").help("--format html or --format markdown")
        );
    }
    let dir = project_dir(global)?;
    let state = state_dir(dir.as_ref());
    let (loaded, wanted, notes) = asked_for(global, dir.is_some())?;
    let mut read = read(global, &state, loaded.as_ref(), args.local).await;
    read.records
        .retain(|r| global.environments.is_empty() || global.environments.contains(&r.environment));
    let single = !args.runs.is_empty();
    let shown = match single {
        true => Some(chosen(&read.records, &args.runs)?),
        false => None,
    };
    let review = review(&read.records, &wanted, from, to);
    let mut pages: Vec<&Record> = match &shown {
        Some(chosen) => chosen.clone(),
        None => {
            let mut all: Vec<&Record> = review
                .sources
                .iter()
                .flat_map(|s| s.records.iter().copied())
                .filter(|r| r.started_at <= to)
                .collect();
            all.sort_by_key(|r| std::cmp::Reverse(r.started_at));
            all
        }
    };
    let all = pages.len();
    // Files of their own need not fit into one page.
    if !single && args.out_dir.is_none() {
        pages.truncate(MOST_SHEETS);
    }
    let pages: Vec<DrillPage<'_>> = pages.into_iter().map(|r| page(r, &read)).collect();
    let report = DrillsReport {
        project: loaded
            .as_ref()
            .and_then(|l| l.workspace.as_ref())
            .map_or_else(String::new, |w| w.project.name.value.clone()),
        generated_at: format!("{now:.0}"),
        sandbox: global.sandbox.clone(),
        review,
        without_page: (all - pages.len()) as u64,
        pages,
        chains: read.chains.clone(),
        unread: read.unread.clone(),
        notes,
        rehearsals: read.rehearsals,
        single,
        command: command(global, args),
    };
    match &args.out_dir {
        Some(dir) => write(global, dir, report)?,
        None => emit(global, &report)?,
    }
    if review_is_empty(&read, single)
        && let Some(hint) = hint(global)
    {
        global.say(hint);
    }
    Ok(match read.is_whole() || args.allow_incomplete {
        true => exit::OK,
        false => exit::BLIND,
    })
}

fn review_is_empty(read: &Read, single: bool) -> bool {
    read.records.is_empty() && !single
}

fn hint(global: &Global) -> Option<&'static str> {
    Some(match global.sandbox {
        Some(_) => "no rehearsal is on record; `opsctl drill run --sandbox` makes one",
        None => {
            "no drill is on record; `opsctl drill run` makes one, `opsctl schedule` makes them regular"
        }
    })
}

impl Read {
    fn is_whole(&self) -> bool {
        self.faults().is_empty()
    }

    /// What is missing, changed or unreadable.
    pub fn faults(&self) -> Vec<String> {
        let broken = self.chains.iter().flat_map(|c| c.broken.iter());
        broken.chain(&self.unread).cloned().collect()
    }
}

fn period(args: &DrillsArgs, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let wrong = |e: jiff::Error| Failure::new(format!("the period cannot be used: {e}"));
    let today = now.to_zoned(TimeZone::UTC).date();
    let until = args.until.unwrap_or(today);
    let to = until
        .saturating_add(1.day())
        .to_zoned(TimeZone::UTC)
        .map_err(wrong)?
        .timestamp()
        .min(now);
    let since = args.since.unwrap_or_else(|| until.saturating_sub(1.year()));
    let from = since.to_zoned(TimeZone::UTC).map_err(wrong)?.timestamp();
    match from < to {
        true => Ok((from, to)),
        false => Err(Failure::new(format!(
            "the period from {since} to {until} has no day that is past"
        ))),
    }
}

/// The project's files, its drills, and what is not known of them.
type Asked = (Option<Loaded>, Vec<Wanted>, Vec<String>);

/// Without a project records can be reported on all the same; what is asked for is then unknown.
fn asked_for(global: &Global, project: bool) -> Result<Asked, Failure> {
    if !project && global.sandbox.is_none() {
        return Ok((
            None,
            Vec::new(),
            vec!["there is no opsctl.toml here: which drills are asked for, how often, and whether there is an evidence bucket is not known".to_owned()],
        ));
    }
    let session = Session::open(global)?;
    let environments = session.environments(global, None)?;
    let wanted = wanted(&environments)?;
    Ok((Some(session.loaded), wanted, Vec::new()))
}

/// The drills of environments with their cadence.
pub(super) fn wanted(environments: &[(Target, Resolved)]) -> Result<Vec<Wanted>, Failure> {
    let mut wanted = Vec::new();
    for (target, resolved) in environments {
        let every = resolved
            .policies
            .backups
            .as_ref()
            .and_then(|b| b.drill_every.as_ref())
            .map(|p| p.value.0);
        let specs = Spec::all(target, resolved).map_err(Failure::new)?;
        wanted.extend(specs.iter().map(|spec| Wanted::of(spec, every)));
    }
    Ok(wanted)
}

/// The records of this machine and of the evidence bucket.
pub(super) async fn read(
    global: &Global,
    state: &std::path::Path,
    loaded: Option<&Loaded>,
    local: bool,
) -> Read {
    let chain = Chain::new(state, global.sandbox.as_deref());
    let (records, _) = chain.read();
    let verified = chain.verify();
    let mut out = Read {
        rehearsals: 0,
        places: records
            .iter()
            .map(|r| {
                (
                    r.sha256.clone(),
                    chain.path_of(&r.run_id).display().to_string(),
                )
            })
            .collect(),
        held: records
            .iter()
            .map(|r| (r.sha256.clone(), verified.chain.clone()))
            .collect(),
        unread: Vec::new(),
        chains: vec![verified],
        records,
    };
    if global.sandbox.is_none() {
        out.rehearsals = Chain::all(state)
            .iter()
            .filter(|c| c.name() != chain.name())
            .map(|c| c.read().0.len() as u64)
            .sum();
    }
    let configured = loaded
        .and_then(|l| l.workspace.as_ref())
        .is_some_and(|w| w.evidence.is_some());
    if let (Some(loaded), true, false, None) = (loaded, configured, local, &global.sandbox) {
        let cloud = aws(global);
        match evidence(global, loaded, &cloud).await {
            Ok(Some(bucket)) => from_bucket(&bucket, &mut out).await,
            Ok(None) => {}
            Err(failure) => out.unread.push(failure.message),
        }
    }
    out.records
        .sort_by(|a, b| (a.started_at, &a.run_id).cmp(&(b.started_at, &b.run_id)));
    out.records.dedup_by(|a, b| a.sha256 == b.sha256);
    out
}

async fn from_bucket(bucket: &Bucket<'_>, out: &mut Read) {
    let (records, broken) = match bucket.look().await {
        Ok(found) => found,
        Err(e) => {
            out.unread.push(format!(
                "the records in the evidence bucket could not be read: {e}"
            ));
            return;
        }
    };
    let verified = bucket.held_against(&records, broken, &out.records);
    let locks: Vec<Option<String>> = stream::iter(&records)
        .map(|r| bucket.retained(r))
        .buffered(16)
        .collect()
        .await;
    for (record, lock) in records.iter().zip(locks) {
        let url = bucket.url(record);
        let place = match lock {
            Some(lock) => format!("{url} (locked: {lock})"),
            None => url,
        };
        out.places.push((record.sha256.clone(), place));
        out.held
            .push((record.sha256.clone(), verified.chain.clone()));
    }
    out.records.extend(records);
    out.chains.push(verified);
}

fn page<'a>(record: &'a Record, read: &Read) -> DrillPage<'a> {
    let of = |all: &[(String, String)]| -> Vec<String> {
        all.iter()
            .filter(|(seal, _)| *seal == record.sha256)
            .map(|(_, what)| what.clone())
            .collect()
    };
    let chains = of(&read.held);
    let broken = read
        .chains
        .iter()
        .filter(|c| chains.contains(&c.chain))
        .flat_map(|c| c.broken.iter().cloned())
        .collect();
    DrillPage {
        record,
        places: of(&read.places),
        chains,
        broken,
    }
}

fn chosen<'a>(records: &'a [Record], runs: &[String]) -> Result<Vec<&'a Record>, Failure> {
    let mut out = Vec::new();
    for run in runs {
        let exact: Vec<&Record> = records.iter().filter(|r| r.run_id == *run).collect();
        let found = match exact.is_empty() {
            true => records
                .iter()
                .filter(|r| r.run_id.starts_with(run))
                .collect(),
            false => exact,
        };
        match found.as_slice() {
            [] => {
                return Err(Failure::new(format!("there is no record of a run `{run}`"))
                    .help("`opsctl drill list` shows what there is"));
            }
            [one] => out.push(*one),
            many => {
                let ids: Vec<&str> = many.iter().map(|r| r.run_id.as_str()).collect();
                return Err(
                    Failure::new(format!("several runs begin with `{run}`")).help(ids.join(", "))
                );
            }
        }
    }
    Ok(out)
}

fn command(global: &Global, args: &DrillsArgs) -> String {
    let mut out = "opsctl report drills".to_owned();
    for run in &args.runs {
        out.push_str(&format!(" {run}"));
    }
    for environment in &global.environments {
        out.push_str(&format!(" -e {environment}"));
    }
    if let Some(since) = args.since {
        out.push_str(&format!(" --since {since}"));
    }
    if let Some(until) = args.until {
        out.push_str(&format!(" --until {until}"));
    }
    if args.local {
        out.push_str(" --local");
    }
    if let Some(sandbox) = &global.sandbox {
        out.push_str(&format!(" --sandbox {sandbox}"));
    }
    out
}

fn text(global: &Global, report: &DrillsReport<'_>) -> Result<String, Failure> {
    match global.format {
        Format::Html => render::html::drills::page(report).map_err(Failure::new),
        _ => Ok(render::markdown::drill_report(report)),
    }
}

fn emit(global: &Global, report: &DrillsReport<'_>) -> Result<(), Failure> {
    match global.format {
        Format::Json => {
            let mut document = json_head("report");
            document["report"] = json!("drills");
            document["generated_at"] = json!(report.generated_at);
            document["sandbox"] = json!(report.sandbox);
            document["review"] = json!(report.review);
            document["chains"] = json!(report.chains);
            document["unread"] = json!(report.unread);
            document["notes"] = json!(report.notes);
            document["intact"] = json!(report.is_whole());
            document["rehearsals_not_counted"] = json!(report.rehearsals);
            document["drills"] = match report.single {
                true => json!(report.pages.iter().map(|p| p.record).collect::<Vec<_>>()),
                false => json!(
                    report
                        .review
                        .sources
                        .iter()
                        .flat_map(|s| s.records.iter())
                        .collect::<Vec<_>>()
                ),
            };
            global.emit_json(&document)
        }
        Format::Csv => global.emit(&render::csv::drills(report).map_err(Failure::new)?),
        Format::Html | Format::Markdown => global.emit(&text(global, report)?),
        _ => global.show(&render::human::drill_report(report, &global.style())),
    }
}

/// The report in one file, and each drill in one.
fn write(
    global: &Global,
    dir: &std::path::Path,
    mut report: DrillsReport<'_>,
) -> Result<(), Failure> {
    let ending = match global.format {
        Format::Html => "html",
        _ => "md",
    };
    std::fs::create_dir_all(dir).map_err(|e| Failure::new(format!("{}: {e}", dir.display())))?;
    let mut said = String::new();
    let mut put = |name: String, text: String| {
        let path = dir.join(name);
        said.push_str(&format!("wrote  {}\n", path.display()));
        write_atomically(&path, text.as_bytes())
            .map_err(|e| Failure::new(format!("{}: {e}", path.display())))
    };
    let pages = std::mem::take(&mut report.pages);
    put(format!("drills.{ending}"), text(global, &report)?)?;
    report.single = true;
    for page in pages {
        // A run id of ours is a file name already; a record of somebody else's may say anything.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let id: String = page.record.run_id.chars().filter(|c| plain(*c)).collect();
        let name = format!("drill-{id}.{ending}");
        report.command = format!("opsctl report drills {}", page.record.run_id);
        report.pages = vec![page];
        put(name, text(global, &report)?)?;
    }
    global.emit(&said)
}
