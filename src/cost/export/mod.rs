//! FOCUS and CUR 2.0 exports, as files, folders or in S3: read line by line, so that memory does
//! not grow with their size, and answered like Cost Explorer.
//!
//! Service names are those of the export: FOCUS has other ones than Cost Explorer, so a cost from
//! an export and one from Cost Explorer are compared by their sums.

#[cfg(feature = "parquet")]
mod columnar;
mod delimited;
mod layout;
mod shape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;

use self::layout::{Chosen, Found};
pub use self::shape::Format;
use self::shape::{Reader, Wanted};
use super::question::{Answer, Question};
use super::tally::{Extent, MOST_RESOURCES, Tally, TallyError};
use crate::cloud::store::{BucketPlace, StoredObject, save};
use crate::cloud::{Cloud, CloudError, Target};

/// What was read, and what it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// In the order of the questions.
    pub answers: Vec<Answer>,
    pub format: Format,
    pub files: usize,
    pub rows: u64,
    /// First and last day with a line.
    pub days: Option<(Date, Date)>,
    /// What was used, what was replaced, and what the figures rest on: for people.
    pub notes: Vec<String>,
}

/// Why an export cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{file}: {message}")]
    File { file: String, message: String },
    /// A line that does not say what it has to.
    #[error("{file}, row {row}, column {column}: {message}")]
    Cell {
        file: String,
        /// From 1, without the header.
        row: u64,
        column: String,
        message: String,
    },
    #[error("{0}")]
    Choice(String),
    #[error(transparent)]
    Tally(#[from] TallyError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
}

impl ExportError {
    fn file(file: impl Into<String>, message: impl ToString) -> Self {
        ExportError::File {
            file: file.into(),
            message: message.to_string(),
        }
    }
}

/// Adds up the lines of one export.
struct Adding {
    tally: Tally,
    format: Option<Format>,
    rows: u64,
    files: usize,
    wanted: Wanted,
    /// Whose a billing period is, by the file's name without its number.
    periods: BTreeMap<String, String>,
}

impl Adding {
    fn new(questions: &[Question], as_of: Date) -> Result<Adding, ExportError> {
        Ok(Adding {
            tally: Tally::new(questions, as_of)?,
            format: None,
            rows: 0,
            files: 0,
            wanted: Wanted::by(questions),
            periods: BTreeMap::new(),
        })
    }

    /// Adds a file; `name` is what people know it by.
    fn add(&mut self, path: &Path, name: &str) -> Result<(), ExportError> {
        let mut reader = Reader::new(name, self.wanted.clone());
        read_file(path, name, &mut reader, &mut |line| {
            self.tally.add(line);
            true
        })?;
        let format = reader.format();
        if let (Some(known), Some(format)) = (self.format, format)
            && known != format
        {
            return Err(ExportError::Choice(format!(
                "{name} is {format}, but the files before it are {known}: name one export alone"
            )));
        }
        self.format = self.format.or(format);
        for period in reader.periods() {
            let stem = layout::stem(name);
            let known = self.periods.entry(period.clone());
            let known = known.or_insert_with(|| stem.to_owned());
            if known != stem && layout::is_loose(name) {
                return Err(ExportError::Choice(format!(
                    "there are lines of {period} in {name} and in {known}: added up, costs would count twice. Name one of them, or remove the older one"
                )));
            }
        }
        for key in reader.tag_keys() {
            self.tally.note_tag_key(key);
        }
        self.rows += reader.rows();
        self.files += 1;
        Ok(())
    }

    fn finish(self, mut notes: Vec<String>) -> Result<Export, ExportError> {
        let format = self
            .format
            .ok_or_else(|| ExportError::Choice("there is no export in it".to_owned()))?;
        let answers = self.tally.answers(Extent::AsSeen)?;
        let days = self.tally.seen();
        let what = match days {
            Some((first, last)) => format!("from {first} to {last}"),
            None => "none of any day".to_owned(),
        };
        let (rows, files) = (self.rows, self.files);
        let noun = if files == 1 { "file" } else { "files" };
        notes.insert(
            0,
            format!("{format}: {rows} lines in {files} {noun}, {what}"),
        );
        notes.push("services are named as in the export, not as in Cost Explorer".to_owned());
        if self.tally.resources_merged() {
            notes.push(format!(
                "more than {MOST_RESOURCES} resources: the largest are told apart, the others are \
                 added up; amounts of resources near that border may be too low"
            ));
        }
        Ok(Export {
            answers,
            format,
            files: self.files,
            rows: self.rows,
            days,
            notes,
        })
    }
}

/// Reads one file of any kind. `each` says whether to go on.
fn read_file(
    path: &Path,
    name: &str,
    reader: &mut Reader,
    each: &mut dyn FnMut(&super::tally::Line<'_>) -> bool,
) -> Result<(), ExportError> {
    if layout::is_parquet(name) {
        #[cfg(feature = "parquet")]
        return columnar::read(path, name, reader, each);
        #[cfg(not(feature = "parquet"))]
        return Err(ExportError::file(
            name,
            "this opsctl was built without Parquet (cargo feature `parquet`): use a CSV export",
        ));
    }
    delimited::read(path, name, reader, each)
}

/// The billing period of the first line.
fn period(path: &Path, name: &str) -> Result<Option<String>, ExportError> {
    let mut reader = Reader::new(name, Wanted::default());
    let mut day = None;
    read_file(path, name, &mut reader, &mut |line| {
        day = Some(line.day);
        false
    })?;
    let named = reader.billing_period().map(str::to_owned);
    Ok(named.or_else(|| day.map(|d: Date| format!("{:04}-{:02}", d.year(), d.month()))))
}

/// Reads a file, or the current deliveries in a folder.
///
/// # Errors
/// What cannot be read, with file, row and column.
pub fn read(from: &Path, questions: &[Question], as_of: Date) -> Result<Export, ExportError> {
    let mut adding = Adding::new(questions, as_of)?;
    let shown = from.display().to_string();
    let meta = std::fs::metadata(from).map_err(|e| ExportError::file(shown.as_str(), e))?;
    if meta.is_file() {
        adding.add(from, &shown)?;
        return adding.finish(Vec::new());
    }
    let mut found = Vec::new();
    list(from, from, &mut found)?;
    let manifest = |name: &str| -> Result<String, ExportError> {
        let path = from.join(name);
        std::fs::read_to_string(&path).map_err(|e| ExportError::file(name, e))
    };
    let mut manifests = Vec::new();
    for file in found.iter().filter(|f| layout::is_manifest(&f.name)) {
        manifests.push((file.name.clone(), manifest(&file.name)?));
    }
    let Chosen {
        files,
        loose,
        notes,
    } = layout::choose(&shown, &found, &manifests)?;
    let mut notes = notes;
    let files = if loose {
        let mut periods = Vec::new();
        for file in &files {
            periods.push((file.clone(), period(&from.join(&file.name), &file.name)?));
        }
        layout::newest_of_each(periods, &mut notes)
    } else {
        files
    };
    for file in &files {
        adding.add(&from.join(&file.name), &file.name)?;
    }
    adding.finish(notes)
}

fn list(root: &Path, folder: &Path, out: &mut Vec<Found>) -> Result<(), ExportError> {
    let failed = |e: std::io::Error| ExportError::file(folder.display().to_string(), e);
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for path in entries {
        let meta = std::fs::metadata(&path)
            .map_err(|e| ExportError::file(path.display().to_string(), e))?;
        if meta.is_dir() {
            list(root, &path, out)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path);
        let modified = meta.modified().ok();
        out.push(Found {
            name: name.to_string_lossy().into_owned(),
            modified: modified.and_then(|t| Timestamp::try_from(t).ok()),
        });
    }
    Ok(())
}

/// `bucket` and `prefix` of `s3://bucket/prefix`.
pub fn s3_place(from: &str) -> Option<(&str, &str)> {
    let rest = from.strip_prefix("s3://")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// Reads the current deliveries under a prefix in S3, one file after the other through a temporary
/// folder.
///
/// # Errors
/// As [`read`], and what S3 answers.
pub async fn read_s3(
    cloud: &dyn Cloud,
    target: &Target,
    from: &str,
    questions: &[Question],
    as_of: Date,
) -> Result<Export, ExportError> {
    let (bucket, prefix) = s3_place(from)
        .ok_or_else(|| ExportError::Choice(format!("{from} is not s3://bucket/prefix")))?;
    let mut adding = Adding::new(questions, as_of)?;
    let store = cloud.objects();
    let first = target.regions.first().map_or("us-east-1", String::as_str);
    let region = match store.bucket_region(target, first, bucket).await {
        // Listing says more than the empty answer to HEAD.
        Err(error) if error.code == "AccessDenied" => first.to_owned(),
        other => other?,
    };
    let place = BucketPlace {
        target: target.clone(),
        region,
        bucket: bucket.to_owned(),
    };
    let objects: BTreeMap<String, StoredObject> = store
        .list_objects(&place, prefix, None)
        .await?
        .into_iter()
        .map(|object| (object.key.clone(), object))
        .collect();
    let folder = tempfile::tempdir().map_err(|e| ExportError::file("temporary folder", e))?;
    let local = folder.path().join("file");
    let found: Vec<Found> = objects
        .values()
        .map(|object| Found {
            name: object.key.clone(),
            modified: Some(object.modified),
        })
        .collect();
    let fetch = async |name: &str| match objects.get(name) {
        Some(object) => Ok(save(store, &place, object, &local).await?),
        None => Err(ExportError::file(name, "not in the listing")),
    };
    let mut manifests = Vec::new();
    for file in found.iter().filter(|f| layout::is_manifest(&f.name)) {
        fetch(&file.name).await?;
        let text = std::fs::read_to_string(&local)
            .map_err(|e| ExportError::file(file.name.as_str(), e))?;
        manifests.push((file.name.clone(), text));
    }
    let Chosen {
        mut files,
        loose,
        mut notes,
    } = layout::choose(from, &found, &manifests)?;
    if loose {
        let mut periods = Vec::new();
        for file in &files {
            fetch(&file.name).await?;
            periods.push((file.clone(), period(&local, &file.name)?));
        }
        files = layout::newest_of_each(periods, &mut notes);
    }
    for file in &files {
        fetch(&file.name).await?;
        let (path, name) = (local.clone(), file.name.clone());
        adding = tokio::task::spawn_blocking(move || {
            adding.add(&path, &name)?;
            Ok::<_, ExportError>(adding)
        })
        .await
        .map_err(|e| ExportError::file(file.name.as_str(), e))??;
    }
    adding.finish(notes)
}
