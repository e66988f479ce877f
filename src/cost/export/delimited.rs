//! CSV, plain or compressed with gzip.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::ExportError;
use super::shape::{Cell, ROLES, Reader};
use crate::cost::tally::Line;

const BUFFER: usize = 256 * 1024;

pub fn read(
    path: &Path,
    name: &str,
    reader: &mut Reader,
    each: &mut dyn FnMut(&Line<'_>) -> bool,
) -> Result<(), ExportError> {
    let file = File::open(path).map_err(|e| ExportError::file(name, e))?;
    let file = BufReader::with_capacity(BUFFER, file);
    if name.to_ascii_lowercase().ends_with(".gz") {
        let decoder = MultiGzDecoder::new(file);
        rows(decoder, name, reader, each)
    } else {
        rows(file, name, reader, each)
    }
}

fn rows(
    input: impl Read,
    name: &str,
    reader: &mut Reader,
    each: &mut dyn FnMut(&Line<'_>) -> bool,
) -> Result<(), ExportError> {
    let mut input = csv::ReaderBuilder::new()
        .buffer_capacity(BUFFER)
        .from_reader(input);
    let header = input
        .byte_headers()
        .map_err(|e| broken(name, 0, &e))?
        .iter()
        .map(|column| String::from_utf8_lossy(column).into_owned())
        .collect::<Vec<_>>();
    if header.is_empty() {
        return Err(ExportError::file(name, "the file is empty"));
    }
    let columns = reader.begin(&header)?;
    let mut record = csv::ByteRecord::new();
    loop {
        let more = input
            .read_byte_record(&mut record)
            .map_err(|e| broken(name, reader.rows(), &e))?;
        if !more {
            return Ok(());
        }
        let mut cells = [Cell::Empty; ROLES.len()];
        for (cell, column) in cells.iter_mut().zip(&columns) {
            let bytes = column.and_then(|at| record.get(at)).unwrap_or_default();
            let text = std::str::from_utf8(bytes).map_err(|_| {
                ExportError::file(name, format!("row {} is not UTF-8", reader.rows() + 1))
            })?;
            if !text.is_empty() {
                *cell = Cell::Text(text);
            }
        }
        if !reader.line(&cells, each)? {
            return Ok(());
        }
    }
}

/// What the CSV reader says, without its own numbering.
fn broken(name: &str, rows: u64, error: &csv::Error) -> ExportError {
    let row = rows + 1;
    let message = match error.kind() {
        csv::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            format!(
                "the file ends in the middle (at row {row}): it was not written or copied whole"
            )
        }
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("row {row} has {len} columns, the header {expected_len}: cut off or not quoted")
        }
        _ => format!("row {row}: {error}"),
    };
    ExportError::file(name, message)
}
