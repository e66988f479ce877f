//! What a file is, told by its content and never by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use jiff::civil::DateTime;
use ruzstd::decoding::StreamingDecoder;

/// So much of the beginning is looked at.
const PEEK: usize = 64 * 1024;
const BUFFER: usize = 256 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// `pg_dump -Fc`
    Custom(Header),
    /// `pg_dump -Ft`
    Tar(Header),
    /// Some tar: a dump in the directory format, if there is a `toc.dat` in it.
    TarOfSomething,
    /// `pg_dump -Fp`, or SQL of another making.
    Plain {
        /// The version of pg_dump, where it says so.
        dumped_by: Option<String>,
        /// The version of the server it was taken from.
        dumped_from: Option<String>,
        /// It ends with a line that says that it is complete.
        has_end: bool,
        /// When pg_dump began, which `-v` writes; without its zone.
        made: Option<DateTime>,
    },
}

/// The head of an archive.
///
/// Source: PostgreSQL, src/bin/pg_dump/pg_backup_archiver.c, `ReadHead`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Of the archive's form: 1.14 (PostgreSQL 12 to 15), 1.15 (16), 1.16 (17).
    pub archive: (u8, u8),
    /// 1 custom, 3 tar, 5 directory.
    pub format: u8,
    pub dumped_from: Option<String>,
    pub dumped_by: Option<String>,
    /// When pg_dump began, by the clock on its wall: the zone is not written.
    pub made: Option<DateTime>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub packing: Packing,
    pub form: Form,
}

impl Kind {
    pub fn name(&self) -> String {
        let form = match &self.form {
            Form::Custom(_) => "custom archive",
            Form::Tar(_) => "tar archive",
            Form::TarOfSomething => "tar of a directory archive",
            Form::Plain { .. } => "plain SQL",
        };
        match self.packing {
            Packing::None => form.to_owned(),
            Packing::Gzip => format!("{form}, gzip"),
            Packing::Zstd => format!("{form}, zstd"),
        }
    }

    /// `(pg_dump's version, the server's version)`
    pub fn versions(&self) -> (Option<&str>, Option<&str>) {
        match &self.form {
            Form::Custom(head) | Form::Tar(head) => {
                (head.dumped_by.as_deref(), head.dumped_from.as_deref())
            }
            Form::Plain {
                dumped_by,
                dumped_from,
                ..
            } => (dumped_by.as_deref(), dumped_from.as_deref()),
            Form::TarOfSomething => (None, None),
        }
    }

    /// When pg_dump began, by the clock on its wall.
    pub fn made(&self) -> Option<DateTime> {
        match &self.form {
            Form::Custom(head) | Form::Tar(head) => head.made,
            Form::Plain { made, .. } => *made,
            Form::TarOfSomething => None,
        }
    }
}

/// Zstandard frames one after the other, each with its checksum compared.
struct Frames<R: BufRead> {
    source: Option<R>,
    frame: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(frame) = &mut self.frame {
                let n = frame.read(out)?;
                if n > 0 {
                    return Ok(n);
                }
                let written = frame.decoder.get_checksum_from_data();
                if written.is_some() && written != frame.decoder.get_calculated_checksum() {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "zstd: the checksum of the content does not match",
                    ));
                }
            }
            if let Some(frame) = self.frame.take() {
                self.source = Some(frame.into_inner());
            }
            let Some(mut source) = self.source.take() else {
                return Ok(0);
            };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let frame = StreamingDecoder::new(source)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {e}")))?;
            self.frame = Some(frame);
        }
    }
}

fn packing(start: &[u8]) -> Packing {
    match start {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
        _ => Packing::None,
    }
}

/// The content of a file, unpacked as it is read.
///
/// # Errors
/// The file cannot be read.
pub fn open(path: &Path, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    let file = BufReader::with_capacity(BUFFER, File::open(path)?);
    Ok(match packing {
        Packing::None => Box::new(file),
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(Frames {
            source: Some(file),
            frame: None,
        }),
    })
}

/// As much as there is, up to so many bytes.
fn beginning(reader: &mut dyn Read, most: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    reader.take(most as u64).read_to_end(&mut out)?;
    Ok(out)
}

/// Looks into a file.
///
/// # Errors
/// Why it is not a dump that can be restored.
pub fn detect(path: &Path) -> Result<Kind, String> {
    let read = |e: io::Error| format!("it cannot be read: {e}");
    let mut file = File::open(path).map_err(read)?;
    let start = beginning(&mut file, 8).map_err(read)?;
    if start.is_empty() {
        return Err("it is empty (0 bytes)".to_owned());
    }
    let packing = packing(&start);
    let peeked = open(path, packing)
        .and_then(|mut reader| beginning(&mut reader, PEEK))
        .map_err(|e| format!("it cannot be unpacked: {}", unpacking(packing, &e)))?;
    if peeked.is_empty() {
        return Err("it is a compressed file with nothing in it".to_owned());
    }
    let form = form(&peeked)?;
    Ok(Kind { packing, form })
}

/// The error of a decoder in words.
pub fn unpacking(packing: Packing, error: &io::Error) -> String {
    let name = match packing {
        Packing::None => return error.to_string(),
        Packing::Gzip => "gzip",
        Packing::Zstd => "zstd",
    };
    if error.kind() == io::ErrorKind::UnexpectedEof {
        format!("the {name} stream ends too early: the file is truncated")
    } else {
        format!("the {name} stream is damaged ({error})")
    }
}

fn form(start: &[u8]) -> Result<Form, String> {
    if start.starts_with(b"PGDMP") {
        let head = Header::read(start).ok_or("its header is truncated")?;
        return match head.format {
            1 => Ok(Form::Custom(head)),
            5 => Err(
                "it is the toc.dat of a dump in the directory format, without its data files"
                    .to_owned(),
            ),
            other => Err(format!("its header names an unknown format ({other})")),
        };
    }
    if start.get(257..262) == Some(b"ustar") {
        let name: Vec<u8> = start
            .iter()
            .take(100)
            .copied()
            .take_while(|b| *b != 0)
            .collect();
        let head = start.get(512..).and_then(Header::read);
        return match head {
            Some(head) if name == b"toc.dat" && head.format == 3 => Ok(Form::Tar(head)),
            _ => Ok(Form::TarOfSomething),
        };
    }
    for (magic, what) in [
        (&b"\xfd7zXZ"[..], "xz"),
        (b"BZh", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"PK\x03\x04", "zip"),
        (b"\x1f\x8b", "gzip twice over"),
        (b"\x28\xb5\x2f\xfd", "zstd twice over"),
    ] {
        if start.starts_with(magic) {
            return Err(format!(
                "it is packed with {what}; gzip and zstd can be read"
            ));
        }
    }
    if start.starts_with(b"age-encryption.org")
        || start.starts_with(b"Salted__")
        || start.starts_with(b"-----BEGIN PGP")
    {
        return Err("it is encrypted by the client, and a drill has no key".to_owned());
    }
    plain(start)
}

fn plain(start: &[u8]) -> Result<Form, String> {
    let text = String::from_utf8_lossy(start);
    if start.contains(&0) {
        let first: String = start.iter().take(8).map(|b| format!("{b:02x} ")).collect();
        return Err(format!(
            "it is neither an archive of pg_dump nor SQL (it begins with {})",
            first.trim()
        ));
    }
    if text.contains("-- MySQL dump") || text.contains("-- MariaDB dump") {
        return Err("it is a dump of MySQL or MariaDB".to_owned());
    }
    let version = |lead: &str| {
        text.lines()
            .take(40)
            .find_map(|line| line.strip_prefix(lead))
            .map(|v| v.trim().to_owned())
    };
    let has_end = text.contains("PostgreSQL database dump")
        || text.contains("PostgreSQL database cluster dump");
    let looks = text.lines().map(str::trim).find(|l| !l.is_empty());
    let sql = looks.is_some_and(|line| {
        let upper = line.to_ascii_uppercase();
        [
            "--", "/*", "\\", "SET ", "BEGIN", "CREATE ", "INSERT ", "COPY ", "SELECT ", "DROP ",
            "ALTER ",
        ]
        .iter()
        .any(|lead| upper.starts_with(lead))
    });
    if !has_end && !sql {
        return Err("it is neither an archive of pg_dump nor SQL".to_owned());
    }
    Ok(Form::Plain {
        dumped_by: version("-- Dumped by pg_dump version "),
        dumped_from: version("-- Dumped from database version "),
        has_end,
        made: version("-- Started on ").and_then(|at| at.get(..19)?.parse().ok()),
    })
}

/// Whether the end of a plain dump says that it is complete.
pub fn ends_well(tail: &[u8]) -> bool {
    let text = String::from_utf8_lossy(tail);
    text.contains("PostgreSQL database dump complete")
        || text.contains("PostgreSQL database cluster dump complete")
}

/// Reads numbers as archives have them.
struct Cursor<'a> {
    bytes: &'a [u8],
    int: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A sign, then the value with its lowest byte first.
    fn int(&mut self) -> Option<i64> {
        let negative = self.byte()? != 0;
        let size = self.int;
        let mut value: i64 = 0;
        for (i, byte) in self.take(size)?.iter().enumerate().take(7) {
            value |= i64::from(*byte) << (8 * i);
        }
        Some(if negative { -value } else { value })
    }

    fn text(&mut self) -> Option<Option<String>> {
        let length = self.int()?;
        match usize::try_from(length) {
            Ok(n) => Some(Some(String::from_utf8_lossy(self.take(n)?).into_owned())),
            Err(_) => Some(None),
        }
    }
}

impl Header {
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let mut cursor = Cursor { bytes, int: 4 };
        if cursor.take(5)? != b"PGDMP" {
            return None;
        }
        let archive = (cursor.byte()?, cursor.byte()?);
        let _revision = cursor.byte()?;
        cursor.int = usize::from(cursor.byte()?);
        let _offset_size = cursor.byte()?;
        let format = cursor.byte()?;
        if archive >= (1, 15) {
            cursor.byte()?;
        } else {
            cursor.int()?;
        }
        // `struct tm`, local time: second, minute, hour, day, month from 0, years since 1900.
        let mut tm = [0i64; 7];
        for field in &mut tm {
            *field = cursor.int()?;
        }
        let small = |value: i64| i8::try_from(value).ok();
        let made = || {
            let year = i16::try_from(tm[5] + 1900).ok()?;
            let (month, day) = (small(tm[4] + 1)?, small(tm[3])?);
            DateTime::new(
                year,
                month,
                day,
                small(tm[2])?,
                small(tm[1])?,
                small(tm[0])?,
                0,
            )
            .ok()
        };
        let _database = cursor.text()?;
        // Of a form that nobody knows yet these may lie elsewhere.
        let dumped_from = cursor.text().flatten();
        let dumped_by = cursor.text().flatten();
        Some(Header {
            archive,
            format,
            dumped_from,
            dumped_by,
            made: made(),
        })
    }
}
