//! The states of instances and clusters, as far as a restore is concerned.
//!
//! Source: RDS user guide, "DB instance status"; Aurora user guide, "DB cluster status". The waiters
//! of the SDKs know four of the failures and sleep through the others.

/// What a state means for a copy that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    /// It says that the backup, or what it was restored with, is no good.
    Broken,
    /// It says nothing about the backup, and no waiting helps.
    Stuck,
    /// Somebody is taking it away.
    Leaving,
    /// Everything else.
    OnItsWay,
}

pub fn state(status: &str) -> State {
    match status {
        "available" => State::Ready,
        "failed"
        | "incompatible-restore"
        | "restore-error"
        | "incompatible-parameters"
        | "incompatible-option-group"
        | "incompatible-credentials"
        | "incompatible-create"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "storage-full"
        | "migration-failed"
        | "cloning-failed" => State::Broken,
        "incompatible-network" | "insufficient-capacity" | "stopped" | "stopping" => State::Stuck,
        "deleting" | "deleted" | "delete-precheck" => State::Leaving,
        _ => State::OnItsWay,
    }
}

/// What a failure means, for people.
pub fn meaning(status: &str) -> &'static str {
    match status {
        "incompatible-restore" => "RDS cannot restore this recovery point in time",
        "restore-error" => "the restore met an error",
        "incompatible-parameters" => "the parameter group does not fit the class or the engine",
        "incompatible-option-group" => "the option group does not fit",
        "incompatible-credentials" => "the Secrets Manager secret cannot be used",
        "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable" => {
            "the KMS key of the backup cannot be used: without it the backup is lost"
        }
        "storage-full" => "its storage is full",
        "incompatible-network" => "the subnet group has no free address, or does not fit",
        "insufficient-capacity" => "AWS has no capacity for this class here at the moment",
        "stopped" | "stopping" => "somebody stopped it",
        "deleting" | "deleted" | "delete-precheck" => "somebody else deleted it",
        _ => "RDS gave up on it",
    }
}
