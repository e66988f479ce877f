//! What a usage type is about, told by its name.
//!
//! Usage types have no documented grammar. Most begin with the short name of a region (none in
//! us-east-1), and tell the rest in words: `EUW1-NatGateway-Bytes`, `EU-DataTransfer-Out-Bytes`,
//! `EUW1-USE1-AWS-Out-Bytes`, `EBS:VolumeUsage.gp3`, `EUW1-TimedStorage-ByteHrs`,
//! `RDS:GP3-Storage`. Whatever says none of the words below is neither.

/// The shares that an audit shows, since they grow unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Hours and bytes of NAT gateways: `NatGateway-Hours`, `NatGateway-Bytes`.
    Nat,
    /// Bytes that leave: to the internet (`DataTransfer-Out-Bytes`, `Out-OBytes` of CloudFront), to
    /// other regions (`EUW1-USE1-AWS-Out-Bytes`), between zones (`DataTransfer-Regional-Bytes`).
    Egress,
    /// Bytes that lie: objects, volumes, snapshots, databases, backups.
    Storage,
}

const EGRESS: [&str; 5] = [
    "-out-bytes",
    "-out-obytes",
    "datatransfer-regional",
    "datatransfer-xaz-out",
    "interzone-out",
];

const STORAGE: [&str; 6] = [
    "storage",
    "volumeusage",
    "snapshotusage",
    "backupusage",
    "bytehrs",
    "warm-backup",
];

/// What is about reading and writing what is stored, or about watching it.
const NOT_STORAGE: [&str; 3] = ["storageio", "storage-io", "storageobjectcount"];

pub fn kind(usage_type: &str) -> Option<Kind> {
    let name = usage_type.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| name.contains(w));
    if name.contains("natgateway") {
        Some(Kind::Nat)
    } else if says(&EGRESS) || name.starts_with("out-bytes") {
        Some(Kind::Egress)
    } else if says(&STORAGE) && !says(&NOT_STORAGE) {
        Some(Kind::Storage)
    } else {
        None
    }
}
