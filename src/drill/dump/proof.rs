//! Whether a downloaded file is the object that was uploaded, and by which proof that is known.
//!
//! Source: S3 user guide, "Checking object integrity": a composite checksum is the checksum of the
//! concatenated checksums of the parts; the ETag of an object uploaded in parts is the MD5 of the
//! concatenated MD5s and not an MD5 of the object; under SSE-KMS an ETag is no MD5 at all.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use md5::{Digest as _, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::cloud::store::ObjectHead;

const CHECKSUM: &str = "checksum";

enum Hasher {
    Sha256(Sha256),
    Sha1(Sha1),
    Md5(Md5),
    /// With the number of bytes of its value.
    Crc(Crc, usize),
}

impl Hasher {
    fn new(algorithm: &str) -> Option<Hasher> {
        Some(match algorithm {
            "SHA256" => Hasher::Sha256(sha2::Digest::new()),
            "SHA1" => Hasher::Sha1(Sha1::new()),
            "MD5" => Hasher::Md5(Md5::new()),
            "CRC32" => Hasher::Crc(Crc::new(CrcAlgorithm::Crc32IsoHdlc), 4),
            "CRC32C" => Hasher::Crc(Crc::new(CrcAlgorithm::Crc32Iscsi), 4),
            "CRC64NVME" => Hasher::Crc(Crc::new(CrcAlgorithm::Crc64Nvme), 8),
            _ => return None,
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(h) => sha2::Digest::update(h, bytes),
            Hasher::Sha1(h) => h.update(bytes),
            Hasher::Md5(h) => h.update(bytes),
            Hasher::Crc(h, _) => h.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Sha256(h) => sha2::Digest::finalize(h).to_vec(),
            Hasher::Sha1(h) => h.finalize().to_vec(),
            Hasher::Md5(h) => h.finalize().to_vec(),
            Hasher::Crc(h, width) => h.finalize().to_be_bytes()[8 - width..].to_vec(),
        }
    }
}

/// What an object can be held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    algorithm: &'static str,
    value: Vec<u8>,
    parts: Option<u32>,
    source: &'static str,
}

impl Claim {
    /// The best that S3 tells about an object: a checksum, else an ETag that is made of MD5s.
    pub fn of(head: &ObjectHead) -> Option<Claim> {
        if let Some(checksum) = &head.checksum
            && let Ok(value) = STANDARD.decode(&checksum.value)
        {
            return Some(Claim {
                algorithm: checksum.algorithm,
                value,
                parts: checksum.parts,
                source: CHECKSUM,
            });
        }
        let plain = head.encryption.as_deref().is_none_or(|e| e == "AES256");
        let (value, parts) = match head.etag.split_once('-') {
            Some((value, parts)) => (value, Some(parts.parse().ok()?)),
            None => (head.etag.as_str(), None),
        };
        let value = hex::decode(value).ok().filter(|v| v.len() == 16 && plain)?;
        Some(Claim {
            algorithm: "MD5",
            value,
            parts,
            source: "ETag",
        })
    }

    /// Of how many parts the proof needs the sizes.
    pub fn parts(&self) -> Option<u32> {
        self.parts
    }

    /// Holds the file against the claim; `sizes` of the parts, where it is made of parts.
    ///
    /// # Errors
    /// The file is not what was uploaded, or could not be read.
    pub fn check(&self, path: &Path, sizes: &[u64]) -> Result<String, String> {
        let read = |e: std::io::Error| format!("{}: {e}", path.display());
        let mut file = File::open(path).map_err(read)?;
        let found = match self.parts {
            None => self.hash(&mut file, u64::MAX).map_err(read)?,
            Some(_) => {
                let mut outer = Hasher::new(self.algorithm).ok_or("unknown algorithm")?;
                for size in sizes {
                    let inner = self.hash(&mut file, *size).map_err(read)?;
                    outer.update(&inner);
                }
                outer.finish()
            }
        };
        let whole = format!("{} {}", self.algorithm, self.source);
        let name = match self.parts {
            None => whole.clone(),
            Some(parts) => format!("{whole} of {parts} parts"),
        };
        // Not everything that speaks S3 says of which kind a checksum is; either proves the bytes.
        if found != self.value && self.parts.is_some() && self.source == CHECKSUM {
            file.rewind().map_err(read)?;
            if self.hash(&mut file, u64::MAX).map_err(read)? == self.value {
                return Ok(format!("{whole} verified"));
            }
        }
        if found == self.value {
            Ok(format!("{name} verified"))
        } else {
            Err(format!(
                "the {name} does not match: S3 has {}, the file {}",
                hex::encode(&self.value),
                hex::encode(&found)
            ))
        }
    }

    fn hash(&self, file: &mut File, most: u64) -> std::io::Result<Vec<u8>> {
        let mut hasher = Hasher::new(self.algorithm)
            .ok_or_else(|| std::io::Error::other("unknown algorithm"))?;
        let mut buffer = vec![0u8; 1 << 20];
        let mut left = most;
        while left > 0 {
            let want = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let n = file.read(&mut buffer[..want])?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            left -= n as u64;
        }
        Ok(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::store::StoredChecksum;

    fn head(etag: &str, checksum: Option<(&'static str, &str, Option<u32>)>) -> ObjectHead {
        ObjectHead {
            bytes: 9,
            modified: jiff::Timestamp::UNIX_EPOCH,
            etag: etag.to_owned(),
            version: None,
            storage_class: "STANDARD".to_owned(),
            restore: None,
            encryption: Some("AES256".to_owned()),
            kms_key: None,
            checksum: checksum.map(|(algorithm, value, parts)| StoredChecksum {
                algorithm,
                value: value.to_owned(),
                parts,
            }),
            retained: None,
        }
    }

    /// The check values of `123456789` that the CRC catalogue gives, and known digests.
    #[test]
    fn every_algorithm_of_s3_is_computed_as_s3_does() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "123456789").unwrap();
        for (algorithm, hexed) in [
            ("CRC32", "cbf43926"),
            ("CRC32C", "e3069283"),
            ("CRC64NVME", "ae8b14860a799888"),
            ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                "SHA256",
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ] {
            let value = STANDARD.encode(hex::decode(hexed).unwrap());
            let claim = Claim::of(&head("x", Some((algorithm, &value, None)))).unwrap();
            assert_eq!(
                claim.check(&path, &[]),
                Ok(format!("{algorithm} checksum verified"))
            );
        }
        let md5 = Claim::of(&head("25f9e794323b453885f5181f1b624d0b", None)).unwrap();
        assert_eq!(md5.check(&path, &[]).unwrap(), "MD5 ETag verified");
        std::fs::write(&path, "123456780").unwrap();
        assert!(md5.check(&path, &[]).is_err());
    }

    #[test]
    fn parts_are_hashed_one_by_one() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "123456789").unwrap();
        let inner: Vec<u8> = ["1234", "56789"]
            .iter()
            .flat_map(|part| Md5::digest(part.as_bytes()).to_vec())
            .collect();
        let etag = format!("{}-2", hex::encode(Md5::digest(inner)));
        let claim = Claim::of(&head(&etag, None)).unwrap();
        assert_eq!(claim.parts(), Some(2));
        assert_eq!(
            claim.check(&path, &[4, 5]),
            Ok("MD5 ETag of 2 parts verified".to_owned())
        );
        assert!(claim.check(&path, &[5, 4]).is_err());
    }

    #[test]
    fn a_checksum_of_either_kind_proves_an_object_in_parts() {
        let dir = tempfile::TempDir::new().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "123456789").unwrap();
        let whole = STANDARD.encode(hex::decode("cbf43926").unwrap());
        let claim = Claim::of(&head("x-2", Some(("CRC32", &whole, Some(2))))).unwrap();
        assert_eq!(
            claim.check(&path, &[4, 5]),
            Ok("CRC32 checksum verified".to_owned())
        );
        std::fs::write(&path, "123456780").unwrap();
        assert!(claim.check(&path, &[4, 5]).is_err());
    }

    #[test]
    fn under_kms_an_etag_proves_nothing() {
        let mut head = head("25f9e794323b453885f5181f1b624d0b", None);
        head.encryption = Some("aws:kms".to_owned());
        assert_eq!(Claim::of(&head), None);
    }
}
