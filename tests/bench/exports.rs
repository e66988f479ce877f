//! Writes a synthetic FOCUS export, and measures how it is read.
//!
//!     cargo run --release --example exports -- write csv 5000000 FILE.csv.gz
//!     cargo run --release --example exports -- write parquet 5000000 FILE.snappy.parquet
//!     cargo run --release --example exports -- read FILE
//!
//! `read` asks what a cost audit asks and prints lines, sum, seconds, and the peak of its memory
//! (`VmHWM` of /proc/self/status, so on Linux only).

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use opsctl::cost::export;
use opsctl::cost::question::{Answer, Filter, Granularity, Group, Question};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

const FIRST: Date = date(2026, 10, 1);
const TODAY: Date = date(2026, 11, 22);
const SERVICES: u64 = 40;
const REGIONS: u64 = 12;
const TEAMS: u64 = 30;
/// So many resources appear again and again.
const RESOURCES: u64 = 200_000;
const ROW_GROUP: u64 = 250_000;

type Failure = Box<dyn std::error::Error>;

/// One line, from its number.
struct Row {
    day: Date,
    millionths: u64,
    service: u64,
    region: u64,
    usage: u64,
    account: u64,
    team: u64,
    resource: u64,
}

fn row(number: u64) -> Row {
    let mut rng = fastrand::Rng::with_seed(number);
    let service = rng.u64(0..SERVICES);
    Row {
        day: FIRST.saturating_add((rng.i64(0..53)).days()),
        millionths: rng.u64(1..40_000),
        service,
        region: rng.u64(0..REGIONS),
        usage: service * 10 + rng.u64(0..10),
        account: rng.u64(0..10),
        team: rng.u64(0..=TEAMS),
        resource: rng.u64(0..RESOURCES),
    }
}

impl Row {
    fn tags(&self) -> Vec<(String, String)> {
        if self.team == TEAMS {
            return Vec::new();
        }
        [
            ("project", "bench".to_owned()),
            ("environment", format!("env-{}", self.account)),
            ("team", format!("team-{}", self.team)),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }
    fn texts(&self) -> [String; 7] {
        [
            "USD".to_owned(),
            "Usage".to_owned(),
            format!("Amazon Service Number {}", self.service),
            format!("eu-west-{}", self.region),
            format!("{:012}", self.account + 100_000_000_000),
            format!(
                "arn:aws:service-{}:eu-west-{}:100000000000:thing/{:08}",
                self.service, self.region, self.resource
            ),
            format!("EU-UsageType:{}", self.usage),
        ]
    }
}

fn write_csv(rows: u64, path: &Path) -> Result<(), Failure> {
    let file = BufWriter::new(File::create(path)?);
    let mut out = csv::Writer::from_writer(GzEncoder::new(file, Compression::fast()));
    out.write_record([
        "BilledCost",
        "BillingPeriodStart",
        "ChargePeriodStart",
        "BillingCurrency",
        "ChargeCategory",
        "ServiceName",
        "RegionId",
        "SubAccountId",
        "ResourceId",
        "x_UsageType",
        "Tags",
    ])?;
    for number in 0..rows {
        let row = row(number);
        let tags: std::collections::BTreeMap<String, String> = row.tags().into_iter().collect();
        let front = [
            format!("0.{:06}", row.millionths),
            format!("{}T00:00:00Z", row.day.first_of_month()),
            format!("{}T00:00:00Z", row.day),
        ];
        let tags = serde_json::to_string(&tags)?;
        out.write_record(front.iter().chain(&row.texts()).chain([&tags]))?;
    }
    out.into_inner()
        .map_err(|e| e.to_string())?
        .finish()?
        .flush()?;
    Ok(())
}

fn write_parquet(rows: u64, path: &Path) -> Result<(), Failure> {
    let schema = "message focus {
        OPTIONAL DOUBLE BilledCost;
        OPTIONAL INT64 ChargePeriodStart (TIMESTAMP(MILLIS,true));
        OPTIONAL BINARY BillingCurrency (STRING); OPTIONAL BINARY ChargeCategory (STRING);
        OPTIONAL BINARY ServiceName (STRING); OPTIONAL BINARY RegionId (STRING);
        OPTIONAL BINARY SubAccountId (STRING); OPTIONAL BINARY ResourceId (STRING);
        OPTIONAL BINARY x_UsageType (STRING);
        OPTIONAL group Tags (MAP) { REPEATED group key_value {
            REQUIRED BINARY key (STRING); OPTIONAL BINARY value (STRING); } }
    }";
    let schema = Arc::new(parse_message_type(schema)?);
    let properties = WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    let file = BufWriter::new(File::create(path)?);
    let mut out = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    let mut from = 0;
    while from < rows {
        let part: Vec<Row> = (from..rows.min(from + ROW_GROUP)).map(row).collect();
        from += ROW_GROUP;
        let there = vec![1i16; part.len()];
        let mut group = out.next_row_group()?;
        for leaf in 0..11 {
            let mut column = group.next_column()?.ok_or("too few columns")?;
            match leaf {
                0 => {
                    let values: Vec<f64> = part
                        .iter()
                        .map(|r| r.millionths as f64 / 1_000_000.0)
                        .collect();
                    column
                        .typed::<DoubleType>()
                        .write_batch(&values, Some(&there), None)?;
                }
                1 => {
                    let epoch = date(1970, 1, 1);
                    let values = part.iter().map(|r| {
                        let days = r.day.since(epoch).map_or(0, |s| s.get_days());
                        i64::from(days) * 86_400_000
                    });
                    let values: Vec<i64> = values.collect();
                    column
                        .typed::<Int64Type>()
                        .write_batch(&values, Some(&there), None)?;
                }
                2..=8 => {
                    let values: Vec<ByteArray> = part
                        .iter()
                        .map(|r| ByteArray::from(r.texts()[leaf - 2].as_str()))
                        .collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&values, Some(&there), None)?;
                }
                _ => {
                    let (mut defined, mut repeated, mut values) = (vec![], vec![], vec![]);
                    for row in &part {
                        let tags = row.tags();
                        if tags.is_empty() {
                            defined.push(0);
                            repeated.push(0);
                        }
                        for (at, (key, value)) in tags.iter().enumerate() {
                            defined.push(if leaf == 9 { 2 } else { 3 });
                            repeated.push(i16::from(at > 0));
                            let text = if leaf == 9 { key } else { value };
                            values.push(ByteArray::from(text.as_str()));
                        }
                    }
                    column.typed::<ByteArrayType>().write_batch(
                        &values,
                        Some(&defined),
                        Some(&repeated),
                    )?;
                }
            }
            column.close()?;
        }
        group.close()?;
    }
    out.close()?;
    Ok(())
}

/// About what a cost audit asks.
fn questions(resources: bool) -> Vec<Question> {
    let end = TODAY.saturating_add(1.day());
    let ask = |granularity, group_by: Vec<Group>| Question::Usage {
        start: FIRST,
        end,
        granularity,
        group_by,
        filter: Filter::default(),
    };
    let tag = |key: &str| Group::Tag(key.to_owned());
    let mut out = vec![
        ask(Granularity::Daily, vec![Group::Account, Group::Service]),
        ask(Granularity::Daily, vec![Group::Account, Group::RecordType]),
        ask(Granularity::Monthly, vec![Group::Account, Group::Region]),
        ask(Granularity::Monthly, vec![Group::Account, Group::UsageType]),
        ask(Granularity::Monthly, vec![Group::Account, tag("project")]),
        ask(
            Granularity::Monthly,
            vec![Group::Account, tag("environment")],
        ),
        ask(Granularity::Monthly, vec![Group::Account, tag("team")]),
        Question::Forecast {
            start: TODAY,
            end: date(2026, 12, 1),
            interval: 80,
            filter: Filter::default(),
        },
    ];
    if resources {
        out.push(ask(Granularity::Monthly, vec![Group::Resource]));
    }
    out
}

fn read(path: &Path, resources: bool) -> Result<(), Failure> {
    let started = Instant::now();
    let export = export::read(path, &questions(resources), TODAY)?;
    let seconds = started.elapsed().as_secs_f64();
    let sum: rust_decimal::Decimal = match export.answers.first() {
        Some(Answer::Usage { rows, .. }) => rows.iter().map(|r| r.amount).sum(),
        _ => return Err("no answer".into()),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .unwrap_or_default();
    let resources = if resources { ", with resources" } else { "" };
    println!(
        "{} lines{resources}, {sum} USD, {seconds:.1} s, {peak}",
        export.rows
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["write", "csv", rows, path] => write_csv(rows.parse()?, Path::new(path)),
        ["write", "parquet", rows, path] => write_parquet(rows.parse()?, Path::new(path)),
        ["read", path] => read(Path::new(path), false),
        ["read", "--resources", path] => read(Path::new(path), true),
        _ => Err("exports write csv|parquet ROWS FILE, or exports read [--resources] FILE".into()),
    }
}
