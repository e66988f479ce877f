//! Parquet, column by column in batches: only the columns that are needed, a page of each at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use jiff::Span;
use jiff::civil::Date;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use rust_decimal::Decimal;

use super::ExportError;
use super::shape::{Cell, Reader};
use crate::cost::amount;
use crate::cost::tally::Line;

/// Rows that are in memory at once.
const BATCH: usize = 2048;
const DAY_SECONDS: i64 = 86_400;

/// One column's values of a batch.
enum Values {
    Absent,
    Texts(Vec<Option<ByteArray>>),
    /// Maps as JSON.
    Maps(Vec<String>),
    Amounts(Vec<Option<Decimal>>),
    Days(Vec<Option<Date>>),
}

/// The leaves that make up a column of the export.
#[derive(Clone, Copy)]
enum Leaves {
    None,
    Plain(usize),
    Map { key: usize, value: usize },
}

pub fn read(
    path: &Path,
    name: &str,
    reader: &mut Reader,
    each: &mut dyn FnMut(&Line<'_>) -> bool,
) -> Result<(), ExportError> {
    // The library checks what it reads, but not every length of a damaged file.
    catch_unwind(AssertUnwindSafe(|| read_checked(path, name, reader, each)))
        .unwrap_or_else(|_| Err(ExportError::file(name, "the file is damaged")))
}

fn read_checked(
    path: &Path,
    name: &str,
    reader: &mut Reader,
    each: &mut dyn FnMut(&Line<'_>) -> bool,
) -> Result<(), ExportError> {
    let broken = |e: ParquetError| {
        ExportError::file(
            name,
            format!("not a whole Parquet file, or one that cannot be read: {e}"),
        )
    };
    let file = File::open(path).map_err(|e| ExportError::file(name, e))?;
    let file = SerializedFileReader::new(file).map_err(broken)?;
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    let root = schema.root_schema().get_fields();
    let header: Vec<String> = root.iter().map(|field| field.name().to_owned()).collect();
    let columns = reader.begin(&header)?;
    let leaves: Vec<Leaves> = columns
        .iter()
        .map(|column| leaves(name, column.and_then(|at| header.get(at)), schema.columns()))
        .collect::<Result<_, _>>()?;
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(broken)?;
        if !row_group(name, group.as_ref(), &leaves, reader, each)? {
            return Ok(());
        }
    }
    Ok(())
}

fn leaves(
    name: &str,
    column: Option<&String>,
    all: &[std::sync::Arc<ColumnDescriptor>],
) -> Result<Leaves, ExportError> {
    let Some(column) = column else {
        return Ok(Leaves::None);
    };
    let of = |end: Option<&str>| {
        all.iter().position(|leaf| {
            let parts = leaf.path().parts();
            parts.first() == Some(column)
                && end.is_none_or(|end| parts.last().is_some_and(|p| p == end))
        })
    };
    match (of(None), of(Some("key")), of(Some("value"))) {
        (Some(plain), _, _) if all.get(plain).is_some_and(|l| l.path().parts().len() == 1) => {
            Ok(Leaves::Plain(plain))
        }
        (_, Some(key), Some(value)) => Ok(Leaves::Map { key, value }),
        _ => Err(ExportError::file(
            name,
            format!("column {column} is neither a value nor a map"),
        )),
    }
}

/// A column that is being read, with the buffers that are used again.
struct Column {
    reader: ColumnReader,
    /// Of a map: its values.
    second: Option<ColumnReader>,
    kind: Kind,
}

/// What the values of a leaf mean.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// Digits after the point.
    Decimal(u32),
    /// Ticks in a second; negative: of whole days.
    Time(i64),
    Float,
}

fn kind(leaf: &ColumnDescriptor) -> Kind {
    let scale = u32::try_from(leaf.type_scale()).unwrap_or_default();
    match (leaf.logical_type_ref(), leaf.converted_type()) {
        (Some(LogicalType::Decimal(_)), _) | (_, ConvertedType::DECIMAL) => Kind::Decimal(scale),
        (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => Kind::Time(-1),
        (Some(LogicalType::Timestamp(time)), _) => Kind::Time(match time.unit {
            TimeUnit::MILLIS => 1_000,
            TimeUnit::MICROS => 1_000_000,
            TimeUnit::NANOS => 1_000_000_000,
        }),
        (_, ConvertedType::TIMESTAMP_MILLIS) => Kind::Time(1_000),
        (_, ConvertedType::TIMESTAMP_MICROS) => Kind::Time(1_000_000),
        _ => match leaf.physical_type() {
            parquet::basic::Type::DOUBLE | parquet::basic::Type::FLOAT => Kind::Float,
            parquet::basic::Type::INT32 | parquet::basic::Type::INT64 => Kind::Decimal(0),
            _ => Kind::Text,
        },
    }
}

fn row_group(
    name: &str,
    group: &dyn RowGroupReader,
    leaves: &[Leaves],
    reader: &mut Reader,
    each: &mut dyn FnMut(&Line<'_>) -> bool,
) -> Result<bool, ExportError> {
    let broken = |e: ParquetError| {
        ExportError::file(name, format!("damaged after row {}: {e}", reader.rows()))
    };
    let schema = group.metadata().schema_descr();
    let mut columns = Vec::new();
    for leaf in leaves {
        columns.push(match leaf {
            Leaves::None => None,
            Leaves::Plain(at) => Some(Column {
                reader: group.get_column_reader(*at).map_err(broken)?,
                second: None,
                kind: kind(&schema.column(*at)),
            }),
            Leaves::Map { key, value } => Some(Column {
                reader: group.get_column_reader(*key).map_err(broken)?,
                second: Some(group.get_column_reader(*value).map_err(broken)?),
                kind: Kind::Text,
            }),
        });
    }
    let levels: Vec<[i16; 2]> = leaves
        .iter()
        .map(|leaf| match leaf {
            Leaves::None => [0, 0],
            Leaves::Plain(at) => [schema.column(*at).max_def_level(), 0],
            Leaves::Map { key, value } => [
                schema.column(*key).max_def_level(),
                schema.column(*value).max_def_level(),
            ],
        })
        .collect();
    let mut left = usize::try_from(group.metadata().num_rows()).unwrap_or_default();
    while left > 0 {
        let rows = left.min(BATCH);
        let mut batch = Vec::with_capacity(columns.len());
        for (column, levels) in columns.iter_mut().zip(&levels) {
            batch.push(match column {
                None => Values::Absent,
                Some(column) => column.values(rows, *levels).map_err(|e| {
                    ExportError::file(name, format!("damaged after row {}: {e}", reader.rows()))
                })?,
            });
        }
        for row in 0..rows {
            let mut cells = Vec::with_capacity(batch.len());
            for values in &batch {
                cells.push(cell(values, row).map_err(|e| {
                    ExportError::file(name, format!("row {}: {e}", reader.rows() + 1))
                })?);
            }
            if !reader.line(&cells, each)? {
                return Ok(false);
            }
        }
        left -= rows;
    }
    Ok(true)
}

fn cell(values: &Values, row: usize) -> Result<Cell<'_>, String> {
    let missing = || "a column is shorter than the others".to_owned();
    Ok(match values {
        Values::Absent => Cell::Empty,
        Values::Texts(texts) => match texts.get(row).ok_or_else(missing)? {
            None => Cell::Empty,
            Some(bytes) => Cell::Text(bytes.as_utf8().map_err(|e| e.to_string())?),
        },
        Values::Maps(maps) => Cell::Text(maps.get(row).ok_or_else(missing)?),
        Values::Amounts(amounts) => amounts
            .get(row)
            .ok_or_else(missing)?
            .map_or(Cell::Empty, Cell::Amount),
        Values::Days(days) => days
            .get(row)
            .ok_or_else(missing)?
            .map_or(Cell::Empty, Cell::Day),
    })
}

fn general(message: impl Into<String>) -> ParquetError {
    ParquetError::General(message.into())
}

/// Values by row, from values and definition levels.
fn spread<T: DataType, V>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    level: i16,
    convert: impl Fn(&T::T) -> Result<V, ParquetError>,
) -> Result<Vec<Option<V>>, ParquetError> {
    let (mut defined, mut values) = (Vec::new(), Vec::new());
    let mut out = Vec::with_capacity(rows);
    let mut read = 0;
    while read < rows {
        defined.clear();
        values.clear();
        let (records, _, _) =
            reader.read_records(rows - read, Some(&mut defined), None, &mut values)?;
        if records == 0 {
            return Err(general("the column ends early"));
        }
        read += records;
        let mut next = values.iter();
        if level == 0 {
            for value in next {
                out.push(Some(convert(value)?));
            }
            continue;
        }
        for at in &defined {
            if *at < level {
                out.push(None);
                continue;
            }
            let value = next.next().ok_or_else(|| general("a value is missing"))?;
            out.push(Some(convert(value)?));
        }
    }
    Ok(out)
}

fn day(ticks: i64, per_second: i64) -> Result<Date, ParquetError> {
    let days = match per_second {
        ..0 => ticks,
        _ => ticks.div_euclid(per_second.saturating_mul(DAY_SECONDS)),
    };
    let days = i32::try_from(days).unwrap_or(i32::MAX);
    Span::new()
        .try_days(days)
        .and_then(|span| Date::constant(1970, 1, 1).checked_add(span))
        .map_err(|e| general(format!("{ticks} is no time: {e}")))
}

fn scaled(value: i128, scale: u32) -> Result<Decimal, ParquetError> {
    Decimal::try_from_i128_with_scale(value, scale)
        .ok()
        .and_then(|d| amount::sane(d.normalize()))
        .ok_or_else(|| general(format!("{value} with {scale} digits is no amount")))
}

/// A two's complement number, highest byte first.
fn whole(bytes: &[u8]) -> Result<i128, ParquetError> {
    if bytes.is_empty() || bytes.len() > 16 {
        return Err(general(format!("a decimal of {} bytes", bytes.len())));
    }
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let start = if negative { -1 } else { 0 };
    Ok(bytes.iter().fold(start, |number: i128, byte| {
        (number << 8) | i128::from(*byte)
    }))
}

fn float(value: f64) -> Result<Decimal, ParquetError> {
    amount::from_float(value).ok_or_else(|| general(format!("{value} is no amount")))
}

impl Column {
    fn values(&mut self, rows: usize, levels: [i16; 2]) -> Result<Values, ParquetError> {
        let [level, second] = levels;
        if let Some(values) = &mut self.second {
            return maps(&mut self.reader, values, rows, levels);
        }
        let _ = second;
        let kind = self.kind;
        let number = |value: i64| match kind {
            Kind::Decimal(scale) => scaled(i128::from(value), scale),
            _ => Err(general("a number where none is expected")),
        };
        Ok(match (&mut self.reader, kind) {
            (ColumnReader::ByteArrayColumnReader(r), Kind::Text) => {
                Values::Texts(spread(r, rows, level, |v| Ok(v.clone()))?)
            }
            (ColumnReader::ByteArrayColumnReader(r), Kind::Decimal(scale)) => {
                Values::Amounts(spread(r, rows, level, |v| scaled(whole(v.data())?, scale))?)
            }
            (ColumnReader::FixedLenByteArrayColumnReader(r), Kind::Decimal(scale)) => {
                Values::Amounts(spread(r, rows, level, |v| scaled(whole(v.data())?, scale))?)
            }
            (ColumnReader::Int32ColumnReader(r), Kind::Time(per)) => {
                Values::Days(spread(r, rows, level, |v| day(i64::from(*v), per))?)
            }
            (ColumnReader::Int64ColumnReader(r), Kind::Time(per)) => {
                Values::Days(spread(r, rows, level, |v| day(*v, per))?)
            }
            (ColumnReader::Int96ColumnReader(r), _) => {
                Values::Days(spread(r, rows, level, |v| day(v.to_seconds(), 1))?)
            }
            (ColumnReader::Int32ColumnReader(r), _) => {
                Values::Amounts(spread(r, rows, level, |v| number(i64::from(*v)))?)
            }
            (ColumnReader::Int64ColumnReader(r), _) => {
                Values::Amounts(spread(r, rows, level, |v| number(*v))?)
            }
            (ColumnReader::DoubleColumnReader(r), _) => {
                Values::Amounts(spread(r, rows, level, |v| float(*v))?)
            }
            (ColumnReader::FloatColumnReader(r), _) => Values::Amounts(spread(
                r,
                rows,
                level,
                // By its own shortest digits, not by those of the wider float.
                |v| amount::parse(&format!("{v:e}")).ok_or_else(|| general("no amount")),
            )?),
            _ => return Err(general("a column has a type that is not understood")),
        })
    }
}

/// Entries of maps by row, each map as a JSON object.
fn maps(
    keys: &mut ColumnReader,
    values: &mut ColumnReader,
    rows: usize,
    [key_level, value_level]: [i16; 2],
) -> Result<Values, ParquetError> {
    let (ColumnReader::ByteArrayColumnReader(keys), ColumnReader::ByteArrayColumnReader(values)) =
        (keys, values)
    else {
        return Err(general("a map has other keys or values than texts"));
    };
    let (key_defined, _, key_texts) = nested(keys, rows)?;
    let (defined, repeated, value_texts) = nested(values, rows)?;
    if key_defined.len() != defined.len() {
        return Err(general("a map has more keys than values"));
    }
    let (mut key_texts, mut value_texts) = (key_texts.iter(), value_texts.iter());
    let missing = || general("an entry of a map is missing");
    let mut out: Vec<String> = Vec::with_capacity(rows);
    let mut current: Option<BTreeMap<String, String>> = None;
    let finish = |map: Option<BTreeMap<String, String>>, out: &mut Vec<String>| match map {
        None => Ok(()),
        Some(map) if map.is_empty() => {
            out.push(String::new());
            Ok(())
        }
        Some(map) => serde_json::to_string(&map)
            .map(|text| out.push(text))
            .map_err(|e| general(e.to_string())),
    };
    let levels = key_defined.iter().zip(&defined).zip(&repeated);
    for ((key_at, at), again) in levels {
        if *again == 0 {
            finish(current.replace(BTreeMap::new()), &mut out)?;
        }
        if *key_at < key_level {
            continue;
        }
        let text = |bytes: &ByteArray| bytes.as_utf8().map(str::to_owned);
        let key = text(key_texts.next().ok_or_else(missing)?)?;
        let value = if *at == value_level {
            text(value_texts.next().ok_or_else(missing)?)?
        } else {
            String::new()
        };
        if let Some(map) = &mut current {
            map.insert(key, value);
        }
    }
    finish(current, &mut out)?;
    Ok(Values::Maps(out))
}

type Nested = (Vec<i16>, Vec<i16>, Vec<ByteArray>);

fn nested(
    reader: &mut ColumnReaderImpl<parquet::data_type::ByteArrayType>,
    rows: usize,
) -> Result<Nested, ParquetError> {
    let (mut defined, mut repeated, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, _, _) = reader.read_records(
            rows - read,
            Some(&mut defined),
            Some(&mut repeated),
            &mut values,
        )?;
        if records == 0 {
            return Err(general("the column ends early"));
        }
        read += records;
    }
    Ok((defined, repeated, values))
}
