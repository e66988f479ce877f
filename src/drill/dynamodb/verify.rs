//! The checks of a restored table. The copy is read whole at most once, whatever the checks; of the
//! source only its description and a sample of keys are read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::time::time_of;
use crate::cloud::tables::{Item, Scan, Table, Tables};
use crate::cloud::{CloudError, Target};
use crate::drill::before::{says_nothing, unseen};
use crate::drill::machine::span;
use crate::drill::record::{CheckRecord, seconds, seconds_between};
use crate::drill::source::{Context, Stop};
use crate::drill::spec::TableCheck;

/// Parts of the copy that are read at a time.
const READERS: u32 = 8;
/// Bytes of a table for each part.
const PART: u64 = 64 << 20;
/// Most parts of a table. Source: DynamoDB API reference, Scan, `TotalSegments`.
const MOST_PARTS: u64 = 1_000_000;
/// Keys that one look at a random part of the source may give.
const FROM_ONE_PLACE: u32 = 5;
/// Pages of the source that are read in order where random places gave too little: production is
/// not to be read through.
const PAGES: u32 = 20;
/// Keys that BatchGetItem takes.
const BATCH: usize = 100;
/// How far ahead of AWS's clock a time may be and still be one of a writer whose clock is off.
const AHEAD: Duration = Duration::from_secs(3600);

/// What is read.
pub struct Reading<'a> {
    pub tables: &'a dyn Tables,
    pub region: String,
    /// Names of the tables.
    pub source: String,
    pub copy: String,
    /// The moment that the copy shows; items of the source that are newer cannot be in it.
    pub data_time: Option<Timestamp>,
    /// By AWS's clock.
    pub now: Timestamp,
}

/// What one pass over the copy found.
#[derive(Debug, Default)]
struct Pass {
    items: u64,
    newest: BTreeMap<String, Seen>,
}

/// Of one attribute.
#[derive(Debug, Default, Clone)]
struct Seen {
    newest: Option<Timestamp>,
    /// Values that are no times.
    odd: u64,
}

/// Runs the checks. One record for each, in their order.
///
/// # Errors
/// The copy or the source cannot be read at all.
pub async fn run_checks(
    reading: &Reading<'_>,
    context: &Context<'_>,
) -> Result<Vec<CheckRecord>, Stop> {
    let checks = &context.spec.table_checks;
    let target = &context.spec.target;
    if checks.is_empty() {
        return Ok(Vec::new());
    }
    let described = |what: &'static str, name: String| async move {
        let found = reading.tables.table(target, &reading.region, &name).await;
        found.map_err(|e| unseen(what, &e))
    };
    let copy = described("the copy cannot be seen", reading.copy.clone()).await?;
    let copy = copy
        .ok_or_else(|| Stop::could_not_run(format!("the table {} is not there", reading.copy)))?;
    let needs_source = checks
        .iter()
        .any(|c| !matches!(c, TableCheck::Newest { .. }));
    let source = match needs_source {
        true => described("the source cannot be seen", reading.source.clone()).await?,
        false => None,
    };
    let began = Instant::now();
    let attributes = attributes(checks);
    let whole = checks
        .iter()
        .any(|c| !matches!(c, TableCheck::Sample { .. }));
    let pass = match whole {
        true => Some(read_whole(reading, context, &copy, &attributes).await),
        false => None,
    };
    let read_in = began.elapsed();
    let mut out = Vec::new();
    let (mut blind, mut unseen_checks) = (None, 0);
    for check in checks {
        let began = Instant::now();
        let (sql, expect, held) = match check {
            TableCheck::Items { within } => items(source.as_ref(), pass.as_ref(), *within),
            TableCheck::Newest { attribute, max_age } => {
                newest(attribute, *max_age, pass.as_ref(), reading.now)
            }
            TableCheck::Sample { keys, missing } => {
                context.progress(&format!("looking up {keys} keys"));
                let with_time = attributes.first();
                sample(reading, target, source.as_ref(), *keys, *missing, with_time).await
            }
        };
        let took = match check {
            TableCheck::Sample { .. } => began.elapsed(),
            _ => read_in,
        };
        let (actual, passed, error) = match held {
            Ok((actual, passed)) => (Some(actual), passed, None),
            Err(Why::Data(e)) => (None, false, Some(e)),
            Err(Why::Unseen(stop)) => {
                let Stop::CouldNotRun(e, _) = &stop else {
                    return Err(stop);
                };
                let error = e.clone();
                blind.get_or_insert(stop);
                unseen_checks += 1;
                (None, false, Some(error))
            }
        };
        out.push(CheckRecord {
            sql,
            expect,
            actual,
            passed,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            error,
        });
    }
    // A failure that is known stays one, whatever else could not be seen.
    let failed = out.iter().filter(|c: &&CheckRecord| !c.passed).count();
    match blind {
        Some(stop) if failed == unseen_checks => Err(stop),
        _ => Ok(out),
    }
}

/// The attributes that hold times, each once.
fn attributes(checks: &[TableCheck]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for check in checks {
        if let TableCheck::Newest { attribute, .. } = check
            && !out.contains(attribute)
        {
            out.push(attribute.clone());
        }
    }
    out
}

/// Reads every item of the copy, so that it is known that every item can be read.
async fn read_whole(
    reading: &Reading<'_>,
    context: &Context<'_>,
    copy: &Table,
    attributes: &[String],
) -> Result<Pass, CloudError> {
    let target = &context.spec.target;
    // The copy may say that it is empty for hours: the size of its source is as good.
    let parts = (copy.bytes / PART).clamp(u64::from(READERS), MOST_PARTS);
    let parts = u32::try_from(parts).unwrap_or(READERS);
    let part = |segment: u32| async move {
        let mut pass = Pass::default();
        let mut scan = Scan {
            table: reading.copy.clone(),
            segment,
            segments: parts,
            attributes: attributes.to_vec(),
            ..Scan::default()
        };
        loop {
            let page = reading.tables.scan(target, &reading.region, &scan).await?;
            pass.items += page.count;
            for item in &page.items {
                pass.note(item, attributes);
            }
            if page.next.is_none() {
                return Ok::<Pass, CloudError>(pass);
            }
            scan.from = page.next;
        }
    };
    let mut parts_read = stream::iter(0..parts)
        .map(part)
        .buffer_unordered(READERS as usize);
    let mut whole = Pass::default();
    let mut done = 0;
    while let Some(pass) = parts_read.try_next().await? {
        whole.add(pass);
        done += 1;
        context.progress(&format!(
            "{} items read, {done} of {parts} parts",
            whole.items
        ));
    }
    Ok(whole)
}

impl Pass {
    fn note(&mut self, item: &Item, attributes: &[String]) {
        for name in attributes {
            let Some(value) = item.get(name) else {
                continue;
            };
            let seen = self.newest.entry(name.clone()).or_default();
            match time_of(value) {
                Some(at) => seen.newest = seen.newest.max(Some(at)),
                None => seen.odd += 1,
            }
        }
    }

    fn add(&mut self, other: Pass) {
        self.items += other.items;
        for (name, more) in other.newest {
            let seen = self.newest.entry(name).or_default();
            seen.newest = seen.newest.max(more.newest);
            seen.odd += more.odd;
        }
    }
}

/// The check, what is expected, and what was found: the value and whether it holds, or why there is
/// none.
type Held = (String, String, Result<(String, bool), Why>);

/// Why a check has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    /// It says something about the data.
    Data(String),
    /// A call failed, and that says nothing about the data.
    Unseen(Stop),
}

impl From<&str> for Why {
    fn from(why: &str) -> Why {
        Why::Data(why.to_owned())
    }
}

impl Why {
    fn of(what: &str, error: &CloudError) -> Why {
        match says_nothing(error) {
            true => Why::Unseen(unseen(what, error)),
            false => Why::Data(format!("{what}: {error}")),
        }
    }
}

type Read<'a> = Option<&'a Result<Pass, CloudError>>;

fn passed(pass: Read<'_>) -> Result<&Pass, Why> {
    match pass {
        Some(Ok(pass)) => Ok(pass),
        Some(Err(e)) => Err(Why::of("the copy cannot be read", e)),
        None => Err("the copy was not read".into()),
    }
}

/// Off by so many percent of `of`.
fn off(found: u64, of: u64) -> Option<Decimal> {
    let apart = Decimal::from(found.abs_diff(of));
    match of {
        0 => (found == 0).then_some(Decimal::ZERO),
        of => Some((apart * Decimal::from(100) / Decimal::from(of)).round_dp(2)),
    }
}

fn items(source: Option<&Table>, pass: Read<'_>, within: Decimal) -> Held {
    let name = "number of items".to_owned();
    let within_text = within.normalize();
    let Some(source) = source else {
        let expect = format!("within {within_text}% of the source's");
        return (name, expect, Err("the source is gone".into()));
    };
    let expect = format!("within {within_text}% of the source's {}", source.items);
    let held = passed(pass).and_then(|pass| {
        let found = pass.items;
        // Six hours after its first items a table still says that it has none: two zeros agree on
        // nothing.
        if found == 0 && source.items == 0 {
            return Err(
                "cannot be told: DynamoDB counts 0 items in the source and the copy is empty"
                    .into(),
            );
        }
        Ok(match off(found, source.items) {
            Some(percent) => (format!("{found}, {percent}% off"), percent <= within),
            None => (
                format!("{found}; DynamoDB's number of the source is up to six hours old"),
                false,
            ),
        })
    });
    (name, expect, held)
}

fn newest(attribute: &str, max_age: Duration, pass: Read<'_>, now: Timestamp) -> Held {
    let name = format!("newest `{attribute}`");
    let expect = format!("at most {} old", span(seconds(max_age)));
    let held = passed(pass).and_then(|pass| {
        let seen = pass.newest.get(attribute).cloned().unwrap_or_default();
        let Some(at) = seen.newest else {
            return Err(Why::Data(match (pass.items, seen.odd) {
                (0, _) => "the copy has no items".to_owned(),
                (n, 0) => format!("none of its {n} items has `{attribute}`"),
                (_, odd) => format!("{odd} items have `{attribute}`, and none of them holds a time"),
            }));
        };
        let ahead = at.duration_since(now);
        if Duration::try_from(ahead).is_ok_and(|ahead| ahead > AHEAD) {
            return Err(Why::Data(format!(
                "the newest is {at:.0}, which is in the future: it tells nothing about the age of the data"
            )));
        }
        let age = seconds_between(at, now);
        let mut text = format!("{at:.0}, {} old", span(age));
        if seen.odd > 0 {
            text.push_str(&format!("; {} values are no times", seen.odd));
        }
        Ok((text, age <= seconds(max_age)))
    });
    (name, expect, held)
}

async fn sample(
    reading: &Reading<'_>,
    target: &Target,
    source: Option<&Table>,
    keys: u32,
    missing: Decimal,
    with_time: Option<&String>,
) -> Held {
    let name = format!("{keys} keys of the source, looked up in the copy");
    let expect = match missing.is_zero() {
        true => "all are there".to_owned(),
        false => format!("at most {}% are missing", missing.normalize()),
    };
    let held = async {
        let source = source.ok_or("the source is gone")?;
        let drawn = draw(reading, target, source, keys, with_time)
            .await
            .map_err(|e| Why::of("the source cannot be sampled", &e))?;
        if drawn.is_empty() {
            return Err("the source has no items that the copy could have".into());
        }
        let mut there = 0;
        for batch in drawn.chunks(BATCH) {
            let found = reading
                .tables
                .present(target, &reading.region, &reading.copy, batch)
                .await
                .map_err(|e| Why::of("the copy cannot be read", &e))?;
            there += found.iter().filter(|f| **f).count();
        }
        let gone = drawn.len() - there;
        let share = Decimal::from(gone) * Decimal::from(100) / Decimal::from(drawn.len());
        Ok((
            format!("{there} of {} are there", drawn.len()),
            share <= missing,
        ))
    }
    .await;
    (name, expect, held)
}

/// Keys of the source from random places, each once. Items that bear a time after the recovery point
/// are left out: they cannot be in the copy.
async fn draw(
    reading: &Reading<'_>,
    target: &Target,
    source: &Table,
    keys: u32,
    with_time: Option<&String>,
) -> Result<Vec<Item>, CloudError> {
    let mut attributes = source.keys.clone();
    attributes.extend(with_time.filter(|t| !source.keys.contains(t)).cloned());
    let wanted = keys as usize;
    let mut out: BTreeSet<Item> = BTreeSet::new();
    let mut take = |items: Vec<Item>| {
        for mut item in items {
            let at = with_time.and_then(|name| time_of(item.get(name)?));
            let newer = at.is_some_and(|at| reading.data_time.is_some_and(|data| at > data));
            item.retain(|name, _| source.keys.contains(name));
            if !newer && item.len() == source.keys.len() && out.len() < wanted {
                out.insert(item);
            }
        }
        out.len() >= wanted
    };
    let parts = (source.items / u64::from(FROM_ONE_PLACE)).clamp(1, MOST_PARTS);
    let parts = u32::try_from(parts).unwrap_or(1);
    let scan = |segment: u32, segments: u32, limit: u32, from: Option<Item>| Scan {
        table: source.name.clone(),
        segment,
        segments,
        limit: Some(limit),
        attributes: attributes.clone(),
        from,
    };
    if parts > 1 {
        // Some parts are empty: twice as many looks as would do if none were.
        let looks = (2 * keys).div_ceil(FROM_ONE_PLACE).min(parts);
        for _ in 0..looks {
            let one = scan(fastrand::u32(..parts), parts, FROM_ONE_PLACE, None);
            let page = reading.tables.scan(target, &reading.region, &one).await?;
            if take(page.items) {
                break;
            }
        }
    }
    // A small table, or one that does not know yet how large it is.
    let mut from = None;
    for _ in 0..PAGES {
        if take(Vec::new()) {
            break;
        }
        let one = scan(0, 1, keys.max(100), from.take());
        let page = reading.tables.scan(target, &reading.region, &one).await?;
        let full = take(page.items);
        from = page.next;
        if full || from.is_none() {
            break;
        }
    }
    Ok(out.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Why {
        fn contains(&self, part: &str) -> bool {
            matches!(self, Why::Data(why) if why.contains(part))
        }
    }

    fn pass(items: u64, newest: Option<&str>, odd: u64) -> Result<Pass, CloudError> {
        let seen = Seen {
            newest: newest.map(|t| t.parse().unwrap()),
            odd,
        };
        Ok(Pass {
            items,
            newest: BTreeMap::from([("at".to_owned(), seen)]),
        })
    }

    #[test]
    fn the_number_of_items_is_held_against_the_source() {
        let source = |items| Table {
            items,
            ..Table::default()
        };
        let one = Decimal::ONE;
        for (of, found, within, wanted) in [
            (1000, 1000, Decimal::ZERO, true),
            (1000, 999, Decimal::ZERO, false),
            (1000, 990, one, true),
            (1000, 1010, one, true),
            (1000, 989, one, false),
            (0, 5, one, false),
            (1000, 0, Decimal::from(99), false),
        ] {
            let (_, _, held) = items(Some(&source(of)), Some(&pass(found, None, 0)), within);
            assert_eq!(held.unwrap().1, wanted, "{found} of {of} within {within}%");
        }
        assert!(items(None, Some(&pass(1, None, 0)), one).2.is_err());
        let two_zeros = items(Some(&source(0)), Some(&pass(0, None, 0)), one).2;
        assert!(two_zeros.unwrap_err().contains("cannot be told"));
        let failed = Err(CloudError {
            operation: "dynamodb:Scan".to_owned(),
            code: "AccessDeniedException".to_owned(),
            message: String::new(),
            maybe_done: false,
        });
        assert!(items(Some(&source(1)), Some(&failed), one).2.is_err());
    }

    #[test]
    fn the_newest_time_has_to_be_there_and_recent_and_past() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        let held = |items, at, odd| newest("at", day, Some(&pass(items, at, odd)), now).2;
        assert!(held(1, Some("2026-11-22T00:00:00Z"), 0).unwrap().1);
        assert!(!held(1, Some("2026-11-21T11:59:59Z"), 0).unwrap().1);
        // A writer's clock may be ahead; the year 2099 of a test item hides how old the rest is.
        assert!(held(1, Some("2026-11-22T12:10:00Z"), 0).unwrap().1);
        assert!(
            held(1, Some("2099-01-01T00:00:00Z"), 0)
                .unwrap_err()
                .contains("future")
        );
        assert!(held(0, None, 0).unwrap_err().contains("no items"));
        assert!(
            held(7, None, 0)
                .unwrap_err()
                .contains("none of its 7 items")
        );
        assert!(
            held(7, None, 3)
                .unwrap_err()
                .contains("none of them holds a time")
        );
        let (text, _) = held(7, Some("2026-11-22T00:00:00Z"), 2).unwrap();
        assert!(text.contains("2 values are no times"), "{text}");
    }
}
