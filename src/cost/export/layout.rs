//! Which of the files under a place are the current deliveries.
//!
//! AWS Data Exports writes `EXPORT/data/BILLING_PERIOD=2026-10/FILE`, or with "create new" a folder
//! per execution below the period, and `EXPORT/metadata/…/EXPORT-Manifest.json` once all files of a
//! delivery are there. Source: "Understanding export delivery", AWS Data Exports user guide.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::ExportError;

/// A file, by its path below the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub modified: Option<Timestamp>,
}

/// What is to be read.
#[derive(Debug)]
pub struct Chosen {
    pub files: Vec<Found>,
    /// Without the layout of Data Exports: what replaces what only the lines tell.
    pub loose: bool,
    pub notes: Vec<String>,
}

pub fn is_parquet(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".parquet")
}

fn is_data(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_parquet(&name) || name.ends_with(".csv") || name.ends_with(".csv.gz")
}

pub fn is_manifest(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("manifest.json")
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default, rename = "dataFiles")]
    data_files: Vec<String>,
}

/// Where a file lies in the layout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// All before `data` or `metadata`.
    export: String,
    period: String,
    /// Empty: overwritten in place.
    execution: String,
}

fn place(name: &str) -> Option<Place> {
    let parts: Vec<&str> = name.split('/').collect();
    let at = parts.iter().position(|part| {
        part.split_once('=')
            .is_some_and(|(key, _)| key.eq_ignore_ascii_case("billing_period"))
    })?;
    let before = parts.get(..at)?;
    let before = match before.split_last() {
        Some((last, rest)) if matches!(*last, "data" | "metadata") => rest,
        _ => before,
    };
    let (_, period) = parts.get(at)?.split_once('=')?;
    let between = parts.get(at + 1..parts.len().saturating_sub(1))?;
    Some(Place {
        export: before.join("/"),
        period: period.to_owned(),
        execution: between.join("/"),
    })
}

/// Whether a file lies outside of the layout: then only its lines tell what it holds.
pub fn is_loose(name: &str) -> bool {
    place(name).is_none()
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// One delivery of one period.
#[derive(Default)]
struct Delivery<'a> {
    files: Vec<&'a Found>,
    manifest: Option<&'a str>,
}

impl Delivery<'_> {
    fn modified(&self) -> Option<Timestamp> {
        self.files.iter().filter_map(|f| f.modified).max()
    }
}

/// The newest complete delivery of every period.
///
/// # Errors
/// No data, two exports, an unreadable manifest, or one that names files that are not there.
pub fn choose(
    shown: &str,
    found: &[Found],
    manifests: &[(String, String)],
) -> Result<Chosen, ExportError> {
    let data: Vec<&Found> = found.iter().filter(|f| is_data(&f.name)).collect();
    if data.is_empty() {
        return Err(ExportError::Choice(format!(
            "{shown}: there is no .csv, .csv.gz or .parquet file in it"
        )));
    }
    let mut deliveries: BTreeMap<(String, String), BTreeMap<String, Delivery<'_>>> =
        BTreeMap::new();
    let mut loose = Vec::new();
    for file in &data {
        match place(&file.name) {
            Some(place) => deliveries
                .entry((place.export, place.period))
                .or_default()
                .entry(place.execution)
                .or_default()
                .files
                .push(file),
            None => loose.push((*file).clone()),
        }
    }
    let exports: BTreeSet<&str> = deliveries.keys().map(|(e, _)| e.as_str()).collect();
    if exports.len() > 1 || (!exports.is_empty() && !loose.is_empty()) {
        let mut names: Vec<&str> = exports.into_iter().collect();
        if let Some(file) = loose.first() {
            names.push(&file.name);
        }
        return Err(ExportError::Choice(format!(
            "{shown} holds more than one export ({}): added up, costs would count twice. Name one",
            names.join(", ")
        )));
    }
    if deliveries.is_empty() {
        return Ok(Chosen {
            files: loose,
            loose: true,
            notes: Vec::new(),
        });
    }
    for (name, text) in manifests {
        let Some(place) = place(name) else {
            continue;
        };
        if let Some(executions) = deliveries.get_mut(&(place.export, place.period)) {
            executions.entry(place.execution).or_default().manifest = Some(text);
        }
    }
    let mut chosen = Chosen {
        files: Vec::new(),
        loose: false,
        notes: Vec::new(),
    };
    for ((_, period), executions) in &deliveries {
        one_period(shown, period, executions, &mut chosen)?;
    }
    Ok(chosen)
}

fn one_period(
    shown: &str,
    period: &str,
    executions: &BTreeMap<String, Delivery<'_>>,
    chosen: &mut Chosen,
) -> Result<(), ExportError> {
    let with_manifest = executions.values().any(|d| d.manifest.is_some());
    let complete = executions
        .iter()
        .filter(|(_, d)| d.manifest.is_some() || (!with_manifest && !d.files.is_empty()));
    // Names of executions begin with their time; in place there is only the time of the files.
    let in_place = executions.contains_key("") && executions.len() > 1;
    let newest = complete.max_by(|(a, one), (b, other)| {
        let by_time = if in_place {
            one.modified().cmp(&other.modified())
        } else {
            std::cmp::Ordering::Equal
        };
        by_time.then_with(|| a.cmp(b))
    });
    let Some((newest, delivery)) = newest else {
        return Ok(());
    };
    let named = |execution: &str| {
        if execution.is_empty() {
            "the files in place".to_owned()
        } else {
            execution.to_owned()
        }
    };
    for (execution, other) in executions.iter().filter(|(e, _)| *e != newest) {
        let why = if with_manifest && other.manifest.is_none() && execution > newest {
            "is not finished (no manifest yet) and was left out"
        } else {
            "was replaced"
        };
        let (execution, newest) = (named(execution), named(newest));
        chosen
            .notes
            .push(format!("{period}: {execution} {why}; {newest} was used"));
    }
    let mut files: Vec<Found> = delivery.files.iter().map(|f| (*f).clone()).collect();
    if let Some(text) = delivery.manifest {
        let manifest: Manifest = serde_json::from_str(text)
            .map_err(|e| ExportError::file(format!("{shown}: manifest of {period}"), e))?;
        let listed: BTreeSet<&str> = manifest.data_files.iter().map(|f| base(f)).collect();
        if !listed.is_empty() {
            let there: BTreeSet<&str> = files.iter().map(|f| base(&f.name)).collect();
            let missing: Vec<&str> = listed.difference(&there).copied().collect();
            if !missing.is_empty() {
                return Err(ExportError::Choice(format!(
                    "{shown}: the manifest of {period} names {}, which {} not there: the bill would be too small",
                    missing.join(", "),
                    if missing.len() == 1 { "is" } else { "are" }
                )));
            }
            let left: Vec<String> = there.difference(&listed).map(|f| (*f).to_owned()).collect();
            if !left.is_empty() {
                let left = left.join(", ");
                chosen
                    .notes
                    .push(format!("{period}: {left} left out: not in the manifest"));
            }
            files.retain(|f| listed.contains(base(&f.name)));
        }
    }
    chosen.files.extend(files);
    Ok(())
}

/// A file without its number: parts of one delivery are `NAME-00001.csv.gz`, `NAME-00002.csv.gz`, …
pub fn stem(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let end = [".csv.gz", ".csv", ".snappy.parquet", ".parquet"]
        .iter()
        .find(|end| lower.ends_with(*end))
        .map_or(name.len(), |end| name.len() - end.len());
    let stem = name.get(..end).unwrap_or(name);
    match stem.rsplit_once('-') {
        Some((front, number))
            if number.len() >= 3 && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            front
        }
        _ => stem,
    }
}

/// Of loose files with the same billing period, the one that was written last, with its parts.
pub fn newest_of_each(files: Vec<(Found, Option<String>)>, notes: &mut Vec<String>) -> Vec<Found> {
    let mut periods: BTreeMap<String, BTreeMap<String, Vec<Found>>> = BTreeMap::new();
    for (file, period) in files {
        let period = period.unwrap_or_default();
        let stem = stem(&file.name).to_owned();
        let stems = periods.entry(period).or_default();
        stems.entry(stem).or_default().push(file);
    }
    let mut out = Vec::new();
    for (period, stems) in periods {
        // Files without a line replace nothing, and are read for their headers.
        if period.is_empty() {
            out.extend(stems.into_values().flatten());
            continue;
        }
        let newest = stems
            .iter()
            .max_by_key(|(stem, files)| {
                let time = files.iter().filter_map(|f| f.modified).max();
                (time, (*stem).clone())
            })
            .map(|(stem, _)| stem.clone());
        for (stem, files) in stems {
            if Some(&stem) == newest.as_ref() {
                out.extend(files);
            } else if let Some(newest) = &newest {
                notes.push(format!(
                    "{period}: {stem} was replaced; {newest} was written later and was used"
                ));
            }
        }
    }
    out
}
