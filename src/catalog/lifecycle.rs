//! What `opsctl audit lifecycle` reports.

use super::Entry;

pub(super) const FINDINGS: &[Entry] = &[
    Entry {
        id: "lifecycle.cannot-write",
        title: "The configuration cannot be written safely",
        means: "The bucket's lifecycle configuration has parts that this version does not know and would lose, or S3 would refuse the rule beside those that are there.",
        matters: "The bucket is left as it is and does not get what the policy asks for.",
        fix: "Follow the finding's advice: a newer opsctl, a change of the foreign rules, or an exception in the policy's match.",
    },
    Entry {
        id: "lifecycle.conflict",
        title: "A foreign rule contradicts the policy",
        means: "A rule that somebody else made moves or keeps objects in a way that the rule of the policy would fight, so that it is not planned.",
        matters: "Where two rules apply, S3 takes the earlier deletion and the cheaper class: together they would do what neither means.",
        fix: "Change or remove the foreign rule, or except the bucket in the match of the policy's rule.",
    },
    Entry {
        id: "lifecycle.drifted-rule",
        title: "Lifecycle rule is not as the policy says",
        means: "A rule that opsctl made is there, but differs from the policy: one of them was changed.",
        matters: "Data is moved or deleted at another age than the policy says.",
        fix: "Run the apply command that the finding names; or change the policy if the bucket is right.",
    },
    Entry {
        id: "lifecycle.missing-rule",
        title: "Lifecycle rule missing",
        means: "A rule of the policy matches the bucket, and the bucket does not have it.",
        matters: "Unfinished uploads, old versions and data that nobody reads are billed until somebody removes or moves them.",
        fix: "Run the apply command that the finding names. Rules that others made come through unchanged.",
    },
    Entry {
        id: "lifecycle.no-room",
        title: "No room for another rule",
        means: "The bucket already has the largest number of lifecycle rules that S3 allows.",
        matters: "The rule is not planned, and the bucket goes without it.",
        fix: "Merge or remove foreign rules of the bucket that nobody needs.",
    },
    Entry {
        id: "lifecycle.not-worth-it",
        title: "The rule would not save enough",
        means: "The rule has an only_if threshold, and what it would save in this bucket is below it or not known.",
        matters: "Moving small objects costs more in transition requests than it ever saves in storage.",
        fix: "Nothing to do. Lower only_if in the policy to have the rule all the same.",
    },
    Entry {
        id: "lifecycle.obsolete-rule",
        title: "Lifecycle rule that the policy no longer asks for",
        means: "A rule that opsctl made is there, and no rule of the policy asks for it any more.",
        matters: "It goes on moving or deleting data although nobody wants it to.",
        fix: "Run the apply command that the finding names; it removes only rules whose id begins with opsctl-.",
    },
    Entry {
        id: "lifecycle.old-form",
        title: "Foreign rules in the old form",
        means: "The bucket's rules have a top-level prefix (Lifecycle V1), which S3 does not mix with filters, and the rule of the policy cannot be written in that form.",
        matters: "The rule is not planned, and the bucket goes without it.",
        fix: "Convert the foreign rules to filters; they mean the same in that form.",
    },
    Entry {
        id: "lifecycle.owned-elsewhere",
        title: "Lifecycle of a bucket that another tool owns",
        means: "CloudFormation, Terraform or the like owns the bucket, its rules are not as the policy says, and the policy says to leave such buckets alone.",
        matters: "If opsctl changed them, their owner would change them back, or report drift.",
        fix: "Set the rules where the bucket is defined, or write owned_elsewhere = \"write\" in the policy.",
    },
    Entry {
        id: "lifecycle.satisfied",
        title: "A foreign rule already does it",
        means: "A rule that somebody else made already does all that the rule of the policy would.",
        matters: "Nothing is wrong; it is said so that nobody wonders why the rule of the policy is not there.",
        fix: "Nothing to do. A baseline keeps it quiet, and so does excepting the bucket in the rule's match.",
    },
];
